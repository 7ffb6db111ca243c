"""Crop to Face and Paste Face Back in a real ComfyUI: two real people in one picture, and the tiny model."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from harness.host import HostError
from tests.nodes.graphs import two_photos

pytestmark = pytest.mark.host

NAME = "detail/two_people.png"
SIZE = (640, 400)
PLACES = {"biden": (60, 90), "obama3": (400, 130)}
"""Where the two photos stand, px; each is 170 px high, so that a face has about 70."""


@pytest.fixture(scope="module")
def picture(host, photos, tmp_path_factory):
    canvas = np.full((SIZE[1], SIZE[0], 3), 96, np.uint8)
    for name, (left, top) in PLACES.items():
        photo = np.asarray(Image.open(photos[name]).convert("RGB"))
        scale = 170 / photo.shape[0]
        small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    path = tmp_path_factory.mktemp("detail") / "two_people.png"
    Image.fromarray(canvas).save(path)
    host.upload(path, NAME)
    return canvas


@pytest.fixture(scope="module")
def cropped(host, photos, picture):
    """Nodes 1 to 6: the person of two photos, and that person's face out of the picture."""
    nodes = two_photos(host, photos, "detail")
    # An analyzer of its own: the shared host answers from its cache, and other tests read its first words.
    nodes["1"]["inputs"]["provider"] = "CPU"
    return {
        **nodes,
        "3": {"class_type": "HiFiPortraitLoadHiFiNet", "inputs": {"checkpoint": "tiny (shipped)"}},
        "4": {"class_type": "HiFiPortraitRefineFaces", "inputs": {"faces": ["2", 0], "hifi_net": ["3", 0]}},
        "5": {"class_type": "LoadImage", "inputs": {"image": NAME}},
        "6": {
            "class_type": "HiFiPortraitCropToFace",
            "inputs": {
                "image": ["5", 0],
                "analyzer": ["1", 0],
                "identity": ["4", 0],
                "size": 128,
                "context": 2.2,
            },
        },
    }


def pixels(host, nodes, of):
    nodes = {**nodes, "90": {"class_type": "PreviewImage", "inputs": {"images": of}}}
    (path,) = host.run(nodes).images("90")
    return np.asarray(Image.open(path).convert("RGB"))


def paste(crop, **inputs):
    return {
        "class_type": "HiFiPortraitPasteFaceBack",
        "inputs": {
            "image": ["5", 0],
            "crop": crop,
            "face_crops": ["6", 1],
            "feather": 0.25,
            "colour_match": 1.0,
            **inputs,
        },
    }


def changed_box(before, after):
    rows, columns = np.nonzero((before != after).any(-1))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_the_right_person_is_cut_out_and_only_there_pixels_change(host, picture, cropped):
    nodes = {
        **cropped,
        "7": {"class_type": "ImageInvert", "inputs": {"image": ["6", 0]}},
        "8": paste(["7", 0], colour_match=0.0),
    }
    after = pixels(host, nodes, ["8", 0])
    left, top, right, bottom = changed_box(picture, after)
    assert left >= PLACES["obama3"][0] - 40, "the other person is not touched"
    assert right - left == pytest.approx(bottom - top, abs=4)
    centre = (left + right) / 2
    assert PLACES["obama3"][0] < centre < PLACES["obama3"][0] + 250


def test_a_face_is_sampled_again_with_its_landmarks(host, picture, cropped, artifacts):
    nodes = {
        **cropped,
        "10": {
            "class_type": "HiFiPortraitLoadTinyPortraitModel",
            "inputs": {"model_file": "base.safetensors"},
        },
        "11": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["10", 1], "text": "gray background"}},
        "12": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["10", 1], "text": ""}},
        "13": {
            "class_type": "HiFiPortraitApplyHiFiNet",
            "inputs": {
                "model": ["10", 0],
                "hifi_net": ["3", 0],
                "identity": ["4", 0],
                "landmarks": ["6", 2],
                "identity_strength": 1.0,
                "landmark_strength": 1.0,
                "start_percent": 0.0,
                "end_percent": 1.0,
            },
        },
        "14": {"class_type": "VAEEncode", "inputs": {"pixels": ["6", 0], "vae": ["10", 2]}},
        "15": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["13", 0],
                "positive": ["11", 0],
                "negative": ["12", 0],
                "latent_image": ["14", 0],
                "seed": 1,
                "steps": 8,
                "cfg": 2.5,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 0.5,
            },
        },
        "16": {"class_type": "VAEDecode", "inputs": {"samples": ["15", 0], "vae": ["10", 2]}},
        "17": paste(["16", 0]),
    }
    after = pixels(host, nodes, ["17", 0])
    Image.fromarray(np.vstack([picture, after])).save(artifacts / "face_detail.png")
    left, top, right, bottom = changed_box(picture, after)
    assert left >= PLACES["obama3"][0] - 40
    inside = after[top:bottom, left:right].astype(float)
    assert np.abs(inside - picture[top:bottom, left:right]).mean() < 40, "the same picture, with another face"


def test_landmarks_of_the_whole_picture_move_into_the_crop(host, picture, cropped):
    """Fitted in the picture and moved, they lie where they are when they are fitted in the crop."""
    photo = {"image": ["5", 0], "analyzer": ["1", 0], "style": "mesh72"}
    nodes = {
        **cropped,
        "7": {"class_type": "HiFiPortraitLandmarksFromPhoto", "inputs": photo},
        "8": {
            "class_type": "HiFiPortraitDrawLandmarks",
            "inputs": {"landmarks": ["6", 2], "style": "mesh72", "width": 128, "height": 128},
        },
    }
    largest = {key: value for key, value in nodes["6"]["inputs"].items() if key != "identity"}
    nodes["6"] = {**nodes["6"], "inputs": largest}
    fitted = pixels(host, nodes, ["8", 0]).astype(float)
    nodes["6"] = {**nodes["6"], "inputs": {**largest, "landmarks": ["7", 0]}}
    moved = pixels(host, nodes, ["8", 0]).astype(float)
    both = [cv2.GaussianBlur(drawing.max(-1), (0, 0), 2.0) for drawing in (fitted, moved)]
    assert min(drawing.max() for drawing in both) > 40
    assert np.corrcoef(both[0].ravel(), both[1].ravel())[0, 1] > 0.7


def test_a_stranger_is_one_clear_line(host, photos, cropped):
    nodes = {**cropped, "7": {"class_type": "PreviewImage", "inputs": {"images": ["6", 0]}}}
    nodes["6"] = {**nodes["6"], "inputs": {**nodes["6"]["inputs"], "similarity": 0.99}}
    with pytest.raises(HostError, match="no face of this person was found") as error:
        host.run(nodes)
    assert len(str(error.value).strip().splitlines()) == 1

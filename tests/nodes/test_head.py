"""Fuse, Render, Save and Load Head in a real ComfyUI, and the head in Generate Landmarks."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest
from hifi_portrait.head.store import load_head, save_head
from PIL import Image

from harness.host import HostError
from tests.nodes.graphs import two_photos

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def fused(host, photos):
    """Nodes 1 to 3: analyzer, two photos, Fuse Head."""
    return {
        **two_photos(host, photos, "head"),
        "3": {"class_type": "HiFiPortraitFuseHead", "inputs": {"faces": ["2", 0], "texture_size": "256"}},
    }


@pytest.fixture(autouse=True)
def cleared(host):
    """Remove the heads that a test saved: the host's models may be a folder that outlives it."""
    yield
    for path in heads(host).glob("Test of nodes*"):
        path.unlink()


def heads(host):
    return host.base / "models" / "hifi_portrait" / "heads"


def landmarks(**inputs):
    return {
        "class_type": "HiFiPortraitGenerateLandmarks",
        "inputs": {"width": 192, "height": 192, "style": "mesh72", **inputs},
    }


def render(head, points, **inputs):
    inputs = {"head": [head, 0], "landmarks": [points, 0], "width": 0, "height": 0, **inputs}
    return {"class_type": "HiFiPortraitRenderHead", "inputs": {"light": "as the photos", **inputs}}


def preview(node, slot):
    return {"class_type": "PreviewImage", "inputs": {"images": [node, slot]}}


def as_image(node, slot):
    return {"class_type": "MaskToImage", "inputs": {"mask": [node, slot]}}


def pixels(done, node, index=0):
    return np.asarray(Image.open(done.images(node)[index]).convert("RGB"), np.float32)


def test_fuse_head_shows_texture_confidence_and_shares(host, fused):
    done = host.run({**fused, "4": preview("3", 1)})
    shares = done.nodes["3"]["text"][0].splitlines()
    assert sorted(line.split("%  ")[1] for line in shares[:2]) == ["obama.jpg", "obama2.jpg"]
    assert sum(float(line.split(" ")[0]) for line in shares[:2]) == pytest.approx(100, abs=1)
    sheet = pixels(done, "3")
    assert sheet.shape[1] > 2 * sheet.shape[0]
    texture = pixels(done, "4")
    assert texture.shape == (256, 256, 3)
    middle = texture[110:150, 110:150].mean((0, 1))
    assert middle[0] > middle[2] + 10, "skin is in the middle of the texture"


def test_a_batch_of_landmarks_gives_a_batch_of_renders_with_all_maps(host, fused):
    graph = {
        **fused,
        "4": landmarks(yaw=-25.0),
        "5": landmarks(yaw=25.0),
        "6": {
            "class_type": "HiFiPortraitInterpolateLandmarks",
            "inputs": {
                "first": ["4", 0],
                "last": ["5", 0],
                "count": 3,
                "easing": "linear",
                "style": "mesh72",
            },
        },
        "7": render("3", "6", background=0.0),
        "8": preview("7", 0),
        "9": as_image("7", 1),
        "10": preview("9", 0),
        "11": as_image("7", 2),
        "12": preview("11", 0),
        "13": preview("7", 3),
        "14": preview("7", 4),
    }
    done = host.run(graph)
    assert len(done.images("8")) == 3
    pictures = [pixels(done, "8", i) for i in range(3)]
    assert all(p.shape == (192, 192, 3) for p in pictures)
    alpha, confidence, depth, normals = (pixels(done, key, 1) for key in ("10", "12", "13", "14"))
    outside = alpha[..., 0] == 0
    assert 0.1 < 1 - outside.mean() < 0.8
    assert pictures[1][outside].max() == 0
    assert confidence[outside].max() == 0
    assert (confidence <= alpha + 1).all()
    assert depth[96, 96, 0] > depth[150, 60, 0]
    assert normals[90, 96, 2] > 160, "the face looks at the viewer"
    # The head turns: what is left of the nose changes.
    assert np.abs(pictures[0] - pictures[2]).mean() > 4


def test_light(host, fused):
    def lit(**light):
        graph = {
            **fused,
            "4": landmarks(),
            "5": render("3", "4", background=0.0, **light),
            "6": preview("5", 0),
        }
        return pixels(host.run(graph), "6")

    left, right = (lit(light="from a direction", light_azimuth=a, light_softness=0.2) for a in (-80.0, 80.0))
    halves = [p[:, :96].mean() / p[:, 96:].mean() for p in (left, right)]
    assert halves[0] > 1.15 * halves[1]
    assert np.abs(lit(light="flat") - lit(light="as the photos")).mean() > 0.5
    with pytest.raises(HostError, match="connect light_picture, and light_landmarks"):
        lit(light="from a picture")


def test_light_of_a_picture(host, fused, photos):
    host.upload(photos["biden"], "light/biden.jpg")
    graph = {
        **fused,
        "4": {"class_type": "LoadImage", "inputs": {"image": "light/biden.jpg"}},
        "5": {
            "class_type": "HiFiPortraitLandmarksFromPhoto",
            "inputs": {"image": ["4", 0], "analyzer": ["1", 0], "style": "mesh72"},
        },
        "6": landmarks(),
        "7": render("3", "6", light="from a picture", light_picture=["4", 0], light_landmarks=["5", 0]),
        "8": preview("7", 0),
    }
    picture = pixels(host.run(graph), "8")
    assert picture[80:110, 80:110].std() > 3
    assert picture[60:130, 70:120].mean() > 40


def test_save_and_load(host, fused):
    save = {"head": ["3", 0], "name": "Test of nodes", "overwrite": True}
    done = host.run({**fused, "4": {"class_type": "HiFiPortraitSaveHead", "inputs": save}})
    assert done.nodes["4"]["text"] == ["saved as Test of nodes"]
    path = heads(host) / "Test of nodes.safetensors"
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = load_head(path)
    graph = {
        "1": {"class_type": "HiFiPortraitLoadHead", "inputs": {"name": "Test of nodes"}},
        "2": {
            "class_type": "HiFiPortraitSaveHead",
            "inputs": {"head": ["1", 0], "name": "Test of nodes", "overwrite": False},
        },
        "3": landmarks(head=["1", 0]),
        "4": render("1", "3"),
        "5": preview("4", 0),
    }
    done = host.run(graph)
    assert done.nodes["2"]["text"] == ["saved as Test of nodes 2"]
    again = load_head(heads(host) / "Test of nodes 2.safetensors")
    assert np.array_equal(again.texture, first.texture)
    assert again.sources == first.sources
    assert done.images("5")


def test_names_and_missing_heads_are_refused_before_anything_runs(host, fused):
    for name in ("../escape", "a/b", "", "nul"):
        save = {"head": ["3", 0], "name": name, "overwrite": True}
        with pytest.raises(HostError, match="cannot name a head"):
            host.run({**fused, "4": {"class_type": "HiFiPortraitSaveHead", "inputs": save}})
    with pytest.raises(HostError, match="there is no head 'nobody'"):
        host.run(
            {
                "1": {"class_type": "HiFiPortraitLoadHead", "inputs": {"name": "nobody"}},
                "2": preview("1", 1),
            }
        )


def test_a_damaged_file_is_one_line(host, fused):
    path = heads(host) / "Test of nodes damaged.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    graph = {
        "1": {"class_type": "HiFiPortraitLoadHead", "inputs": {"name": "Test of nodes damaged"}},
        "2": preview("1", 1),
    }
    with pytest.raises(HostError, match="damaged") as error:
        host.run(graph)
    assert len(str(error.value).strip().splitlines()) == 1


def test_a_saved_head_that_was_deleted_is_saved_again(host, fused):
    save = {"head": ["3", 0], "name": "Test of nodes gone", "overwrite": True}
    graph = {**fused, "4": {"class_type": "HiFiPortraitSaveHead", "inputs": save}}
    path = heads(host) / "Test of nodes gone.safetensors"
    host.run(graph)
    written = path.stat().st_mtime_ns
    host.run(graph)
    assert path.stat().st_mtime_ns == written
    path.unlink()
    host.run(graph)
    assert load_head(path).sources


def test_a_file_that_changed_is_read_again(host, fused):
    save = {"head": ["3", 0], "name": "Test of nodes", "overwrite": True}
    host.run({**fused, "4": {"class_type": "HiFiPortraitSaveHead", "inputs": save}})
    path = heads(host) / "Test of nodes.safetensors"
    graph = {
        "1": {"class_type": "HiFiPortraitLoadHead", "inputs": {"name": "Test of nodes"}},
        "2": preview("1", 1),
    }
    before = pixels(host.run(graph), "2")
    head = load_head(path)
    save_head(type(head)(**{**head.__dict__, "texture": 255 - head.texture}), path)
    assert np.abs(pixels(host.run(graph), "2") - before).mean() > 20


def test_the_widget_gets_the_head_as_a_private_file_of_the_hosts(host, fused):
    done = host.run({**fused, "4": landmarks(head=["3", 0], yaw=3.0), "5": preview("4", 1)})
    told = done.nodes["4"]["hifi_landmarks"][0]
    assert len(told["shape"]) > 10, "the head's own shape"
    file = told["head"]
    path = host.base / file["type"] / file["subfolder"] / file["filename"]
    assert path.stat().st_size < 500_000
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    alone = host.run({"1": landmarks(yaw=4.0), "2": preview("1", 1)})
    assert alone.nodes["1"]["hifi_landmarks"][0]["head"] is None

"""The landmark nodes in a real ComfyUI: sliders, photos, sequences, sheets, and what goes wrong."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from harness.host import HostError, import_host

pytestmark = pytest.mark.host

ANALYZER = {
    "class_type": "HiFiPortraitLoadFaceAnalyzer",
    "inputs": {"analyzer": "open (YuNet + SFace)", "provider": "auto", "missing_files": "ask"},
}


def node(kind, **inputs):
    return {"class_type": f"HiFiPortrait{kind}", "inputs": inputs}


def generate(**inputs):
    return node("GenerateLandmarks", **{"width": 512, "height": 512, "style": "mesh72", **inputs})


def lit(path):
    """Centre of everything drawn, and how much of the picture it is."""
    drawn = np.asarray(Image.open(path).convert("RGB")).max(-1) > 40
    rows, columns = np.nonzero(drawn)
    return columns.mean(), rows.mean(), drawn.mean()


def test_every_slider_is_an_input_with_a_tooltip(host):
    info = host.object_info()["HiFiPortraitGenerateLandmarks"]["input"]
    inputs = {**info["required"], **info["optional"]}
    for name in (
        "yaw",
        "smile",
        "mouth_open",
        "eye_closed_left",
        "brows_lower",
        "jaw_forward",
        "gaze_vertical",
    ):
        kind, options = inputs[name]
        assert kind == "FLOAT"
        assert options["display"] == "slider"
        assert options["tooltip"]
    assert inputs["arkit_json"][1]["advanced"]


def test_sliders_move_the_drawing_and_limits_are_told(host):
    workflow = {
        "1": generate(),
        "2": generate(position_x=0.5),
        "3": generate(scale=1.8, yaw=-30.0),
        "4": generate(mouth_open=1.0, mouth_press=1.0, arkit_json='{"jawLeft": 0.5}'),
        "5": generate(style="kps5", width=768),
        "9": {"class_type": "PreviewImage", "inputs": {"images": ["5", 1]}},
    }
    done = host.run(
        workflow
        | {
            str(k + 10): {"class_type": "PreviewImage", "inputs": {"images": [str(k), 1]}}
            for k in range(1, 5)
        }
    )
    x, y, amount = lit(done.images(11)[0])
    moved_x, moved_y, _ = lit(done.images(12)[0])
    assert moved_x - x == pytest.approx(128, abs=3)
    assert moved_y == pytest.approx(y, abs=2)
    assert lit(done.images(13)[0])[2] > 1.5 * amount
    assert "Lips cannot press while the jaw is open" in done.nodes["4"]["text"][0]
    assert Image.open(done.images(9)[0]).size == (768, 512)


def test_photo_as_target_with_offsets_sequence_sheet_and_interpolation(host, photos):
    group, speaker = host.upload(photos["t1"]), host.upload(photos["obama2"])
    workflow = {
        "1": ANALYZER,
        "2": {"class_type": "LoadImage", "inputs": {"image": speaker}},
        "3": {"class_type": "LoadImage", "inputs": {"image": group}},
        "4": generate(target_image=["2", 0], analyzer=["1", 0], yaw=10.0),
        "5": generate(
            target_image=["3", 0],
            analyzer=["1", 0],
            target_pick="index, left to right",
            target_index=-1,
            target_place="as in the target",
        ),
        "6": node("LandmarksFromPhoto", image=["2", 0], analyzer=["1", 0], style="mesh72"),
        "7": node(
            "InterpolateLandmarks", first=["4", 0], last=["5", 0], count=4, easing="linear", style="mesh72"
        ),
        "8": node(
            "ExpressionSheet", width=256, height=256, style="mesh72", presets="smile, wink", strength=1.0
        ),
        "9": node("DrawLandmarks", landmarks=["8", 0], style="kps5", width=512, height=256),
        "10": {"class_type": "RepeatImageBatch", "inputs": {"image": ["2", 0], "amount": 3}},
        "11": node(
            "LandmarkSequence",
            width=256,
            height=256,
            style="mesh72",
            frames=["10", 0],
            analyzer=["1", 0],
            smoothing=0.3,
            expression_strength=1.0,
            head_rotation=1.0,
        ),
        "12": generate(target_landmarks=["4", 0], references=["13", 0]),
        "13": {
            "class_type": "HiFiPortraitLoadReferenceFaces",
            "inputs": {
                "analyzer": ["1", 0],
                "images": ["2", 0],
                "pick": "common person",
                "index": 0,
                "other_people": "drop",
            },
        },
    }
    for number in (4, 5, 6, 7, 9, 11, 12):
        workflow[str(20 + number)] = {
            "class_type": "PreviewImage",
            "inputs": {"images": [str(number), 0 if number == 9 else 1]},
        }
    done = host.run(workflow)
    assert "6 faces" in done.nodes["5"]["text"][0]
    assert "give or take" in done.nodes["6"]["text"][0]
    assert len(done.images(27)) == 4
    assert [Image.open(path).size for path in done.images(29)] == [(512, 256)] * 2
    assert len(done.images(31)) == 3
    assert lit(done.images(25)[0])[0] > 300  # the rightmost of six people
    assert lit(done.images(32)[0])[2] > 0.003


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"arkit_json": '{"smirk": 1}'}, "smirk"),
        ({"target_image": ["2", 0]}, "connect Load Face Analyzer"),
        ({"target_image": ["2", 0], "analyzer": ["1", 0]}, "no face found"),
    ],
)
def test_mistakes_are_one_clear_line(host, inputs, message):
    workflow = {
        "1": ANALYZER,
        "2": {
            "class_type": "EmptyImage",
            "inputs": {"width": 256, "height": 256, "batch_size": 1, "color": 0},
        },
        "3": generate(**inputs),
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 1]}},
    }
    with pytest.raises(HostError, match=message):
        host.run(workflow)


def test_capture_file(host, tmp_path):
    take = tmp_path / "take.csv"
    take.write_text("Timecode,JawOpen,HeadYaw\n0,0.0,0.0\n1,0.5,0.2\n2,1.0,0.4\n", encoding="utf-8")
    host.upload(take, "take.csv")
    sequence = {
        "width": 256, "height": 256, "style": "mesh72", "smoothing": 0.0, "expression_strength": 1.0,
        "head_rotation": 1.0, "capture_file": "take.csv",
    }  # fmt: skip
    done = host.run(
        {
            "1": node("LandmarkSequence", **sequence),
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 1]}},
        }
    )
    assert len(done.images(2)) == 3
    assert "lacks" in done.nodes["1"]["text"][0]
    preview = {"2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 1]}}}
    with pytest.raises(HostError, match="there is no file"):
        host.run(preview | {"1": node("LandmarkSequence", **{**sequence, "capture_file": "none.csv"})})
    with pytest.raises(HostError, match="either frames or a capture_file"):
        host.run(preview | {"1": node("LandmarkSequence", **{**sequence, "capture_file": ""})})


def test_the_hosts_own_face_landmarks_as_target(photos, face_models):
    """Newer hosts have FACE_LANDMARKS; this one's layout is what their nodes document."""
    import_host()
    from hifi_portrait.faces.open_analyzer import OpenAnalyzer
    from hifi_portrait.faces.pictures import read_image
    from hifi_portrait.landmarks.model import FaceModel
    from hifi_portrait.nodes.landmark_targets import PLACES, target_from_host

    image = read_image(photos["obama2"])
    points = OpenAnalyzer([face_models]).analyze(image, "obama2")[0].landmarks[:, :2]
    face = {"landmarks_xy": points, "blendshapes": {}, "bbox_xyxy": np.zeros(4), "score": 1.0}
    data = {"frames": [[face], [], [face]], "image_size": image.shape[:2], "connection_sets": {}}
    target, notes = target_from_host(data, PLACES[1], FaceModel.load())
    assert target.pose.shape == (3, 3)
    assert -25 < target.pose[1, 0] < -10
    assert "frame 2" in notes[0]
    with pytest.raises(ValueError, match="target_host_landmarks"):
        target_from_host({"faces": []}, PLACES[0], FaceModel.load())


def test_a_long_sequence_shows_some_frames(tmp_path, monkeypatch):
    import_host()
    import folder_paths
    import torch
    from hifi_portrait.nodes.landmark_results import MOST_PREVIEWS, preview
    from hifi_portrait.nodes.landmarks import GenerateLandmarks

    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(tmp_path))
    shown = preview(torch.zeros(40, 8, 256, 3), (), GenerateLandmarks)
    assert len(shown["images"]) == len(list(tmp_path.iterdir())) == MOST_PREVIEWS
    assert shown["text"] == ("16 of 40 frames are shown here",)

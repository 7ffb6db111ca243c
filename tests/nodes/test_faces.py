"""The three face nodes: in a real ComfyUI over HTTP, and in this process where inputs are hard to send."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from hifi_portrait.faces.files import MODEL_FILES, MissingModelFileError
from PIL import Image

from harness.host import HostError, import_host

ANALYZER = {
    "class_type": "HiFiPortraitLoadFaceAnalyzer",
    "inputs": {"analyzer": "open (YuNet + SFace)", "provider": "auto", "missing_files": "ask"},
}


def load_faces(**inputs):
    defaults = {"analyzer": ["1", 0], "pick": "common person", "index": 0, "other_people": "drop"}
    return {"class_type": "HiFiPortraitLoadReferenceFaces", "inputs": {**defaults, **inputs}}


@pytest.fixture(scope="module")
def folder(host, photos):
    """A folder of the host's input with two photos of one person, one of another, and a torn file."""
    for name in ("obama", "obama3", "biden"):
        host.upload(photos[name], f"rated/{name}.jpg")
    (host.base / "input" / "rated" / "torn.jpg").write_bytes(b"torn")
    return "rated"


@pytest.mark.host
def test_references_and_comparison_in_a_real_host(host, folder, photos):
    workflow = {
        "1": ANALYZER,
        "2": load_faces(folder=folder),
        "3": {"class_type": "LoadImage", "inputs": {"image": host.upload(photos["obama2"])}},
        "4": {
            "class_type": "HiFiPortraitCompareFaces",
            "inputs": {"images": ["3", 0], "faces": ["2", 0], "held_out": ["3", 0]},
        },
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["2", 2]}},
        "6": {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}},
    }
    done = host.run(workflow)
    assert "commercial use: allowed" in done.nodes["1"]["text"][0]
    report = done.nodes["2"]["text"][0]
    assert "obama.jpg: quality" in report
    assert "biden.jpg: shows somebody else" in report
    assert "torn.jpg: unreadable" in report
    assert Image.open(done.images(2)[0]).size[0] > 500
    assert [Image.open(path).size for path in done.images(5)] == [(224, 224)] * 2
    compared = done.nodes["4"]["text"][0]
    assert "held out 1.000" in compared
    assert 0.6 < float(compared.split("similarity ")[1].split(",")[0]) < 0.95


@pytest.mark.host
def test_errors_are_one_line_and_the_next_queue_works(host, folder):
    Image.new("RGB", (64, 64), (9, 9, 9)).save(host.base / "input" / "blank.png")
    blank = {
        "1": ANALYZER,
        "3": {"class_type": "LoadImage", "inputs": {"image": "blank.png"}},
        "2": load_faces(images=["3", 0]),
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["2", 1]}},
    }
    with pytest.raises(HostError, match=r"picture 1: no face found \(64 x 64 px\)") as caught:
        host.run(blank)
    assert "\n" not in str(caught.value)
    assert host.run({**blank, "2": load_faces(folder=folder)}).images(5)


@pytest.fixture(scope="module")
def nodes():
    """The nodes' module, on a host in this process."""
    import_host()
    from hifi_portrait.nodes import faces

    return faces


@pytest.fixture
def analyzer(nodes, face_models, monkeypatch):
    """What Load Face Analyzer gives."""
    monkeypatch.setattr(nodes.paths, "model_folders", lambda: [face_models])
    return nodes.LoadFaceAnalyzer.execute(nodes.OPEN, "auto", "ask").args[0]


def tensor(path):
    image = Image.open(path).convert("RGB")
    return torch.from_numpy(np.array(image)).float()[None] / 255


def run(nodes, analyzer, images, **inputs):
    values = {"pick": nodes.PICKS[0], "index": 0, "other_people": nodes.DISAGREE[0], **inputs}
    return nodes.LoadReferenceFaces.execute([analyzer], images=images, **{k: [v] for k, v in values.items()})


def test_pictures_of_different_sizes_grey_and_with_alpha(nodes, analyzer, photos):
    images = [tensor(photos["obama"]), tensor(photos["obama2"])]
    images[0] = torch.cat([images[0], torch.ones_like(images[0][..., :1])], dim=-1)
    images[1] = images[1].mean(-1, keepdim=True)
    references, sheet, crops, report = run(nodes, analyzer, images, weights="1; 0.5").args
    assert {face.source: face.weight for face in references.faces} == {"picture 1": 1, "picture 2": 0.5}
    assert crops.shape == (2, 224, 224, 3)
    assert sheet.ndim == 4
    assert report.count("\n") == 2, "one line a picture, and what the model files may be used for"


def test_one_person_can_be_declared(nodes, analyzer, photos):
    images = [tensor(photos["obama"]), tensor(photos["biden"])]
    with pytest.raises(ValueError, match="different people"):
        run(nodes, analyzer, images, same_person_from=0.0)
    assert len(run(nodes, analyzer, images, same_person_from=0.05).args[0].faces) == 2


def test_not_a_number_and_empty_batches(nodes, analyzer, photos):
    broken = tensor(photos["obama"])
    broken[:, :40] = float("nan")
    assert len(run(nodes, analyzer, [broken]).args[0].faces) == 1
    with pytest.raises(ValueError, match="there are no pictures"):
        run(nodes, analyzer, [broken[:0]])
    with pytest.raises(ValueError, match="there are no pictures"):
        run(nodes, analyzer, None)
    with pytest.raises(ValueError, match="numbers separated by commas"):
        run(nodes, analyzer, [broken], weights="one, two")
    with pytest.raises(ValueError, match="there is no folder"):
        run(nodes, analyzer, None, folder="nowhere at all")


def test_too_many_pictures_are_refused_before_any_is_converted(nodes, analyzer, monkeypatch):
    from hifi_portrait.nodes import pictures

    monkeypatch.setattr(pictures, "to_rgb8", lambda image: pytest.fail("one was converted"))
    with pytest.raises(ValueError, match="there are 70 pictures; give at most 64"):
        run(nodes, analyzer, [torch.zeros(60, 8, 8, 3), *[torch.zeros(8, 8, 3)] * 10])


def test_comparing_can_be_interrupted(nodes, analyzer, photos):
    import comfy.model_management as host
    import comfy.utils

    pictures = tensor(photos["obama2"])[:, ::4, ::4].repeat(3, 1, 1, 1)
    references = run(nodes, analyzer, [tensor(photos["obama"])]).args[0]
    comfy.utils.set_progress_bar_global_hook(
        lambda *_, **__: host.throw_exception_if_processing_interrupted()
    )
    host.interrupt_current_processing()
    try:
        with pytest.raises(host.InterruptProcessingException):
            nodes.CompareFaces.execute(pictures, references, analyzer)
    finally:
        comfy.utils.set_progress_bar_global_hook(None)


def test_what_cannot_be_looked_at_does_not_break_the_folders_version(tmp_path):
    from hifi_portrait.nodes.pictures import folder_version

    (tmp_path / "a.jpg").write_bytes(b"1")
    before = folder_version(tmp_path)
    (tmp_path / "notes.txt").write_bytes(b"1")
    if os.name != "nt":
        (tmp_path / "dead.jpg").symlink_to(tmp_path / "nowhere")
    assert folder_version(tmp_path) == before


def test_a_changed_folder_runs_again(nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(nodes.paths.folder_paths, "get_input_directory", lambda: str(tmp_path))
    (tmp_path / "me").mkdir()
    (tmp_path / "me" / "a.jpg").write_bytes(b"1")
    before = nodes.LoadReferenceFaces.fingerprint_inputs(folder=["me"])
    assert before == nodes.LoadReferenceFaces.fingerprint_inputs(folder=["me"])
    (tmp_path / "me" / "b.jpg").write_bytes(b"2")
    assert before != nodes.LoadReferenceFaces.fingerprint_inputs(folder=["me"])
    assert nodes.LoadReferenceFaces.fingerprint_inputs(folder=[""]) == ""


@pytest.mark.parametrize("folder", ["../models", "/etc", "..\\..", "a/../../b"])
def test_only_the_input_folder_is_read(nodes, analyzer, folder):
    with pytest.raises(ValueError, match="outside of ComfyUI's input folder"):
        run(nodes, analyzer, None, folder=folder)


def test_a_missing_file_is_named_with_the_way_to_get_it(nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(nodes.paths, "model_folders", lambda: [tmp_path])
    monkeypatch.setattr(nodes.files, "user_folder", lambda: tmp_path / "user")
    with pytest.raises(MissingModelFileError) as caught:
        nodes.LoadFaceAnalyzer.execute(nodes.OPEN, "auto", "ask")
    message = str(caught.value)
    assert all(file.name in message for file in MODEL_FILES)
    assert str(tmp_path) in message
    assert str(tmp_path / "user") in message


def test_automatic_downloads_what_is_missing_with_progress(nodes, face_models, tmp_path, monkeypatch):
    fetched = []
    bars = []

    class Bar:
        def __init__(self, total):
            self.total = total
            bars.append(self)

        def update_absolute(self, value, total):
            self.value, self.total = value, total

    def fetch(missing, folder, progress):
        # Upstream is out of reach here; tests/faces/test_files.py downloads from a server of its own.
        for file in missing:
            (folder / file.name).write_bytes((face_models / file.name).read_bytes())
            fetched.append(file.name)
        progress(sum(file.size for file in missing), sum(file.size for file in missing))

    (tmp_path / MODEL_FILES[0].name).write_bytes((face_models / MODEL_FILES[0].name).read_bytes())
    monkeypatch.setattr(nodes.paths, "model_folders", lambda: [tmp_path])
    monkeypatch.setattr(nodes.files, "user_folder", lambda: tmp_path / "user")
    monkeypatch.setattr(nodes.files, "fetch", fetch)
    monkeypatch.setattr(nodes, "ProgressBar", Bar)
    loaded, about = nodes.LoadFaceAnalyzer.execute(nodes.OPEN, "auto", "automatic").args
    assert fetched == [file.name for file in MODEL_FILES[1:]]
    assert bars[0].value == bars[0].total == sum(file.size for file in MODEL_FILES[1:])
    assert loaded.recognizer == "sface"
    assert "runs on: CPU" in about


def test_every_input_and_output_is_explained(nodes):
    for node in nodes.NODES:
        schema = node.define_schema()
        assert schema.description
        for item in [*schema.inputs, *schema.outputs]:
            assert item.tooltip, f"{schema.node_id}: {item}"


@pytest.mark.host
def test_a_box_or_a_mask_of_the_host_says_who_is_meant(host, photos):
    """Two people side by side; what the host's own nodes give chooses the second."""
    pair = host.base / "input" / "pair.png"
    pictures = [Image.open(photos[name]).convert("RGB").resize((400, 500)) for name in ("obama", "biden")]
    both = Image.new("RGB", (800, 500))
    both.paste(pictures[0], (0, 0))
    both.paste(pictures[1], (400, 0))
    both.save(pair)
    info = host.object_info()
    workflow = {
        "1": ANALYZER,
        "2": {"class_type": "LoadImage", "inputs": {"image": "pair.png"}},
        "3": {"class_type": "LoadImage", "inputs": {"image": host.upload(photos["biden"])}},
        "4": {"class_type": "SolidMask", "inputs": {"value": 0.0, "width": 800, "height": 500}},
        "5": {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 400, "height": 500}},
        "6": {
            "class_type": "MaskComposite",
            "inputs": {"destination": ["4", 0], "source": ["5", 0], "x": 400, "y": 0, "operation": "add"},
        },
        "7": load_faces(images=["2", 0], masks=["6", 0]),
        "8": {
            "class_type": "HiFiPortraitCompareFaces",
            "inputs": {"images": ["3", 0], "faces": ["7", 0], "analyzer": ["1", 0]},
        },
    }
    if "PrimitiveBoundingBox" in info:
        place = {"x": 400, "y": 0, "width": 400, "height": 500}
        workflow["6"] = {"class_type": "PrimitiveBoundingBox", "inputs": place}
        workflow["7"] = load_faces(images=["2", 0], boxes=["6", 0])
    compared = host.run(workflow).nodes["8"]["text"][0]
    assert float(compared.split("similarity ")[1].split(",")[0].split()[0]) > 0.6


@pytest.mark.host
def test_photos_come_by_sockets_that_grow(host, photos):
    """Two sockets, a batch and a folder together; hosts without such sockets offer none."""
    offered = host.object_info()["HiFiPortraitLoadReferenceFaces"]["input"]["optional"]
    if "photos" not in offered:
        assert not any(spec[0].startswith("COMFY_AUTOGROW") for spec in offered.values())
        return
    host.upload(photos["obama3"], "grown/third.jpg")
    load = {
        name: {"class_type": "LoadImage", "inputs": {"image": host.upload(photos[name])}} for name in PHOTOS
    }
    sockets = {"photos.photo0": ["obama", 0], "photos.photo1": ["obama2", 0]}
    workflow = {
        **load,
        "1": ANALYZER,
        "2": load_faces(images=["obama_partial_face", 0], folder="grown", **sockets),
    }
    workflow["3"] = {"class_type": "PreviewImage", "inputs": {"images": ["2", 2]}}
    assert len(host.run(workflow).images(3)) == 4


PHOTOS = ("obama", "obama2", "obama_partial_face")

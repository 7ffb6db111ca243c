"""The edge of every node: linked values are checked, and no message can end the host's worker."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image

from harness.host import HostError, import_host

ANALYZER = {
    "class_type": "HiFiPortraitLoadFaceAnalyzer",
    "inputs": {"analyzer": "open (YuNet + SFace)", "provider": "auto", "missing_files": "ask"},
}
LANDMARKS = {
    "class_type": "HiFiPortraitGenerateLandmarks",
    "inputs": {"width": 256, "height": 256, "style": "kps5"},
}


def faces(folder: str):
    inputs = {"analyzer": ["1", 0], "pick": "common person", "index": 0, "other_people": "drop"}
    return {"class_type": "HiFiPortraitLoadReferenceFaces", "inputs": {**inputs, "folder": folder}}


def shown(node: str, output: int):
    return {"class_type": "PreviewAny", "inputs": {"source": [node, output]}}


def refused(host, graph) -> str:
    """The message of a job that is refused or fails; the next job works."""
    with pytest.raises(HostError) as caught:
        host.run(graph, timeout=60)
    assert host.run({"1": LANDMARKS, "2": shown("1", 2)}, timeout=60).nodes
    text = str(caught.value)
    assert "\n" not in text.strip()
    text.encode("utf-8")
    return text


@pytest.mark.host
@pytest.mark.skipif(os.name == "nt", reason="file names in bytes")
def test_a_file_name_that_is_not_utf8_does_not_stop_the_queue(host):
    folder = host.base / "input" / "oldzip"
    folder.mkdir()
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(folder / "a.jpg")
    (folder / "a.jpg").rename(folder / os.fsdecode(b"Fran\xe7ois.jpg"))
    text = refused(host, {"1": ANALYZER, "2": faces("oldzip"), "3": shown("2", 3)})
    assert "Fran\\xe7ois.jpg: no face found (200 x 200 px)" in text


@pytest.mark.host
def test_a_lone_surrogate_in_an_input_does_not_stop_the_queue(host):
    text = refused(host, {"1": ANALYZER, "2": faces("no\ud800where"), "3": shown("2", 3)})
    assert "no\\ud800where" in text
    sequence = {
        "class_type": "HiFiPortraitLandmarkSequence",
        "inputs": {
            **LANDMARKS["inputs"],
            "smoothing": 0.0,
            "expression_strength": 1.0,
            "head_rotation": 1.0,
            "capture_file": "\udfffcapture.csv",
        },
    }
    assert "\\udfffcapture.csv" in refused(host, {"1": sequence, "2": shown("1", 2)})


@pytest.mark.host
@pytest.mark.parametrize(
    ("kind", "name", "value", "message"),
    [
        ("PrimitiveFloat", "scale", 1e9, "Generate Landmarks: scale must lie between"),
        ("PrimitiveInt", "width", 10**6, "Generate Landmarks: width must lie between 64 and 8192"),
    ],
)
def test_linked_values_are_checked_as_typed_ones_are(host, kind, name, value, message):
    graph = {
        "0": {"class_type": kind, "inputs": {"value": value}},
        "1": {**LANDMARKS, "inputs": {**LANDMARKS["inputs"], name: ["0", 0]}},
        "2": shown("1", 2),
    }
    assert message in refused(host, graph)


@pytest.mark.host
@pytest.mark.parametrize("name", ["/etc/passwd", "../tiny/base.safetensors", "/etc/nothing-here", "\ud800"])
def test_the_tiny_model_is_loaded_from_the_pack_alone(host, tmp_path, name):
    graph = {
        "1": {"class_type": "HiFiPortraitLoadTinyPortraitModel", "inputs": {"model_file": name}},
        "2": shown("1", 3),
    }
    assert "is not one of base.safetensors" in refused(host, graph)


@pytest.mark.host
def test_a_copy_of_the_tiny_model_elsewhere_is_not_opened(host, tmp_path):
    import_host()
    from hifi_portrait.nodes.tiny import LoadTinyPortraitModel
    from hifi_portrait.tiny.base_file import ASSETS

    elsewhere = tmp_path / "base.safetensors"
    elsewhere.write_bytes((ASSETS / "base.safetensors").read_bytes())
    for ask in (LoadTinyPortraitModel.fingerprint_inputs, LoadTinyPortraitModel.execute):
        with pytest.raises(ValueError, match=r"is not one of base\.safetensors"):
            ask(str(elsewhere))


@pytest.fixture(scope="module")
def guard():
    import_host()
    from hifi_portrait.nodes import guard

    return guard


@pytest.fixture
def node(guard):
    """A guarded node that raises what it is told."""
    from comfy_api.latest import io

    class Raises(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            inputs = [
                io.Float.Input("number", min=0.0, max=2.0),
                io.Int.Input("count", optional=True, min=1),
                io.Combo.Input("style", optional=True, options=["mesh72", "kps5"]),
            ]
            return io.Schema("TestRaises", "Raises", inputs=inputs)

        @classmethod
        def validate_inputs(cls, number):
            return f"bad \ud800 {'x' * 1000}"

        @classmethod
        def execute(cls, number, count=None, style=None, error=None):
            if error:
                raise error
            return io.NodeOutput(number)

    return guard.guarded([Raises])[0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 3, "1", True, None, [1.0]])
def test_numbers_are_finite_numbers_within_their_range(node, value):
    with pytest.raises(ValueError, match="Raises: number must") as caught:
        node.execute(number=value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", ["mesh73", 0, np.zeros(2), "x" * 10**6])
def test_choices_are_among_the_options(node, value):
    with pytest.raises(ValueError, match=r"Raises: style .* is not one of mesh72, kps5") as caught:
        node.execute(number=1.0, style=value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("FACE_ANALYZER", {}),
        ("REFERENCE_FACES", "faces"),
        ("IDENTITY", None),
        ("FACE_LANDMARKS_3D", [1, 2]),
        ("HIFI_NET", 7),
        ("HEAD", {"a": 1}),
        ("MODEL", "model"),
        ("VAE", 256),
        ("CLIP_VISION", {}),
        ("IMAGE", "x" * 10**6),
        ("IMAGE", torch.zeros(2, 3)),
        ("IMAGE", torch.zeros(1, 4, 4, 9)),
        ("MASK", torch.zeros(0, 4, 4)),
    ],
)
def test_what_a_prompt_holds_in_place_of_a_link_is_checked(guard, kind, value):
    from hifi_portrait.nodes.sockets import socket_problem

    text = socket_problem(kind, value)
    assert text.startswith("must come from ")
    assert text.isprintable()
    assert len(text) < 200
    assert socket_problem("LATENT", value) is None


@pytest.mark.host
def test_a_dictionary_is_no_analyzer(host):
    text = refused(
        host, {"1": {**faces("x"), "inputs": {**faces("x")["inputs"], "analyzer": {}}}, "2": shown("1", 3)}
    )
    assert "Load Reference Faces: analyzer must come from Load Face Analyzer, it is {}" in text


def test_right_values_pass(node):
    assert node.execute(number=1, style="kps5").args == (1,)
    assert node.execute(number=1).args == (1,)
    assert node.execute(number=np.float32(0.5), count=np.int64(3)).args == (0.5,)
    assert node.execute(number=2.0, count=None).args == (2.0,)


def test_our_messages_are_one_short_line(node):
    with pytest.raises(ValueError, match=r"^a b") as caught:
        node.execute(number=1.0, error=ValueError("a\nb" + "x" * 10**6))
    assert len(str(caught.value)) == 299
    with pytest.raises(ValueError, match=r"old \\ud800"):
        node.execute(number=1.0, error=ValueError("old \ud800"))


def test_a_command_is_not_cut(node, guard):
    with pytest.raises(guard.MissingModelFileError) as caught:
        node.execute(number=1.0, error=guard.MissingModelFileError("x" * 1000))
    assert str(caught.value) == "x" * 1000


def test_the_host_still_sees_which_inputs_are_validated(node):
    import inspect

    assert inspect.getfullargspec(node.validate_inputs).args == ["cls", "number"]
    answer = node.validate_inputs(1.0)
    assert answer.startswith("bad \\ud800")
    assert len(answer) == 299


def test_the_cause_of_an_error_can_be_logged_too(node):
    import traceback

    error = ValueError("clean")
    error.__cause__ = OSError("dirty \udce7")
    with pytest.raises(ValueError, match="clean") as caught:
        node.execute(number=1.0, error=error)
    "".join(traceback.format_exception(caught.value)).encode("utf-8")


@pytest.mark.host
def test_missing_and_misshapen_names_are_refused_by_the_host_in_order(host):
    for inputs in ({}, {"name": [1.5]}, {"name": {"a": 1}}):
        answer = refused(
            host, {"1": {"class_type": "HiFiPortraitLoadIdentity", "inputs": inputs}, "2": shown("1", 1)}
        )
        assert "exception" not in answer.lower()
        assert "name" in answer or "an input holds a list" in answer

"""What does not fit into the memory is refused before it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hifi_portrait.boundary import memory
from hifi_portrait.boundary.memory import free_memory, require_memory
from hifi_portrait.landmarks.generate import generate
from hifi_portrait.landmarks.model import FaceModel

from harness.host import import_host


@pytest.fixture(scope="module")
def results():
    import_host()
    from hifi_portrait.nodes import landmark_results

    return landmark_results


@pytest.fixture
def nodes(results, tmp_path, monkeypatch):
    """The nodes that make many faces, on an input folder with a minute of capture at 60 frames a second."""
    import folder_paths
    from hifi_portrait.nodes import landmark_batches

    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path))
    (tmp_path / "minute.csv").write_text("JawOpen,HeadYaw\n" + "0.5,0.1\n" * 3600)
    return landmark_batches


def sequence(nodes, **inputs):
    values = {"width": 1024, "height": 1024, "style": "mesh72", "smoothing": 0.0, "expression_strength": 1.0}
    return nodes.LandmarkSequence.execute(
        **{**values, "head_rotation": 1.0, "capture_file": "minute.csv", **inputs}
    )


def test_a_minute_of_capture_is_refused_before_it_is_drawn(nodes, results, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 12_000_000_000)
    monkeypatch.setattr(results, "draw", lambda *_: pytest.fail("it was drawn"))
    message = r"3600 drawings of 1024 x 1024 px need 45\.3 GB, 12\.0 GB are free: use fewer faces"
    with pytest.raises(ValueError, match=message):
        sequence(nodes)
    face = generate(FaceModel.load(), width=8192, height=8192)
    with pytest.raises(ValueError, match="1024 drawings of 8192 x 8192 px"):
        nodes.InterpolateLandmarks.execute(first=face, last=face, count=1024, easing="linear", style="kps5")


def test_what_fits_is_made(nodes):
    landmarks, pictures, _ = sequence(nodes, width=64, height=64, every=12).args
    assert len(landmarks) == 300
    assert pictures.shape == (300, 64, 64, 3)
    assert pictures.max() == 1.0
    assert np.ptp(landmarks.pose, 0).max() == 0


def test_a_sequence_in_parts_is_the_sequence_at_once(nodes, monkeypatch):
    whole = sequence(nodes, width=64, height=64, max_frames=40).args[0]
    monkeypatch.setattr(nodes, "_PART", 7)
    parts = sequence(nodes, width=64, height=64, max_frames=40).args[0]
    assert np.array_equal(parts.points, whole.points)
    assert parts.notes == whole.notes


def test_drawings_are_those_of_each_face(results):
    from hifi_portrait.landmarks.draw import draw
    from hifi_portrait.landmarks.landmarks import concatenate

    faces = concatenate([generate(FaceModel.load(), pose=(k, 0, 0), width=64, height=64) for k in range(20)])
    drawn = results.drawing(faces, "mesh72")
    assert np.array_equal((drawn.numpy() * 255).round(), draw(faces, "mesh72"))


def test_drawing_can_be_interrupted(results):
    import comfy.model_management as host
    import comfy.utils

    faces = generate(FaceModel.load(), pose=np.zeros((20, 3)), width=64, height=64)
    comfy.utils.set_progress_bar_global_hook(
        lambda *_, **__: host.throw_exception_if_processing_interrupted()
    )
    host.interrupt_current_processing()
    try:
        with pytest.raises(host.InterruptProcessingException):
            results.drawing(faces, "mesh72")
    finally:
        comfy.utils.set_progress_bar_global_hook(None)


def test_the_limit_of_a_container_counts(tmp_path, monkeypatch):
    (tmp_path / "max").write_text("3000000000\n")
    (tmp_path / "used").write_text("1000000000\n")
    monkeypatch.setattr(memory, "_GROUPS", ((tmp_path / "none", tmp_path / "none"),))
    free = free_memory()
    assert free > 0
    monkeypatch.setattr(memory, "_GROUPS", ((tmp_path / "max", tmp_path / "used"),))
    assert 0 < free_memory() <= 2_000_000_000
    (tmp_path / "max").write_text("max\n")
    assert free_memory() > 0
    require_memory(10**6, "a small thing", "nothing")
    with pytest.raises(ValueError, match="a large thing need"):
        require_memory(10**15, "a large thing", "nothing")

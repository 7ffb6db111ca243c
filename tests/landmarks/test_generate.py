"""Landmarks of a person in a wanted pose and expression."""

import numpy as np
import pytest
from hifi_portrait.landmarks.generate import default_placement, generate, placement
from hifi_portrait.landmarks.landmarks import concatenate
from hifi_portrait.landmarks.target import Target, generate_for


def test_neutral_face_is_where_it_should_be(model):
    face = generate(model, width=800, height=1000)
    (x, y), scale = default_placement(800, 1000)
    eyes = [face.points[0, rows, :2].mean(0) for rows in (slice(36, 42), slice(42, 48))]
    assert np.mean(eyes, 0) == pytest.approx([x, y], abs=2.0)
    assert np.linalg.norm(eyes[1] - eyes[0]) == pytest.approx(scale, rel=0.05)
    assert face.visible.all()
    assert face.notes == ()


def test_a_turned_head_hides_its_far_side(model):
    face = generate(model, pose=(50, 0, 0))
    assert not face.visible[0, 12:17].any()  # the subject's left jaw, on the picture's right
    assert face.visible[0, :5].all()
    mirrored = generate(model, pose=(-50, 0, 0))
    assert not mirrored.visible[0, :5].any()


def test_closed_lids_hide_pupils(model):
    shut = generate(model, expression=model.coefficients({"eyeBlinkLeft": 1.0}))
    assert not shut.visible[0, 69]
    assert shut.visible[0, 68]


def test_batches_broadcast_and_keep_order(model):
    poses = np.array([[0, 0, 0], [20, 0, 0], [40, 0, 0]], float)
    batch = generate(model, pose=poses, expression=model.coefficients({"jawOpen": 0.5}))
    assert len(batch) == 3
    for row, pose in enumerate(poses):
        alone = generate(model, pose=pose, expression=model.coefficients({"jawOpen": 0.5}))
        assert np.array_equal(alone.points[0], batch.points[row])
        assert np.array_equal(batch[row].points, alone.points)
    with pytest.raises(ValueError, match="rows"):
        generate(model, pose=poses, scale=np.array([100.0, 120.0]))


def test_limits_are_told(model):
    face = generate(model, pose=(120, 0, 0), expression=np.full(52, 1.5))
    assert face.pose[0, 0] == 90
    assert any("Yaw" in note for note in face.notes)
    assert face.expression.max() <= 1
    outside = generate(model, position=(0.0, 0.0))
    assert any("outside" in note for note in outside.notes)


@pytest.mark.parametrize("bad", [{"pose": (np.nan, 0, 0)}, {"scale": -5.0}, {"width": 8}])
def test_impossible_requests_fail_clearly(model, bad):
    with pytest.raises(ValueError, match="landmarks"):
        generate(model, **bad)


def test_smallest_canvas(model):
    face = generate(model, width=64, height=64)
    assert ((face.points[0, :, :2] > 0) & (face.points[0, :, :2] < 64)).all()


def test_placement_is_recovered_exactly(model):
    face = generate(model, np.full(5, 0.5), (25, -10, 12), None, 900, 700, (300, 350), 120.0)
    position, scale = placement(face, model)
    assert position[0] == pytest.approx([300, 350], abs=0.01)
    assert scale[0] == pytest.approx(120, abs=0.01)


def test_resizing_never_stretches(model):
    face = generate(model, width=512, height=512)
    wide = face.resized(1024, 512)
    assert wide.points[0, :, :2] - [256, 0] == pytest.approx(face.points[0, :, :2], abs=1e-3)
    half = face.resized(256, 256)
    assert half.points == pytest.approx(face.points / 2, abs=1e-3)


def test_batches_on_different_canvases_are_refused(model):
    with pytest.raises(ValueError, match="canvases differ"):
        concatenate([generate(model, width=512), generate(model, width=640)])


def test_sliders_add_to_a_target(model):
    target = Target(
        pose=np.array([[10.0, -5, 3], [20, 0, 0]]),
        expression=np.stack([model.coefficients({"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6})] * 2),
    )
    face = generate_for(model, {"yaw": 15.0, "smile": -0.4}, 512, 512, target=target)
    assert face.pose == pytest.approx(np.array([[25, -5, 3], [35, 0, 0]]))
    assert face.expression[:, model.expression_index["mouthSmileLeft"]] == pytest.approx(0.2)


def test_own_expression_is_kept_as_far_as_wanted(model):
    own = model.coefficients({"jawOpen": 0.8})
    row = model.expression_index["jawOpen"]
    for keep in (0.0, 0.5, 1.0):
        face = generate_for(model, {}, 512, 512, own_expression=own, keep_expression=keep)
        assert face.expression[0, row] == pytest.approx(0.8 * keep)


def test_raw_coefficients_replace_sliders(model):
    face = generate_for(model, {"mouth_open": 0.9}, 512, 512, raw_expression={"jawOpen": 0.2})
    assert face.expression[0, model.expression_index["jawOpen"]] == pytest.approx(0.2)


def test_identity_stays_when_pose_and_expression_change(model):
    shape = np.random.default_rng(3).normal(size=model.components)
    a = generate_for(model, {"yaw": 30.0, "smile": 1.0}, 512, 512, shape)
    b = generate_for(model, {"pitch": -20.0, "mouth_open": 0.7}, 512, 512, shape)
    assert np.array_equal(a.shape, b.shape)

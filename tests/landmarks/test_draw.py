"""Drawings of landmarks, in every style."""

import math

import cv2
import numpy as np
import pytest
from hifi_portrait.landmarks.draw import STYLES, draw, draw_five_points
from hifi_portrait.landmarks.generate import generate
from hifi_portrait.landmarks.names import five_points


def instantid_picture(keypoints, width, height):
    """InstantID's published formulas, step by step, in floating point and with one picture per stick."""
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)]
    keypoints = np.array(keypoints)
    picture = np.zeros([height, width, 3])
    for first, second in ((0, 2), (1, 2), (3, 2), (4, 2)):
        x, y = keypoints[[first, second]].T
        length = ((x[0] - x[1]) ** 2 + (y[0] - y[1]) ** 2) ** 0.5
        angle = math.degrees(math.atan2(y[0] - y[1], x[0] - x[1]))
        outline = cv2.ellipse2Poly(
            (int(np.mean(x)), int(np.mean(y))), (int(length / 2), 4), int(angle), 0, 360, 1
        )
        picture = cv2.fillConvexPoly(picture.copy(), outline, colours[first])
    picture = (picture * 0.6).astype(np.uint8)
    for (x, y), colour in zip(keypoints, colours, strict=True):
        picture = cv2.circle(picture.copy(), (int(x), int(y)), 10, colour, -1)
    return picture.astype(np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_kps5_is_instantid_to_the_pixel(seed):
    rng = np.random.default_rng(seed)
    width, height = rng.integers(64, 1100, 2)
    keypoints = rng.uniform(-20, [width + 20, height + 20], (5, 2)).astype(np.float32)
    assert np.array_equal(
        draw_five_points(keypoints, width, height), instantid_picture(keypoints, width, height)
    )


def test_kps5_style_draws_the_five_points_of_the_face(model):
    face = generate(model, pose=(25, -10, 8), width=640, height=512)
    expected = instantid_picture(five_points(face.points[0, :, :2]), 640, 512)
    assert np.array_equal(draw(face, "kps5")[0], expected)


@pytest.mark.parametrize("style", list(STYLES))
@pytest.mark.parametrize("size", [(64, 64), (512, 512), (1024, 768)])
def test_every_style_at_every_size(model, style, size):
    face = generate(model, pose=np.array([[0, 0, 0], [40, 0, 0]]), width=size[0], height=size[1])
    pictures = draw(face, style)
    assert pictures.shape == (2, size[1], size[0], 3)
    assert pictures.dtype == np.uint8
    assert all(0.002 < (picture.max(-1) > 0).mean() < 0.6 for picture in pictures)
    assert not np.array_equal(pictures[0], pictures[1])


def test_another_aspect_leaves_room_instead_of_stretching(model):
    face = generate(model, width=512, height=512)
    square, wide = draw(face)[0], draw(face, width=1024, height=512)[0]
    assert np.array_equal(wide[:, 256:768], square)
    assert not wide[:, :256].any()


def test_lines_are_where_the_points_are(model):
    face = generate(model, width=512, height=512)
    lit = draw(face)[0].max(-1)
    for x, y in face.points[0, :, :2]:
        assert lit[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].max() > 90


def test_hidden_parts_are_dimmed(model):
    face = generate(model, pose=(45, 0, 0), width=512, height=512)
    hidden = [i for i in range(17) if not face.visible[0, i]]
    assert hidden
    picture = draw(face)[0]
    brightest = []
    for x, y in face.points[0, hidden, :2]:
        brightest.append(int(picture[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].max()))
    assert 0 < min(brightest) < 120


def test_mesh72_is_anti_aliased_and_moves_by_parts_of_a_pixel(model):
    a = draw(generate(model, width=256, height=256, position=(128.0, 110.0)))[0]
    b = draw(generate(model, width=256, height=256, position=(128.25, 110.0)))[0]
    assert len(np.unique(a)) > 40
    difference = np.abs(a.astype(int) - b.astype(int))
    assert 0 < difference.mean() < 3


def test_left_and_right_have_colours_of_their_own(model):
    picture = draw(generate(model, width=512, height=512))[0]
    assert not np.array_equal(picture, picture[:, ::-1])


def test_unknown_style_is_named(model):
    with pytest.raises(ValueError, match="mesh99"):
        draw(generate(model), "mesh99")

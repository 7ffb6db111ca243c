"""Canonical crops: the same place and size for every face, and no background."""

import numpy as np
import pytest
from hifi_portrait.faces.crop import CROP_SCALE, EYES_Y, GREY, canonical_crop, canonical_matrix, in_crop
from hifi_portrait.faces.geometry import (
    STABLE_SHAPE,
    head_pose,
    invert,
    pose_degrees,
    similarity_2d,
    transform,
    warp,
)
from hifi_portrait.landmarks.camera import rotation
from hifi_portrait.landmarks.model import FaceModel


def test_the_stable_shape_is_the_mean_faces():
    mean = FaceModel.load().mean[[36, 39, 42, 45, 30, 33, 48, 54]]
    assert np.abs(mean - STABLE_SHAPE).max() < 6e-4


@pytest.mark.parametrize("pose", [(0, 0, 0), (40, 0, 0), (-25, 15, -30), (10, -20, 60), (60, 10, 170)])
def test_pose_is_the_architectures(pose):
    points = np.zeros((68, 3))
    points[[36, 39, 42, 45, 30, 33, 48, 54]] = 50 * STABLE_SHAPE @ rotation(*pose).T * (1, -1, 1)
    scale, matrix, origin = head_pose(points + np.array([300, 200, 7]))
    assert scale == pytest.approx(50)
    assert np.allclose(origin, (300, 200))
    assert np.allclose(pose_degrees(matrix), pose)


@pytest.mark.parametrize("pose", [(0, 0, 0), (45, 0, 0), (-30, 20, 25), (0, -25, -60)])
def test_any_pose_is_cropped_at_one_size_and_upright(pose):
    points = np.zeros((68, 3))
    points[[36, 39, 42, 45, 30, 33, 48, 54]] = 80 * STABLE_SHAPE @ rotation(*pose).T * (1, -1, 1)
    points[:, :2] += (500, 400)
    cropped = in_crop(points, canonical_matrix(points))
    scale, matrix, origin = head_pose(cropped)
    assert scale == pytest.approx(CROP_SCALE, rel=1e-4)
    assert pose_degrees(matrix) == pytest.approx((pose[0], pose[1], 0), abs=0.01)
    if pose == (0, 0, 0):
        assert origin == pytest.approx((112, EYES_Y), abs=1e-3)
    assert 60 < origin[0] < 164


@pytest.mark.parametrize("name", ["obama", "obama2", "obama3", "biden"])
def test_photos_are_framed_alike_and_matted(analyzer, pictures, name):
    image = pictures[name].pixels
    face = analyzer.analyze(image, name)[0]
    crop, matrix, mask = canonical_crop(image, face.landmarks, analyzer.person_mask)
    points = in_crop(face.landmarks, matrix)
    assert 20 < points[:, 1].min() < 60  # the hairline
    assert 185 < points[:, 1].max() < 220  # the chin
    assert abs(points[:, 0].mean() - 112) < 16
    corners = mask[:30, [*range(15), *range(209, 224)]]
    assert (corners < 0.1).mean() > 0.5
    assert (crop[mask == 0] == GREY).all()
    assert mask[60:190, 85:140].mean() > 0.97


def test_the_matrix_takes_the_picture_to_the_crop(analyzer, pictures):
    image = pictures["obama"].pixels
    face = analyzer.analyze(image, "")[0]
    crop, matrix, _ = canonical_crop(image, face.landmarks, None)
    eye = face.landmarks[33, :2]
    patch = image[int(eye[1]) - 4 : int(eye[1]) + 5, int(eye[0]) - 4 : int(eye[0]) + 5].reshape(-1, 3).mean(0)
    there = in_crop(face.landmarks[33:34], matrix)[0, :2].astype(int)
    shown = crop[there[1] - 2 : there[1] + 3, there[0] - 2 : there[0] + 3].reshape(-1, 3).mean(0)
    assert np.abs(patch - shown).max() < 25


def test_outside_the_picture_there_is_no_person(analyzer, pictures):
    image = pictures["obama_partial_face2"].pixels
    face = analyzer.analyze(image, "")[0]
    crop, matrix, mask = canonical_crop(image, face.landmarks, None)
    edge = int(transform(np.array([[image.shape[1], 400.0]]), matrix)[0, 0])
    assert (mask[:, edge + 2 :] == 0).all()
    assert (crop[:, edge + 2 :] == GREY).all()
    assert (mask[:, 20 : edge - 2] == 1).all()


@pytest.mark.parametrize("zoom", [0.11, 0.5, 0.9, 1.7])
def test_warp_puts_pixels_where_the_matrix_says(zoom):
    y, x = np.mgrid[0:400, 0:500].astype(np.float32) + 0.5
    ramps = np.stack([x, y], axis=-1)
    matrix = np.array([[zoom, 0, -20.0 * zoom], [0, zoom, -30.0 * zoom]])
    size = int(300 * zoom)
    view = warp(ramps, matrix, size, border=None)
    centres = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1)
    assert np.abs(view - transform(centres, invert(matrix)))[3:-3, 3:-3].max() < 0.6


def test_warp_averages_where_it_shrinks():
    checks = np.indices((640, 640)).sum(0) % 2 * np.uint8(255)
    small = warp(checks.astype(np.uint8), np.array([[0.1, 0, 0], [0, 0.1, 0]]), 64, border=None)
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127).max() < 8


def test_a_view_outside_the_picture_is_border():
    outside = warp(np.full((9, 9, 3), 50, np.uint8), np.array([[1, 0, 900.0], [0, 1, 0]]), 16, border=GREY)
    assert (outside == GREY).all()


def test_similarity_is_found_again():
    points = np.random.default_rng(1).normal(size=(6, 2))
    truth = np.hstack([2.5 * np.array([[0.8, -0.6], [0.6, 0.8]]), [[3], [-4]]])
    assert np.allclose(similarity_2d(points, transform(points, truth)), truth)

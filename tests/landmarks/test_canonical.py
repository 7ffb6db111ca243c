"""Canonical coordinates: on the face, of crops, and where nothing is."""

import numpy as np
import pytest
from hifi_portrait.landmarks.canonical import canonical_map, crop_canonical_map
from hifi_portrait.landmarks.generate import generate


def slow_map(points, width, height, model):
    """One triangle and one pixel at a time."""
    result = np.zeros((height, width, 3))
    nearest = np.full((height, width), -np.inf)
    for corners in model.triangles:
        a, b, c = points[corners].astype(float)
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area <= 1e-9:
            continue
        for y in range(height):
            for x in range(width):
                px, py = x + 0.5, y + 0.5
                l1 = ((px - a[0]) * (c[1] - a[1]) - (py - a[1]) * (c[0] - a[0])) / area
                l2 = ((b[0] - a[0]) * (py - a[1]) - (b[1] - a[1]) * (px - a[0])) / area
                if min(l1, l2, 1 - l1 - l2) < -1e-5:
                    continue
                depth = a[2] + l1 * (b[2] - a[2]) + l2 * (c[2] - a[2])
                if depth > nearest[y, x]:
                    nearest[y, x] = depth
                    result[y, x, :2] = (1 - l1 - l2) * model.uv[corners[0]]
                    result[y, x, :2] += l1 * model.uv[corners[1]] + l2 * model.uv[corners[2]]
                    result[y, x, 2] = 1
    return result


@pytest.mark.parametrize("pose", [(0, 0, 0), (55, -10, 15)])
def test_same_as_the_slow_way(model, pose):
    face = generate(model, pose=pose, width=32, height=32, scale=9.0, position=(15.3, 13.1))
    fast, slow = canonical_map(face.points[0], 32, 32, model), slow_map(face.points[0], 32, 32, model)
    assert (fast[..., 2] != slow[..., 2]).mean() < 0.003  # pixels exactly on an edge
    both = (fast[..., 2] == 1) & (slow[..., 2] == 1)
    assert np.median(np.abs(fast - slow)[both]) < 1e-4
    assert np.abs(fast - slow)[both].max() < 0.06


@pytest.mark.parametrize("pose", [(0, 0, 0), (30, 10, -12)])
def test_points_land_on_their_own_coordinates(model, pose):
    face = generate(model, pose=pose, width=512, height=512)
    found = canonical_map(face.points[0], 512, 512, model)
    near = []
    for i in range(60):
        x, y = face.points[0, i, :2].astype(int)
        if face.visible[0, i] and found[y, x, 2]:
            near.append(np.abs(found[y, x, :2] - model.uv[i]).max() < 0.03)
    assert len(near) > 35
    assert np.mean(near) > 0.9  # the rest lies on the outline, where the next pixel shows another part


def test_frontal_face_runs_from_left_to_right_and_down(model):
    face = generate(model, width=256, height=256)
    found = canonical_map(face.points[0], 256, 256, model)
    row, column = found[115], found[:, 128]
    u, v = row[row[:, 2] == 1, 0], column[column[:, 2] == 1, 1]
    assert (np.diff(u) > -1e-4).all()
    assert (np.diff(v) > -1e-4).all()
    assert u[0] < 0.1
    assert u[-1] > 0.9
    assert not found[found[..., 2] == 0].any()


def test_scaling_the_map_keeps_the_face_in_place(model):
    face = generate(model, pose=(20, 0, 0), width=1024, height=1024)
    big = canonical_map(face.points[0], 1024, 1024, model)
    small = canonical_map(face.resized(64, 64).points[0], 64, 64, model)
    sampled = big[8::16, 8::16]
    both = (sampled[..., 2] == 1) & (small[..., 2] == 1)
    assert both.sum() > 300
    assert np.abs(sampled - small)[both].mean() < 0.005


def test_face_outside_the_canvas_and_bad_points(model):
    face = generate(model, position=(5000.0, 5000.0))
    assert not canonical_map(face.points[0], 64, 64, model).any()
    with pytest.raises(ValueError, match="finite"):
        canonical_map(np.full((72, 3), np.nan), 64, 64, model)
    with pytest.raises(ValueError, match="72"):
        canonical_map(np.zeros((68, 3)), 64, 64, model)


def test_map_of_a_crop_follows_the_crop(model):
    face = generate(model, pose=(15, 5, 0), width=600, height=600, scale=90.0)
    angle, zoom = np.deg2rad(20), 0.8
    matrix = np.array(
        [
            [zoom * np.cos(angle), -zoom * np.sin(angle), -40.0],
            [zoom * np.sin(angle), zoom * np.cos(angle), -150.0],
        ]
    )
    crop = crop_canonical_map(face.points[0], matrix, 112, model)
    for i in (30, 36, 45, 8):
        x, y = (matrix @ [*face.points[0, i, :2], 1.0]) / 2
        if 0 <= x < 112 and 0 <= y < 112:
            assert crop[int(y), int(x), :2] == pytest.approx(model.uv[i], abs=0.06)

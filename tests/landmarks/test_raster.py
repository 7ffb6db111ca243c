"""The rasteriser: what is nearest, which sides show, and what is interpolated between corners."""

import numpy as np
import pytest
from hifi_portrait.landmarks.raster import rasterise, uv_map, vertex_normals

FAR = [[0, 0, 0], [0, 8, 0], [8, 0, 0]]
NEAR = [[2, 2, 1], [2, 6, 1], [6, 2, 1]]
BACK = [[0, 0, 5], [8, 0, 5], [0, 8, 5]]
POINTS = np.array(FAR + NEAR + BACK, np.float32)
TRIANGLES = np.arange(9).reshape(3, 3)


def owners(coverage):
    """(8, 8) triangle of each pixel, -1 where there is none."""
    owner = np.full(64, -1)
    owner[coverage.pixel] = coverage.triangle
    return owner.reshape(8, 8)


def test_the_nearest_front_face_shows():
    found = rasterise(POINTS, TRIANGLES, 8, 8, "counterclockwise")
    owner = owners(found)
    assert (owner[3, 3], owner[0, 0], owner[7, 7]) == (1, 0, -1)
    assert len(np.unique(found.pixel)) == len(found.pixel)
    assert np.allclose(found.weights.sum(1), 1)


@pytest.mark.parametrize("front", ["clockwise", "counterclockwise"])
def test_turned_corners_show_from_the_other_side_with_the_same_weights(front):
    other = {"clockwise": "counterclockwise", "counterclockwise": "clockwise"}[front]
    one = rasterise(POINTS, TRIANGLES, 8, 8, front)
    two = rasterise(POINTS, TRIANGLES[:, ::-1], 8, 8, other)
    assert np.array_equal(owners(one), owners(two))
    assert np.allclose(one.weights, two.weights[:, ::-1], atol=1e-5)


def test_attributes_are_linear_and_missing_pixels_are_filled():
    found = rasterise(POINTS, TRIANGLES[:1], 8, 8, "counterclockwise")
    picture = found.interpolate(POINTS, TRIANGLES[:1], 8, 8, empty=-7.0)
    rows, columns = np.divmod(found.pixel, 8)
    assert np.allclose(picture[rows, columns, 0], columns + 0.5, atol=1e-4)
    assert np.allclose(picture[rows, columns, 1], rows + 0.5, atol=1e-4)
    assert (picture[7, 7] == -7).all()
    shown = uv_map(found, POINTS[:, :2] / 8, TRIANGLES[:1], 8, 8)
    assert np.array_equal(shown[..., 2], owners(found) >= 0)
    assert not shown[7, 7].any()


def test_nothing_in_view_and_unknown_fronts():
    assert len(rasterise(POINTS + 100, TRIANGLES, 8, 8).pixel) == 0
    assert len(rasterise(POINTS, TRIANGLES[:1], 8, 8, "clockwise").pixel) == 0
    with pytest.raises(ValueError, match="clockwise"):
        rasterise(POINTS, TRIANGLES, 8, 8, "both")


def test_normals_point_to_the_viewer_and_lonely_vertices_have_none():
    normals = vertex_normals(POINTS.astype(np.float64), TRIANGLES[2:])
    assert np.allclose(normals[6:], [0, 0, 1])
    assert not normals[:6].any()

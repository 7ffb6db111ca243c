"""Which of the 72 points the face itself hides."""

from __future__ import annotations

import numpy as np

from .model import FaceModel
from .names import interocular_distance


def visible_points(points: np.ndarray, model: FaceModel, tolerance: float = 0.06) -> np.ndarray:
    """Tell visible points from self-occluded ones (*ours*).

    A point is hidden when every triangle around it faces away, or when another triangle covers it and lies
    nearer to the viewer by more than ``tolerance``; a pupil also under closed lids.

    Parameters
    ----------
    points : np.ndarray
        (72, 3): x, y px (y down), z px towards the viewer.
    model : FaceModel
        For its triangles.
    tolerance : float
        In interocular distances of the face in the picture.

    Returns
    -------
    np.ndarray
        (72,) bool.
    """
    points = np.asarray(points, np.float64)
    triangles = model.triangles
    a, b, c = (points[triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    facing = np.zeros(len(points), bool)
    facing[triangles[area > -1e-9].ravel()] = True

    unit = interocular_distance(points)
    solid = np.abs(area) > 1e-6 * max(unit, 1e-6) ** 2
    a, b, c, area, corners = a[solid], b[solid], c[solid], area[solid], triangles[solid]
    p = points[:, None, :]
    l1 = ((p[..., 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (p[..., 1] - a[:, 1]) * (c[:, 0] - a[:, 0])) / area
    l2 = ((b[:, 0] - a[:, 0]) * (p[..., 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (p[..., 0] - a[:, 0])) / area
    depth = a[:, 2] + l1 * (b[:, 2] - a[:, 2]) + l2 * (c[:, 2] - a[:, 2])
    inside = (l1 > 1e-6) & (l2 > 1e-6) & (l1 + l2 < 1 - 1e-6)
    own = (corners[None] == np.arange(len(points))[:, None, None]).any(-1)
    covered = (inside & ~own & (depth > p[..., 2] + tolerance * unit)).any(1)
    seen = facing & ~covered
    for pupil, corners_, upper, lower in (
        (68, (36, 39), (37, 38), (40, 41)),
        (69, (42, 45), (43, 44), (46, 47)),
    ):
        along = points[corners_[1], :2] - points[corners_[0], :2]
        above = points[list(upper), :2].mean(0)
        # y points down: positive is on the upper lid's side of the line from corner to corner.
        opening = _side(above - points[list(lower), :2].mean(0), along)
        over_lid = _side(points[pupil, :2] - above, along)
        seen[pupil] &= opening > 0.02 * unit and over_lid < 0.04 * unit
    visible: np.ndarray = seen
    return visible


def _side(vector: np.ndarray, along: np.ndarray) -> float:
    """Length of a vector at right angles to ``along``, px."""
    return float((vector[0] * along[1] - vector[1] * along[0]) / max(float(np.linalg.norm(along)), 1e-9))

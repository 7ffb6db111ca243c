"""Canonical coordinates: which place of the unwrapped face each pixel shows."""

from __future__ import annotations

import numpy as np

from .model import FaceModel


def canonical_map(points: np.ndarray, width: int, height: int, model: FaceModel) -> np.ndarray:
    """Rasterise the triangulated landmarks with a z-buffer (*ours*: what aligns features with landmarks).

    Triangles that face away are skipped; of the rest the nearest wins at every pixel centre. Coordinates are
    interpolated linearly within a triangle in the picture.

    Parameters
    ----------
    points : np.ndarray
        (72, 3): x, y px of the wanted map (y down, pixel centres at .5), z towards the viewer.
    width, height : int
        Size of the map, px.
    model : FaceModel
        For triangles and texture coordinates.

    Returns
    -------
    np.ndarray
        (H, W, 3) float32: u, v in 0..1 and face (1 on the face, else all three are 0).
    """
    points = np.asarray(points, np.float64)
    if points.shape != (len(model.mean), 3) or not np.isfinite(points).all():
        raise ValueError(
            f"canonical map: needs finite points of shape ({len(model.mean)}, 3), got {points.shape}"
        )
    result = np.zeros((height * width, 3), np.float32)
    a, b, c = (points[model.triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low = np.minimum(np.minimum(a, b), c)[:, :2]
    high = np.maximum(np.maximum(a, b), c)[:, :2]
    first = np.clip(np.ceil(low - 0.5), 0, (width, height)).astype(np.int64)
    last = np.clip(np.floor(high - 0.5) + 1, 0, (width, height)).astype(np.int64)
    size = last - first
    keep = (area > 1e-9) & (size > 0).all(1)
    if not keep.any():
        return result.reshape(height, width, 3)
    a, b, c, area, first, size = a[keep], b[keep], c[keep], area[keep], first[keep], size[keep]
    corners = model.triangles[keep]

    # Every pixel of every bounding box at once: `owner` is the triangle, `pixel` the place.
    counts = size[:, 0] * size[:, 1]
    owner = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    inner = np.arange(counts.sum(), dtype=np.int32) - np.repeat(
        (np.cumsum(counts) - counts).astype(np.int32), counts
    )
    widths = size[owner, 0].astype(np.int32)
    row, column = np.divmod(inner, widths)
    column = column + first[owner, 0].astype(np.int32)
    row = row + first[owner, 1].astype(np.int32)

    def plane(at_a: np.ndarray, at_b: np.ndarray, at_c: np.ndarray) -> np.ndarray:
        """(T, 3) coefficients of the linear function of x, y, 1 with these values at the corners."""
        dx = ((at_b - at_a) * (c[:, 1] - a[:, 1]) - (at_c - at_a) * (b[:, 1] - a[:, 1])) / area
        dy = ((at_c - at_a) * (b[:, 0] - a[:, 0]) - (at_b - at_a) * (c[:, 0] - a[:, 0])) / area
        # Relative to the box's first pixel centre, so that float32 suffices.
        origin = first + 0.5
        return np.stack([dx, dy, at_a + dx * (origin[:, 0] - a[:, 0]) + dy * (origin[:, 1] - a[:, 1])], 1)

    zero, one = np.zeros(len(a)), np.ones(len(a))
    x = (column - first[owner, 0]).astype(np.float32)
    y = (row - first[owner, 1]).astype(np.float32)
    to_b, to_c = (plane(zero, *v).astype(np.float32) for v in ((one, zero), (zero, one)))

    def value(coefficients: np.ndarray, select: np.ndarray | slice) -> np.ndarray:
        k = coefficients[owner[select]]
        return k[:, 0] * x[select] + k[:, 1] * y[select] + k[:, 2]

    everything = slice(None)
    l1, l2 = value(to_b, everything), value(to_c, everything)
    inside = np.nonzero((l1 >= -1e-5) & (l2 >= -1e-5) & (l1 + l2 <= 1 + 1e-5))[0]
    pixel = row[inside] * width + column[inside]
    depth = value(plane(a[:, 2], b[:, 2], c[:, 2]).astype(np.float32), inside)
    nearest = np.full(height * width, -np.inf, np.float32)
    np.maximum.at(nearest, pixel, depth)
    front = depth >= nearest[pixel]
    inside, pixel = inside[front], pixel[front]
    weights = np.stack([1 - l1[inside] - l2[inside], l1[inside], l2[inside]], 1)
    uv = model.uv[corners].astype(np.float32)[owner[inside]]
    result[pixel, :2] = np.clip((uv * weights[..., None]).sum(1), 0, 1)
    result[pixel, 2] = 1.0
    return result.reshape(height, width, 3)


def crop_canonical_map(
    points: np.ndarray, crop_matrix: np.ndarray, size: int, model: FaceModel, crop: int = 224
) -> np.ndarray:
    """Canonical map of a reference's crop.

    Parameters
    ----------
    points : np.ndarray
        (72, 3) fitted points in px of the source picture.
    crop_matrix : np.ndarray
        (2, 3), source px -> px of a crop of ``crop`` x ``crop``.
    size : int
        Width and height of the map, px; the crop is scaled to it.
    model : FaceModel
        The 3D face.
    crop : int
        Size that ``crop_matrix`` aims at, px.

    Returns
    -------
    np.ndarray
        (size, size, 3) float32, as `canonical_map`.
    """
    matrix = np.asarray(crop_matrix, np.float64) * (size / crop)
    points = np.asarray(points, np.float64)
    moved = np.empty_like(points)
    moved[:, :2] = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    moved[:, 2] = points[:, 2] * np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    return canonical_map(moved, size, size, model)

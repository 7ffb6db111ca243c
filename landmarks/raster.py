"""Which triangle each pixel shows, with a z-buffer, in plain numpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Coverage(NamedTuple):
    """The P pixels of a picture that show a triangle."""

    pixel: np.ndarray
    """(P,) row * width + column."""
    triangle: np.ndarray
    """(P,) row of the triangles."""
    weights: np.ndarray
    """(P, 3) float32 share of each corner."""

    def interpolate(self, values: np.ndarray, triangles: np.ndarray, width: int, height: int) -> np.ndarray:
        """Interpolate what the corners have, linearly within a triangle in the picture.

        Parameters
        ----------
        values : np.ndarray
            (V, C) of each vertex.
        triangles : np.ndarray
            (T, 3), as rasterised.

        Returns
        -------
        np.ndarray
            (H, W, C) float32, 0 where no triangle is.
        """
        result = np.zeros((height * width, values.shape[1]), np.float32)
        corners = np.asarray(values, np.float32)[triangles[self.triangle]]
        result[self.pixel] = (corners * self.weights[..., None]).sum(1)
        return result.reshape(height, width, -1)


def rasterise(points: np.ndarray, triangles: np.ndarray, width: int, height: int) -> Coverage:
    """Find the nearest front-facing triangle at every pixel centre.

    Parameters
    ----------
    points : np.ndarray
        (V, 3): x, y px (y down, pixel centres at .5), z towards the viewer.
    triangles : np.ndarray
        (T, 3), front sides clockwise as seen in the picture; others are skipped.
    width, height : int
        Size of the picture, px.

    Returns
    -------
    Coverage
        Pixels where two triangles are equally near appear once for each.
    """
    points = np.asarray(points, np.float64)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low = np.minimum(np.minimum(a, b), c)[:, :2]
    high = np.maximum(np.maximum(a, b), c)[:, :2]
    first = np.clip(np.ceil(low - 0.5), 0, (width, height)).astype(np.int64)
    last = np.clip(np.floor(high - 0.5) + 1, 0, (width, height)).astype(np.int64)
    size = last - first
    keep = (area > 1e-9) & (size > 0).all(1)
    if not keep.any():
        nothing = np.zeros(0, np.int64)
        return Coverage(nothing, nothing, np.zeros((0, 3), np.float32))
    a, b, c, area, first, size = a[keep], b[keep], c[keep], area[keep], first[keep], size[keep]
    kept = np.nonzero(keep)[0]

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
    return Coverage(pixel, kept[owner[inside]], weights)


def uv_map(coverage: Coverage, uv: np.ndarray, triangles: np.ndarray, width: int, height: int) -> np.ndarray:
    """(H, W, 3) float32: u, v in 0..1 of what each pixel shows, and 1 there; else all three are 0."""
    result = np.zeros((height * width, 3), np.float32)
    result[..., :2] = np.clip(coverage.interpolate(uv, triangles, width, height), 0, 1).reshape(-1, 2)
    result[coverage.pixel, 2] = 1.0
    return result.reshape(height, width, 3)

"""The software rasteriser: which triangle each pixel shows, with a z-buffer, in plain numpy. *Ours*.

Maps of the face and the head, UV textures and the synthetic people all come from here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FRONTS = ("clockwise", "counterclockwise")
"""Which way the corners of a front side turn, as seen in the picture (y down)."""
_MARGIN = 1e-5
"""How far outside of a triangle a pixel centre still counts, so that neighbours leave no gap."""


class Coverage(NamedTuple):
    """The P pixels of a picture that show a triangle, each once, in rows from the top left."""

    pixel: np.ndarray
    """(P,) row * width + column."""
    triangle: np.ndarray
    """(P,) row of the triangles."""
    weights: np.ndarray
    """(P, 3) float32 barycentric weights, in the order of the triangle's corners."""

    def values(self, values: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """Interpolate vertex attributes at the covered pixels, linearly within a triangle in the picture.

        Parameters
        ----------
        values : np.ndarray
            (V, C) of each vertex.
        triangles : np.ndarray
            (T, 3), as rasterised.

        Returns
        -------
        np.ndarray
            (P, C) float32.
        """
        corners = np.asarray(values, np.float32)[triangles[self.triangle]]
        result: np.ndarray = (corners * self.weights[..., None]).sum(1)
        return result

    def interpolate(
        self, values: np.ndarray, triangles: np.ndarray, width: int, height: int, empty: float = 0.0
    ) -> np.ndarray:
        """Interpolate vertex attributes as a picture.

        Parameters
        ----------
        values, triangles : np.ndarray
            As for `values`.
        width, height : int
            Size of the picture, px, as rasterised.
        empty : float
            Value where no triangle is.

        Returns
        -------
        np.ndarray
            (H, W, C) float32.
        """
        result = np.full((height * width, values.shape[1]), empty, np.float32)
        result[self.pixel] = self.values(values, triangles)
        return result.reshape(height, width, -1)


def rasterise(
    points: np.ndarray, triangles: np.ndarray, width: int, height: int, front: str = "clockwise"
) -> Coverage:
    """Find the nearest front-facing triangle at every pixel centre.

    Parameters
    ----------
    points : np.ndarray
        (V, 3): x, y px (y down, pixel centres at .5), z towards the viewer.
    triangles : np.ndarray
        (T, 3) corners; triangles that face away are skipped.
    width, height : int
        Size of the picture, px.
    front : str
        One of `FRONTS`.

    Returns
    -------
    Coverage
        Of equally near triangles the last one shows.

    Raises
    ------
    ValueError
        ``front`` is unknown.
    """
    if front not in FRONTS:
        raise ValueError(f"rasterise: front must be one of {FRONTS}, it is {front!r}")
    # Taken backwards, corners that turn counterclockwise turn clockwise.
    order = [0, 1, 2] if front == FRONTS[0] else [0, 2, 1]
    points = np.asarray(points, np.float64)
    a, b, c = (points[triangles[:, k]] for k in order)
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low = np.minimum(np.minimum(a, b), c)[:, :2]
    high = np.maximum(np.maximum(a, b), c)[:, :2]
    first = np.clip(np.ceil(low - 0.5), 0, (width, height)).astype(np.int64)
    size = np.clip(np.floor(high - 0.5) + 1, 0, (width, height)).astype(np.int64) - first
    kept = np.nonzero((area > 1e-9) & (size > 0).all(1))[0]
    corners = np.stack([a[kept], b[kept], c[kept]], 1)
    owner, row, column = _box_pixels(size[kept])
    to_b, to_c, depth_of = _planes(corners, area[kept], first[kept] + 0.5)

    def value(coefficients: np.ndarray, select: np.ndarray | None = None) -> np.ndarray:
        """Evaluate a plane of each triangle at its box's pixels, or at some of them."""
        which, y, x = (v if select is None else v[select] for v in (owner, row, column))
        k0, k1, k2 = (np.take(k, which) for k in coefficients)
        k0 *= x
        k1 *= y
        k0 += k1
        k0 += k2
        return k0

    l1, l2 = value(to_b), value(to_c)
    inside = np.nonzero((l1 >= -_MARGIN) & (l2 >= -_MARGIN) & (l1 + l2 <= 1 + _MARGIN))[0]
    start = first[kept, 1] * width + first[kept, 0]
    steps = row[inside].astype(np.int64) * width + column[inside].astype(np.int64)
    pixel = np.take(start, owner[inside]) + steps
    # Written in order of depth, the nearest comes last; the sort is stable, so that ties have one winner.
    by_depth = np.argsort(value(depth_of, inside), kind="stable")
    winner = np.full(height * width, -1, np.int64)
    winner[pixel[by_depth]] = by_depth
    shown = winner[winner >= 0]
    chosen = inside[shown]
    weights = np.stack([1 - l1[chosen] - l2[chosen], l1[chosen], l2[chosen]], 1)
    return Coverage(pixel[shown], kept[owner[chosen]], weights[:, order])


def _box_pixels(size: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return every pixel of every bounding box at once: its box, and row and column within (float32)."""
    counts = size[:, 0] * size[:, 1]
    owner = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    before = np.repeat((np.cumsum(counts) - counts).astype(np.int32), counts)
    inner = np.arange(counts.sum(), dtype=np.int32) - before
    row, column = np.divmod(inner, size[owner, 0].astype(np.int32))
    return owner, row.astype(np.float32), column.astype(np.float32)


def _planes(
    corners: np.ndarray, area: np.ndarray, origin: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (3, T) float32 coefficients of x, y, 1: of the weights of b and of c, and of the depth.

    Relative to ``origin``, the box's first pixel centre, so that float32 suffices.
    """
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]

    def plane(at_a: np.ndarray, at_b: np.ndarray, at_c: np.ndarray) -> np.ndarray:
        dx = ((at_b - at_a) * (c[:, 1] - a[:, 1]) - (at_c - at_a) * (b[:, 1] - a[:, 1])) / area
        dy = ((at_c - at_a) * (b[:, 0] - a[:, 0]) - (at_b - at_a) * (c[:, 0] - a[:, 0])) / area
        constant = at_a + dx * (origin[:, 0] - a[:, 0]) + dy * (origin[:, 1] - a[:, 1])
        return np.stack([dx, dy, constant]).astype(np.float32)

    zero, one = np.zeros(len(a)), np.ones(len(a))
    return plane(zero, one, zero), plane(zero, zero, one), plane(a[:, 2], b[:, 2], c[:, 2])


def uv_map(coverage: Coverage, uv: np.ndarray, triangles: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the UV coordinates that each pixel shows.

    Parameters
    ----------
    coverage : Coverage
        From `rasterise`.
    uv : np.ndarray
        (V, 2) of each vertex, 0..1.
    triangles : np.ndarray
        (T, 3), as rasterised.
    width, height : int
        Size of the picture, px, as rasterised.

    Returns
    -------
    np.ndarray
        (H, W, 3) float32: u, v in 0..1, and 1 where there is a triangle; else all three are 0.
    """
    result = np.zeros((height * width, 3), np.float32)
    result[coverage.pixel, :2] = np.clip(coverage.values(uv, triangles), 0, 1)
    result[coverage.pixel, 2] = 1.0
    return result.reshape(height, width, 3)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return unit normals of the surface at its vertices.

    Parameters
    ----------
    vertices : np.ndarray
        (V, 3).
    triangles : np.ndarray
        (T, 3); with y down and z towards the viewer, clockwise front sides have normals with z > 0, as have
        counterclockwise ones with y up.

    Returns
    -------
    np.ndarray
        (V, 3) of the vertices' type: the mean of the triangles around each vertex, weighted by their area; 0
        where there is none.
    """
    corners = vertices[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    index = triangles.ravel()
    total = np.stack([np.bincount(index, np.repeat(normal[:, k], 3), len(vertices)) for k in range(3)], 1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    result: np.ndarray = (total / np.maximum(length, 1e-12)).astype(vertices.dtype)
    return result

"""A small software rasteriser: which triangle each pixel shows, and where on it."""

from __future__ import annotations

import numpy as np


def rasterise(
    screen: np.ndarray, triangles: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest front-facing triangle at every pixel centre, all bounding boxes at once.

    Parameters
    ----------
    screen : np.ndarray
        (V, 3): x, y px (y down, pixel centres at .5), z growing towards the viewer.
    triangles : np.ndarray
        (T, 3) corners; front sides counter-clockwise as seen with y up.
    width, height : int
        Picture size, px.

    Returns
    -------
    tuple of np.ndarray
        (height * width,) int32 triangle of each pixel, -1 where there is none; (height * width, 3) float32
        barycentric weights.
    """
    owner_map = np.full(width * height, -1, np.int32)
    weight_map = np.zeros((width * height, 3), np.float32)
    screen = np.asarray(screen, np.float32)
    a, b, c = (screen[triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low = np.minimum(np.minimum(a, b), c)[:, :2]
    high = np.maximum(np.maximum(a, b), c)[:, :2]
    first = np.clip(np.ceil(low - 0.5), 0, (width, height)).astype(np.int32)
    last = np.clip(np.floor(high - 0.5) + 1, 0, (width, height)).astype(np.int32)
    size = last - first
    keep = np.nonzero((area < -1e-7) & (size > 0).all(1))[0]
    if not len(keep):
        return owner_map, weight_map
    a, b, c, first, size = a[keep], b[keep], c[keep], first[keep], size[keep]
    inverse = 1 / area[keep]
    counts = size[:, 0] * size[:, 1]
    owner = np.repeat(np.arange(len(keep), dtype=np.int32), counts)
    inner = np.arange(counts.sum(), dtype=np.int32) - np.repeat(
        (np.cumsum(counts) - counts).astype(np.int32), counts
    )
    row, column = np.divmod(inner, size[owner, 0])
    # Barycentric weights are linear in x and y; measured from the box's first pixel centre.
    start = first + np.float32(0.5) - a[:, :2]
    l1x, l1y = (c[:, 1] - a[:, 1]) * inverse, -(c[:, 0] - a[:, 0]) * inverse
    l2x, l2y = -(b[:, 1] - a[:, 1]) * inverse, (b[:, 0] - a[:, 0]) * inverse
    table = np.stack(
        [l1x, l1y, l1x * start[:, 0] + l1y * start[:, 1], l2x, l2y, l2x * start[:, 0] + l2y * start[:, 1]], 1
    )[owner]
    l1 = table[:, 0] * column + table[:, 1] * row + table[:, 2]
    l2 = table[:, 3] * column + table[:, 4] * row + table[:, 5]
    inside = np.nonzero((l1 >= 0) & (l2 >= 0) & (l1 + l2 <= 1))[0]
    l1, l2, owner = l1[inside].astype(np.float32), l2[inside].astype(np.float32), owner[inside]
    pixel = (row[inside] + first[owner, 1]) * width + column[inside] + first[owner, 0]
    depth = a[owner, 2] * (1 - l1 - l2) + b[owner, 2] * l1 + c[owner, 2] * l2
    # Sorted by depth, the nearest is written last; the sort is stable, so equal depths have one fixed winner.
    order = np.argsort(depth, kind="stable")
    pixel, owner, l1, l2 = pixel[order], owner[order], l1[order], l2[order]
    owner_map[pixel] = keep[owner]
    weight_map[pixel] = np.stack([1 - l1 - l2, l1, l2], 1)
    return owner_map, weight_map


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V, 3) float32 unit normals, the area-weighted mean of the triangles around each vertex."""
    corners = vertices[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    index = triangles.ravel()
    total = np.stack([np.bincount(index, np.repeat(normal[:, k], 3), len(vertices)) for k in range(3)], 1)
    return (total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12)).astype(np.float32)

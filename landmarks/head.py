"""The head around the face: a surface that the 72 points carry, and its UV texture. *Ours*.

The face's triangles end at jaw, temples and forehead. Hair, ears and neck tell who somebody is too, so a rim
of two rings is put around them. Its vertices are fixed weighted sums of the 72 points, so that they turn,
scale and move with any head without a fit of their own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np

from .model import FaceModel
from .names import interocular_distance
from .raster import Coverage, rasterise, uv_map, vertex_normals

_RIGID = (0, 1, 2, 14, 15, 16, 27, 28, 29, 30, 36, 39, 42, 45, 70, 71)
"""Points that no expression moves much: the head's axes are read from them."""
_TEMPLES = (
    (17, 0.42, 0, 17, 0.30), (18, 0.72, 0, 17, 0.30), (19, 0.90, 0, 17, 0.10),
    (24, 0.90, 16, 26, 0.10), (25, 0.72, 16, 26, 0.30), (26, 0.42, 16, 26, 0.30),
)  # fmt: skip
"""Edge of the forehead, from the right temple to the left one: a brow point, raised by a share of glabella to
forehead, and moved by a share of one point minus another."""
_OUTLINE = (*range(16, -1, -1), 72, 73, 74, 71, 75, 76, 77)
"""Around the face, clockwise in a picture: jaw from the left ear, right temple, forehead, left temple."""
_FOREHEAD = (
    (0, 72, 17), (17, 72, 18), (72, 73, 18), (18, 73, 19), (73, 74, 19), (19, 74, 20), (74, 71, 20),
    (20, 71, 21), (21, 71, 70), (16, 26, 77), (26, 25, 77), (77, 25, 76), (25, 24, 76), (76, 24, 75),
    (24, 23, 75), (75, 23, 71), (23, 22, 71), (22, 70, 71),
)  # fmt: skip
_RINGS = ((0.35, 0.15, 0.06), (1.0, 0.45, 0.17))
"""Of each ring: how far it lies outside of the outline and behind it (interocular distances), and how far
outside in the UV texture."""
_CENTRE = np.array([0.0, -0.4])
_FACE_SHARE = 0.64
"""Side of the face within the UV texture."""
_GRAZING = (0.12, 0.45)
"""Cosines between surface and line of sight: a texel is hidden below the first, visible from the second."""
_HIDDEN = 0.12
"""How far behind the nearest surface a texel may lie and still be visible, interocular distances."""


@dataclass(frozen=True, eq=False)
class HeadSurface:
    """A triangulated head whose vertices are weighted sums of the 72 landmarks.

    Attributes
    ----------
    weights : np.ndarray
        (V, 72) rows that sum to 1.
    triangles : np.ndarray
        (T, 3), front sides clockwise as seen in a picture.
    uv : np.ndarray
        (V, 2) in 0..1: UV coordinates.
    """

    weights: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray

    @staticmethod
    def of(model: FaceModel) -> HeadSurface:
        """Return the surface for a face model (cached)."""
        return _surface(model)

    def uv_map(self, points: np.ndarray, width: int, height: int) -> np.ndarray:
        """Return the UV coordinates of the head at each pixel.

        Parameters
        ----------
        points : np.ndarray
            (72, 3) landmarks: x, y px (y down), z towards the viewer.
        width, height : int
            Size of the map, px.

        Returns
        -------
        np.ndarray
            (H, W, 3) float32: u, v in 0..1 and head (1 on the head, else all three are 0).
        """
        coverage = rasterise(self.weights @ points, self.triangles, width, height)
        return uv_map(coverage, self.uv, self.triangles, width, height)

    def extract_texture(
        self, picture: np.ndarray, mask: np.ndarray, points: np.ndarray, size: int
    ) -> np.ndarray:
        """Sample a picture of a head into its UV texture.

        Parameters
        ----------
        picture : np.ndarray
            (H, W, 3) uint8.
        mask : np.ndarray
            (H, W) uint8 or float in 0..255: the person.
        points : np.ndarray
            (72, 3) landmarks in px of the picture.
        size : int
            Side of the result, px.

        Returns
        -------
        np.ndarray
            (size, size, 4) uint8: colours, and the visibility of each texel; 0 where it is hidden, faces
            away, or lies outside of the picture or of the mask.
        """
        vertices = self.weights @ np.asarray(points, np.float64)
        coverage = self._texels(size)
        facing = _facing(vertices, self.triangles)
        where = coverage.interpolate(np.c_[vertices, facing], self.triangles, size, size)
        x, y = where[..., 0] - 0.5, where[..., 1] - 0.5

        def sample(values: np.ndarray, interpolation: int) -> np.ndarray:
            return cv2.remap(values, x, y, interpolation, borderMode=cv2.BORDER_CONSTANT, borderValue=0)

        height, width = picture.shape[:2]
        front = rasterise(vertices, self.triangles, width, height)
        depth = front.interpolate(vertices[:, 2:], self.triangles, width, height, empty=-np.inf)
        unit = interocular_distance(points)
        nearest = sample(depth, cv2.INTER_NEAREST)
        visible = where[..., 3] * (where[..., 2] >= nearest - _HIDDEN * unit)
        visible = visible * sample(np.asarray(mask, np.float32), cv2.INTER_LINEAR)
        return np.dstack([sample(picture, cv2.INTER_LINEAR), visible.clip(0, 255).round().astype(np.uint8)])

    def _texels(self, size: int) -> Coverage:
        if size not in self._coverages:
            flat = np.c_[self.uv * size, np.zeros(len(self.uv))]
            self._coverages[size] = rasterise(flat, self.triangles, size, size)
        return self._coverages[size]

    @cached_property
    def _coverages(self) -> dict[int, Coverage]:
        return {}


def _facing(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V,) in 0..1: how well the surface around each vertex is seen, by its angle to the line of sight."""
    cosine = vertex_normals(vertices, triangles)[:, 2]
    low, high = _GRAZING
    visible: np.ndarray = np.clip((cosine - low) / (high - low), 0, 1)
    return visible


@lru_cache(maxsize=2)
def _surface(model: FaceModel) -> HeadSurface:
    identity = np.eye(len(model.mean))
    weights = [*identity]
    uv = list(0.5 + (model.uv - 0.5) * _FACE_SHARE)
    for brow, up, towards, away, along in _TEMPLES:
        row = (
            identity[brow] + up * (identity[71] - identity[70]) + along * (identity[towards] - identity[away])
        )
        weights.append(row)
        uv.append(row @ np.array(uv[: len(model.mean)]))

    # The head's axes as weighted sums of points, which sum to 0: axes @ mean is the identity matrix.
    axes = np.zeros((3, len(model.mean)))
    rigid = model.mean[list(_RIGID)]
    axes[:, list(_RIGID)] = np.linalg.pinv(rigid - rigid.mean(0))
    rings = [list(_OUTLINE)]
    for outwards, behind, outside in _RINGS:
        ring = []
        for vertex in _OUTLINE:
            direction = weights[vertex] @ model.mean[:, :2] - _CENTRE
            direction = np.append(direction / np.linalg.norm(direction) * outwards, -behind)
            offset = uv[vertex] - 0.5
            ring.append(len(weights))
            weights.append(weights[vertex] + direction @ axes)
            uv.append(np.clip(uv[vertex] + outside * offset / np.linalg.norm(offset), 0.005, 0.995))
        rings.append(ring)

    triangles = [
        tuple(t) for t in model.triangles if 71 not in t and {17, 0, 18} != set(t) and {26, 25, 16} != set(t)
    ]
    triangles += _FOREHEAD
    count = len(_OUTLINE)
    for inner, outer in itertools.pairwise(rings):
        for i in range(count):
            j = (i + 1) % count
            triangles += [(inner[i], outer[i], outer[j]), (inner[i], outer[j], inner[j])]
    corners = np.array(triangles)
    flat = np.array(uv)
    a, b, c = (flat[corners[:, k]] for k in range(3))
    flipped = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) < (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    corners[flipped] = corners[flipped][:, [0, 2, 1]]
    return HeadSurface(np.array(weights), corners, flat)

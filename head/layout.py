"""The UV layout at one size: which triangle and which place of it every texel belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .raster import triangle_ids


@dataclass(frozen=True, eq=False)
class UVLayout:
    """Texels of a square texture.

    Attributes
    ----------
    size : int
        Side, px.
    corners : np.ndarray
        (N, 3) vertices around each texel that belongs to the head.
    weights : np.ndarray
        (N, 3) float32 barycentric weights.
    texel : np.ndarray
        (N,) row * size + column.
    inside : np.ndarray
        (size, size) bool.
    """

    size: int
    corners: np.ndarray
    weights: np.ndarray
    texel: np.ndarray
    inside: np.ndarray

    @staticmethod
    def of(uv: np.ndarray, triangles: np.ndarray, size: int) -> UVLayout:
        """Lay the mesh out.

        Parameters
        ----------
        uv : np.ndarray
            (V, 2) in 0..1, v down.
        triangles : np.ndarray
            (T, 3), any winding in UV.
        size : int
            Side, px.
        """
        flat = np.c_[np.asarray(uv, np.float64) * size, np.zeros(len(uv))]
        a, b, c = (flat[triangles[:, k], :2] for k in range(3))
        turned = (b - a)[:, 0] * (c - a)[:, 1] < (b - a)[:, 1] * (c - a)[:, 0]
        faces = np.where(turned[:, None], triangles[:, [0, 2, 1]], triangles)
        ids = triangle_ids(flat, faces, size, size)
        row, column = np.nonzero(ids >= 0)
        corners = faces[ids[row, column]]
        a, b, c = (flat[corners[:, k], :2] for k in range(3))
        at = np.c_[column + 0.5, row + 0.5]
        area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
        to_b = ((at - a)[:, 0] * (c - a)[:, 1] - (at - a)[:, 1] * (c - a)[:, 0]) / np.maximum(area, 1e-9)
        to_c = ((b - a)[:, 0] * (at - a)[:, 1] - (b - a)[:, 1] * (at - a)[:, 0]) / np.maximum(area, 1e-9)
        weights = np.stack([1 - to_b - to_c, to_b, to_c], 1).clip(-1, 2)
        return UVLayout(size, corners, weights.astype(np.float32), row * size + column, ids >= 0)

    def interpolate(self, values: np.ndarray) -> np.ndarray:
        """Spread vertex values (V, C) over the texels: (size, size, C) float32, 0 outside of the head."""
        values = np.asarray(values, np.float32)
        result = np.zeros((self.size * self.size, values.shape[1]), np.float32)
        mixed = values[self.corners[:, 0]] * self.weights[:, :1]
        mixed += values[self.corners[:, 1]] * self.weights[:, 1:2]
        mixed += values[self.corners[:, 2]] * self.weights[:, 2:]
        result[self.texel] = mixed
        return result.reshape(self.size, self.size, -1)


def enlarge(values: np.ndarray, size: int) -> np.ndarray:
    """Enlarge a (s, s, C) texture-space map smoothly to (size, size, C)."""
    result = cv2.resize(np.asarray(values, np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return result.reshape(size, size, *values.shape[2:])


def padded(values: np.ndarray, inside: np.ndarray, rounds: int = 3) -> np.ndarray:
    """Continue a map past the head's islands, so that enlarging it does not mix in the empty 0."""
    result = np.asarray(values, np.float32).copy()
    known = inside.astype(np.float32)
    kernel = np.ones((3, 3), np.float32)
    for _ in range(rounds):
        total = cv2.filter2D(result * known[..., None] if result.ndim == 3 else result * known, -1, kernel)
        count = cv2.filter2D(known, -1, kernel)
        new = (known == 0) & (count > 0)
        share = np.maximum(count, 1e-6)
        mean = total / (share[..., None] if result.ndim == 3 else share)
        result[new] = mean[new]
        known[new] = 1.0
    return result

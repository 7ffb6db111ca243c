"""Canonical coordinates: UV coordinates of the mean face at each pixel."""

from __future__ import annotations

import numpy as np

from .model import FaceModel
from .raster import rasterise, uv_map


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
    coverage = rasterise(points, model.triangles, width, height)
    return uv_map(coverage, model.uv, model.triangles, width, height)


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
    return canonical_map(moved(points, matrix), size, size, model)


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(N, 3) points after a similarity transform (2, 3) of the picture; depth is scaled alike."""
    points, matrix = np.asarray(points, np.float64), np.asarray(matrix, np.float64)
    depth = points[:, 2:] * np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    return np.hstack([points[:, :2] @ matrix[:, :2].T + matrix[:, 2], depth])

"""Differentiable face crops for the small networks of training, cut at known landmarks."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...faces.geometry import RECOGNIZER_SIZE, RECOGNIZER_TEMPLATE, invert, similarity_2d, transform
from ...landmarks.names import five_points

SIDE = 64
"""Side of the small networks' crops, px."""

RECOGNIZER_CROP = np.array([[21.0, 26.0], [43.0, 26.0], [32.0, 39.0], [24.0, 50.0], [40.0, 50.0]])
"""(5, 2) eyes, nose tip and mouth corners in the 64 px crop: the face from brows to chin."""

LANDMARK_CROP = np.array([[20.0, 24.0], [44.0, 24.0], [32.0, 36.0], [24.0, 46.0], [40.0, 46.0]])
"""(5, 2) the same points in the landmark regressor's crop, with room for chin and brows."""


def aligned_crops(
    pictures: Tensor,
    points: np.ndarray,
    template: np.ndarray = RECOGNIZER_CROP,
    side: int = SIDE,
    black_outside: bool = False,
) -> Tensor:
    """Cut faces at known landmarks, differentiably.

    Parameters
    ----------
    pictures : Tensor
        (B, 3, H, H).
    points : np.ndarray
        (B, 72, 3) landmarks, px.
    template : np.ndarray
        (5, 2) where eyes, nose tip and mouth corners go, px of the crop.
    side : int
        Side of the crop, px.
    black_outside : bool
        Whether it is black outside the picture; else the picture's edge is repeated.

    Returns
    -------
    Tensor
        (B, 3, side, side).
    """
    # Least squares of the crop's error, as recognizers are fed; the other way round gives another size.
    matrices = [invert(similarity_2d(five_points(p[:, :2]), template)) for p in points]
    if black_outside:
        return _cut(pictures + 1, matrices, side, "zeros") - 1
    return _cut(pictures, matrices, side)


def _cut(pictures: Tensor, matrices: list[np.ndarray], side: int, outside: str = "border") -> Tensor:
    """Return views of pictures; matrices (2, 3) take px of the view to px of the picture."""
    size = pictures.shape[-1]
    rows = []
    for matrix in matrices:
        linear = matrix[:, :2] * side / size
        shift = 2 * (matrix[:, :2] @ (side / 2, side / 2) + matrix[:, 2]) / size - 1
        rows.append(np.hstack([linear, shift[:, None]]))
    theta = torch.from_numpy(np.array(rows)).to(pictures)
    grid = F.affine_grid(theta, [len(rows), 3, side, side], align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False, padding_mode=outside)


def recognizer_embeddings(recognizer: nn.Module, pictures: Tensor, points: np.ndarray) -> Tensor:
    """(B, 128) unit SFace embeddings of pictures (B, 3, H, H) in -1..1, landmarks (B, 72, 3); differentiable.

    Cut as `preparation.embed` cuts for ONNX Runtime.
    """
    crops = aligned_crops(pictures, points, RECOGNIZER_TEMPLATE, RECOGNIZER_SIZE, black_outside=True)
    return F.normalize(recognizer(crops), dim=1)


def jittered_crops(
    pictures: Tensor, points: np.ndarray, rng: np.random.Generator, amount: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Crops for the landmark regressor, cut with a random error, and where the landmarks lie in them.

    Parameters
    ----------
    pictures : Tensor
        (B, 3, H, H).
    points : np.ndarray
        (B, 72, 3) landmarks, px.
    rng : np.random.Generator
        Randomness.
    amount : float
        1: turned by 6 degrees, scaled by 6 %, shifted by 2 px (deviations).

    Returns
    -------
    tuple
        (B, 3, 64, 64) and (B, 72, 2) px of the crop.
    """
    side, matrices, found = SIDE, [], []
    for p in points:
        angle, size = np.deg2rad(rng.normal() * 6 * amount), np.exp(rng.normal() * 0.06 * amount)
        turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        template = (LANDMARK_CROP - side / 2) @ turn.T + side / 2 + rng.normal(size=2) * 2 * amount
        matrix = similarity_2d(template, five_points(p[:, :2]))
        matrices.append(matrix)
        found.append(transform(p[:, :2], invert(matrix)))
    return _cut(pictures, matrices, side), torch.from_numpy(np.array(found)).to(pictures)

"""Photos of one head agree on light and colour, and what only one of them shows in front is found. *Ours*.

In the logarithm of linear light a photo is albedo plus shading: ``log I = A(texel) + basis(normal) @ c``. All
photos share A; each has its own c per colour, which takes exposure, white balance and the direction of the
light. Both are solved for in turns, robustly, on a small texture.
"""

from __future__ import annotations

import numpy as np

from .light import TERMS, basis, fit_light

_ROUNDS = 6
_SIGMA = 0.25
"""Residual (of log light) from which a texel counts less while light is solved for."""
_APART = 0.30
"""Difference (of log light) between a photo and what the photos agree on from which it loses its say."""
LARGEST_GAIN = 1.4
"""Most that balancing changes, log light."""


def solve_lights(logs: np.ndarray, weights: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find every photo's light.

    Parameters
    ----------
    logs : np.ndarray
        (N, P, 3) log linear light of the texels.
    weights : np.ndarray
        (N, P) >= 0.
    normals : np.ndarray
        (P, 3) of the neutral head.

    Returns
    -------
    tuple
        (N, 9, 3) coefficients, and (P, 3) albedo in their common gauge (0 where no photo sees a texel).
    """
    terms = basis(normals)
    count = len(logs)
    lights = np.zeros((count, TERMS, 3))
    albedo = np.zeros(logs.shape[1:])
    robust = weights
    for _ in range(_ROUNDS):
        flat = logs - np.einsum("pt,ntc->npc", terms, lights)
        albedo = (robust[..., None] * flat).sum(0) / np.maximum(robust.sum(0), 1e-9)[:, None]
        residual = flat - albedo
        robust = weights / (1 + (np.abs(residual).max(-1) / _SIGMA) ** 2)
        for photo in range(count):
            lights[photo] = fit_light(logs[photo] - albedo, robust[photo], normals)
    return lights, albedo


def agreement(flat: np.ndarray, weights: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """How far each photo agrees with the others at each texel.

    Parameters
    ----------
    flat : np.ndarray
        (N, P, 3) log light with each photo's light taken off.
    weights : np.ndarray
        (N, P).
    mirrored : np.ndarray
        (P,) row of each texel's mirror image: the other side has a say where photos alone cannot decide.

    Returns
    -------
    np.ndarray
        (N, P) in 0..1; ones for a single photo.
    """
    if len(flat) < 2:
        return np.ones_like(weights)
    luma = flat.mean(-1)
    votes = np.concatenate([luma, luma[:, mirrored]])
    says = np.concatenate([weights, 0.25 * weights[:, mirrored]]) + 1e-9
    order = np.argsort(votes, axis=0)
    ranked = np.take_along_axis(says, order, 0).cumsum(0)
    middle = (ranked >= 0.5 * ranked[-1]).argmax(0)
    median = np.take_along_axis(np.take_along_axis(votes, order, 0), middle[None], 0)[0]
    return 1 / (1 + (np.abs(luma - median) / _APART) ** 4)

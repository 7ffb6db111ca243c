"""Light as spherical harmonics: estimated, balanced between photos, taken off and put on. *Ours*.

Shading is ``exp(basis(normal) @ coefficients)`` for each colour in linear light: second-order spherical
harmonics (Ramamoorthi and Hanrahan 2001) of the logarithm, so that shading stays positive, lights of several
photos average without clipping, and taking light off is a subtraction.
"""

from __future__ import annotations

import numpy as np

TERMS = 9


def basis(normals: np.ndarray) -> np.ndarray:
    """Evaluate the second-order harmonics, up to constant factors.

    Parameters
    ----------
    normals : np.ndarray
        (..., 3) unit: x right, y up, z towards the viewer.

    Returns
    -------
    np.ndarray
        (..., 9): 1, x, y, z, xy, yz, 3 z^2 - 1, xz, x^2 - y^2.
    """
    x, y, z = (normals[..., k] for k in range(3))
    return np.stack([np.ones_like(x), x, y, z, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], -1)


def unit(vectors: np.ndarray) -> np.ndarray:
    """(..., 3) vectors at length 1; 0 stays 0."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: np.ndarray = vectors / np.maximum(length, 1e-6)
    return result


RIDGE = np.array([1e-3, *[0.02] * 3, *[0.12] * 5])
"""How much each harmonic is held back, relative to the weight of all texels: skin seen from one side says
little about light on the other."""


def fit_light(logs: np.ndarray, weights: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Least squares for ``logs = basis(normals) @ light``.

    Parameters
    ----------
    logs : np.ndarray
        (P, 3) log linear light over albedo.
    weights : np.ndarray
        (P,) >= 0.
    normals : np.ndarray
        (P, 3) unit.

    Returns
    -------
    np.ndarray
        (9, 3) float64; zeros where nothing has weight.
    """
    total = float(weights.sum())
    if total < 1e-6:
        return np.zeros((TERMS, 3))
    terms = basis(normals)
    weighted = terms * weights[:, None]
    return np.linalg.solve(terms.T @ weighted + np.diag(RIDGE * total), weighted.T @ logs)


def flat_light() -> np.ndarray:
    """(9, 3) float32: the same light from everywhere."""
    return np.zeros((TERMS, 3), np.float32)


def light_from(azimuth: float, elevation: float, softness: float = 0.5) -> np.ndarray:
    """Light from one side.

    Parameters
    ----------
    azimuth : float
        Degrees: 0 from the camera, 90 from the picture's right, -90 from its left, 180 from behind.
    elevation : float
        Degrees above the horizon.
    softness : float
        0..1: 0 a bare lamp in a dark room, 1 almost as from everywhere.

    Returns
    -------
    np.ndarray
        (9, 3) float32 in the camera's frame, neutral in colour; faces that look at the camera keep their mean
        brightness.
    """
    values = np.array([azimuth, elevation, softness], np.float64)
    if not np.isfinite(values).all():
        raise ValueError("light: direction and softness must be numbers")
    a, e = np.deg2rad([azimuth, elevation])
    soft = float(np.clip(softness, 0, 1))
    towards = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    normals = _sphere(600)
    wrapped = np.clip((normals @ towards + soft) / (1 + soft), 0, 1)
    ambient = 0.12 + 0.75 * soft
    logs = np.log(ambient + (1 - ambient) * wrapped)
    terms = basis(normals)
    light = np.linalg.solve(terms.T @ terms + 1e-6 * np.eye(TERMS), terms.T @ logs)
    front = np.clip(normals[:, 2], 0, None) ** 2
    light[0] -= (front * (terms @ light)).sum() / front.sum()
    return np.repeat(light[:, None], 3, 1).astype(np.float32)


def _sphere(count: int) -> np.ndarray:
    """Evenly spread unit vectors (Fibonacci's spiral)."""
    z = 1 - 2 * (np.arange(count) + 0.5) / count
    angle = np.pi * (1 + np.sqrt(5)) * np.arange(count)
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(angle), r * np.sin(angle), z], 1)

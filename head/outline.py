"""The scalp rises to the hair that the photos show: the mesh's outline follows the person's. *Ours*.

Detected points end at the forehead; above it lies a bare skull. Where a photo sees the scalp from the side,
the edge of the person in that photo tells how high hair stands there. Heights of all photos become one smooth
field over the directions from the middle of the skull (second-order harmonics, held towards their mean and
towards symmetry), and the scalp is raised by it.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import cKDTree

from .light import basis
from .model import REGIONS, HeadModel
from .posed import Posed

LOWEST, HIGHEST = -0.15, 0.75
"""Heights of hair above the bent skull, interocular distances; more would be a hat or another person."""
_INSIDE = 0.4
"""Where looking for the edge begins, below the skull."""
_STEP = 0.02
_RIM = 0.45
"""Largest cosine to the line of sight of a place on the outline."""
_RISE = 0.45
"""Distance from face, ears and neck over which the height grows to its whole, interocular distances."""
_MIRRORED = 0.3
_HELD = np.array([0.0, *[0.05] * 3, *[0.12] * 5])


def raised_scalp(photos: list[Posed], geometry: np.ndarray, model: HeadModel) -> np.ndarray:
    """Find how far hair raises the scalp.

    Parameters
    ----------
    photos : list of Posed
        With the head as `geometry`.
    geometry : np.ndarray
        (G, 3) the person's neutral head.
    model : HeadModel
        The mesh.

    Returns
    -------
    np.ndarray
        (G, 3) float32 displacement in the head frame; 0 off the scalp and where no photo shows an outline.
    """
    scalp = np.nonzero(model.geometry_region == REGIONS.index("scalp"))[0]
    middle = geometry[scalp].mean(0)
    away = geometry[scalp] - middle
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    vertex = np.zeros(len(geometry), np.int64)
    vertex[model.source] = np.arange(len(model.source))
    heights, weights = [], []
    for photo in photos:
        height, weight = _heights(photo, vertex[scalp])
        heights.append(height)
        weights.append(weight * photo.face.weight)
    places = np.tile(away, (len(photos), 1))
    height, weight = np.concatenate(heights), np.concatenate(weights)
    if (weight > 0).sum() < 12:
        return np.zeros_like(geometry, dtype=np.float32)
    both = np.concatenate([places, places * [-1, 1, 1]])
    found = _field(both, np.tile(height, 2), np.concatenate([weight, _MIRRORED * weight]))
    raised = np.clip(basis(away) @ found, LOWEST, HIGHEST)
    others = geometry[np.isin(model.geometry_region, [REGIONS.index(n) for n in ("face", "ears", "neck")])]
    distance = cKDTree(others).query(geometry[scalp])[0]
    share = np.clip(distance / _RISE, 0, 1)
    result = np.zeros_like(geometry, dtype=np.float32)
    result[scalp] = away * (raised * share * share * (3 - 2 * share))[:, None]
    return result


def _heights(photo: Posed, scalp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) height of the person's edge above each scalp vertex, interocular distances, and its weight."""
    normals, places = photo.normals[scalp], photo.vertices[scalp, :2]
    across = np.linalg.norm(normals[:, :2], axis=1)
    outwards = normals[:, :2] * [1, -1] / np.maximum(across, 1e-6)[:, None]
    weight = np.clip(1 - np.abs(normals[:, 2]) / _RIM, 0, 1)
    reach = np.arange(-_INSIDE, HIGHEST + 4 * _STEP, _STEP)
    at = places[:, None] + outwards[:, None] * (reach * photo.scale)[:, None]
    height, width = photo.alpha.shape
    inside = ((at > 1) & (at < (width - 2, height - 2))).all(-1)
    at = at.astype(np.float32) - 0.5
    profile = cv2.remap(photo.alpha, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderValue=0)
    # The first step outwards that is no longer the person.
    gone = profile < 0.5
    first = gone.argmax(1)
    known = gone.any(1) & (first > 0) & inside[np.arange(len(first)), first]
    return reach[first], weight * known


def _field(directions: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(9,) harmonics of a height over directions: robust least squares, held towards a constant."""
    terms = basis(directions)
    robust = weights
    found = np.zeros(terms.shape[1])
    for _ in range(5):
        total = float(robust.sum())
        weighted = terms * robust[:, None]
        found = np.linalg.solve(
            terms.T @ weighted + np.diag(_HELD * total) + 1e-9 * np.eye(9), weighted.T @ values
        )
        robust = weights / (1 + ((values - terms @ found) / 0.12) ** 2)
    return found

"""Landmarks of other layouts brought to the 72 points."""

from __future__ import annotations

import numpy as np

from . import names

MIN_POINTS = 24
"""Fewest usable points of a fit."""
FACEMESH_COUNTS = (468, 478)
"""Points of MediaPipe's mesh, without and with pupils."""


def to_72(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Bring landmarks of a known layout to the 72 points.

    Parameters
    ----------
    points : np.ndarray
        (N, 2 or 3) px with N = 468 or 478 (MediaPipe), 68 (iBUG) or 72 (ours). NaN marks a missing point.

    Returns
    -------
    points : np.ndarray
        (72, 2) float64, NaN where missing.
    weights : np.ndarray
        (72,) confidence of each point before any fit: contour points slide along the face as it turns.
    facemesh : bool
        Whether they are MediaPipe's points.

    Raises
    ------
    ValueError
        For an unknown layout, or too few usable points.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] not in (2, 3) or len(points) not in (*FACEMESH_COUNTS, 68, 72):
        raise ValueError(
            f"face landmarks have shape {points.shape}; 468 or 478 (MediaPipe), 68 (iBUG) or 72 "
            "points are understood"
        )
    result = np.full((names.POINT_COUNT, 2), np.nan)
    weights = np.ones(names.POINT_COUNT)
    facemesh = len(points) in FACEMESH_COUNTS
    if facemesh:
        known = len(points) > names.FACEMESH_INDEX
        result[known] = points[names.FACEMESH_INDEX[known], :2]
        weights[list(names.JAW)] = 0.4
        weights[[names.GLABELLA, names.FOREHEAD]] = 0.5
    else:
        result[: len(points)] = points[:, :2]
        if len(points) == 68:
            weights[list(names.JAW)] = 0.25
    result[~np.isfinite(result).all(1)] = np.nan
    weights[np.isnan(result[:, 0])] = 0.0
    usable = int((weights[:68] > 0).sum())
    spread = np.nanmax(result, 0) - np.nanmin(result, 0) if usable else np.zeros(2)
    if usable < MIN_POINTS:
        raise ValueError(f"only {usable} of 68 face landmarks are usable; at least {MIN_POINTS} are needed")
    if (spread < 2.0).any():
        raise ValueError("face landmarks lie within 2 px of each other; use a larger picture of the face")
    return result, weights, facemesh

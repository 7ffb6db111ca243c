"""Pose angles and the camera; the one place that knows the conventions of ``docs/architecture.md``.

The web widget repeats `rotation` and `project` in JavaScript; keep both in step.
"""

from __future__ import annotations

import numpy as np

CAMERA_DISTANCE = 12.0
"""Camera's distance from the head's origin in interocular distances (*ours*): 0.75 m from an adult, where
a headshot six interocular distances wide is seen under 28 degrees, like a 70 mm lens on full frame held
upright."""


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation matrix of a head pose.

    Parameters
    ----------
    yaw, pitch, roll : float
        Degrees. Yaw > 0: nose to the picture's right; pitch > 0: looks up; roll > 0: clockwise as seen.

    Returns
    -------
    np.ndarray
        (3, 3) float64, ``Rz(-roll) @ Rx(-pitch) @ Ry(yaw)``, for column vectors in the head frame (y up).
    """
    y, p, r = np.deg2rad([yaw, -pitch, -roll])
    cy, sy, cp, sp, cr, sr = np.cos(y), np.sin(y), np.cos(p), np.sin(p), np.cos(r), np.sin(r)
    rz = np.array([[cr, -sr, 0.0], [sr, cr, 0.0], [0.0, 0.0, 1.0]])
    rx = np.array([[1.0, 0.0, 0.0], [0.0, cp, -sp], [0.0, sp, cp]])
    ry = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    matrix: np.ndarray = rz @ rx @ ry
    return matrix


def angles(matrix: np.ndarray) -> tuple[float, float, float]:
    """Yaw, pitch, roll in degrees of a rotation matrix; the inverse of `rotation` for |pitch| < 90."""
    m = np.asarray(matrix, np.float64)
    yaw = np.arctan2(-m[2, 0], m[2, 2])
    pitch = -np.arctan2(m[2, 1], np.hypot(m[2, 0], m[2, 2]))
    roll = -np.arctan2(-m[0, 1], m[1, 1])
    return float(np.rad2deg(yaw)), float(np.rad2deg(pitch)), float(np.rad2deg(roll))


def project(
    points: np.ndarray,
    matrix: np.ndarray,
    scale: float,
    centre: tuple[float, float] | np.ndarray,
    distance: float = CAMERA_DISTANCE,
) -> np.ndarray:
    """Pose points of the head frame and see them through the camera.

    Parameters
    ----------
    points : np.ndarray
        (..., 3) in the head frame, interocular distances.
    matrix : np.ndarray
        (3, 3) rotation.
    scale : float
        Pixels per interocular distance at the head's origin.
    centre : tuple[float, float]
        Where the head's origin (midpoint of the eyes' centres) appears, px.
    distance : float
        Camera distance in interocular distances.

    Returns
    -------
    np.ndarray
        (..., 3) float64: x, y in px (y down) and z = ``scale * Z`` in px towards the viewer.
    """
    posed = np.asarray(points, np.float64) @ np.asarray(matrix, np.float64).T
    enlarge = scale * distance / (distance - posed[..., 2])
    return np.stack(
        [centre[0] + posed[..., 0] * enlarge, centre[1] - posed[..., 1] * enlarge, posed[..., 2] * scale],
        axis=-1,
    )

"""Names: the 72 points, their groups, their mirror images, and what they are called by other landmark sets.

Points 0..67 follow iBUG's 68-point scheme; 68, 69 are the pupils (subject's right, left), 70 the glabella
and 71 the upper forehead. The paper's sister publication draws 72 points without publishing the four extra
ones: those are *ours*.
"""

from __future__ import annotations

import numpy as np

POINT_COUNT = 72

JAW = tuple(range(17))
RIGHT_BROW = tuple(range(17, 22))
LEFT_BROW = tuple(range(22, 27))
NOSE_BRIDGE = tuple(range(27, 31))
NOSE_BASE = tuple(range(31, 36))
RIGHT_EYE = tuple(range(36, 42))
LEFT_EYE = tuple(range(42, 48))
OUTER_LIPS = tuple(range(48, 60))
INNER_LIPS = tuple(range(60, 68))
RIGHT_PUPIL, LEFT_PUPIL, GLABELLA, FOREHEAD = 68, 69, 70, 71

INNER_FACE = tuple(range(17, 68))
"""Points that stay on one place of the skin in every view (no contour): residuals are stated on these."""

GROUPS: dict[str, tuple[int, ...]] = {
    "jaw": JAW,
    "right_brow": RIGHT_BROW,
    "left_brow": LEFT_BROW,
    "nose_bridge": NOSE_BRIDGE,
    "nose_base": NOSE_BASE,
    "right_eye": RIGHT_EYE,
    "left_eye": LEFT_EYE,
    "outer_lips": OUTER_LIPS,
    "inner_lips": INNER_LIPS,
    "pupils": (RIGHT_PUPIL, LEFT_PUPIL),
    "forehead": (GLABELLA, FOREHEAD),
}

MIRROR = np.array(
    [
        *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1),
        45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
        54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
        69, 68, 70, 71,
    ]
)  # fmt: skip
"""(72,) index of each point's mirror image."""

FACEMESH_INDEX = np.array(
    [
        127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
        70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305,
        33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
        61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
        468, 473, 9, 10,
    ]
)  # fmt: skip
"""(72,) vertex of MediaPipe's face mesh for each point; the pupils exist in its 478-point version only."""

KPS5_NAMES = ("right_eye", "left_eye", "nose_tip", "right_mouth_corner", "left_mouth_corner")
"""Order of the five keypoints that detectors and InstantID use (subject's right first)."""


def eye_centres(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the subject's right and left eye centre, each the mean of six lid points.

    Parameters
    ----------
    points : np.ndarray
        (..., 68 or more, D).

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        (..., D) each.
    """
    points = np.asarray(points)
    return points[..., 36:42, :].mean(-2), points[..., 42:48, :].mean(-2)


def eyes_midpoint(points: np.ndarray) -> np.ndarray:
    """Return the middle of the eye centres, (..., D), of (..., 68 or more, D): the head frame's origin."""
    right, left = eye_centres(points)
    middle: np.ndarray = (right + left) / 2
    return middle


def interocular_distance(points: np.ndarray) -> float:
    """Return the distance of the eye centres, in the unit of the points; the unit of the head frame.

    Parameters
    ----------
    points : np.ndarray
        (68 or more, 2 or 3). With depth, the distance does not shrink when the head turns.
    """
    right, left = eye_centres(points)
    return float(np.linalg.norm(right - left))


def five_points(points: np.ndarray) -> np.ndarray:
    """Five detector keypoints from 72 points.

    Parameters
    ----------
    points : np.ndarray
        (..., 72, D).

    Returns
    -------
    np.ndarray
        (..., 5, D): eye centres (mean of the six lid points), nose tip, mouth corners, named in `KPS5_NAMES`.
    """
    points = np.asarray(points)
    return np.stack(
        [
            points[..., list(RIGHT_EYE), :].mean(-2),
            points[..., list(LEFT_EYE), :].mean(-2),
            points[..., 30, :],
            points[..., 48, :],
            points[..., 54, :],
        ],
        axis=-2,
    )

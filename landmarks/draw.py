"""Landmarks as pictures: `mesh72` (*ours*) and `kps5` (InstantID's published style)."""

from __future__ import annotations

import math

import cv2
import numpy as np

from . import names
from .landmarks import FaceLandmarks3D

_SHIFT = 4
"""Fixed-point bits of cv2's sub-pixel drawing."""
_DIM = 0.35
"""Brightness of what the face itself hides."""

# (points, closed, colour): one colour per part, so that a network tells left from right and part from part.
_CURVES: tuple[tuple[tuple[int, ...], bool, tuple[int, int, int]], ...] = (
    (names.JAW, False, (150, 150, 150)),
    (names.RIGHT_BROW, False, (255, 140, 0)),
    (names.LEFT_BROW, False, (255, 220, 0)),
    (names.NOSE_BRIDGE, False, (0, 170, 90)),
    (names.NOSE_BASE, False, (0, 220, 150)),
    (names.RIGHT_EYE, True, (70, 120, 255)),
    (names.LEFT_EYE, True, (0, 210, 255)),
    (names.OUTER_LIPS, True, (255, 40, 60)),
    (names.INNER_LIPS, True, (255, 60, 220)),
)
_DOTS: tuple[tuple[int, tuple[int, int, int]], ...] = (
    (names.RIGHT_PUPIL, (170, 200, 255)),
    (names.LEFT_PUPIL, (170, 255, 255)),
    (names.GLABELLA, (210, 210, 120)),
    (names.FOREHEAD, (210, 210, 120)),
)

KPS5_COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))


def draw(
    landmarks: FaceLandmarks3D, style: str = "mesh72", width: int | None = None, height: int | None = None
) -> np.ndarray:
    """Draw a batch of landmarks.

    Parameters
    ----------
    landmarks : FaceLandmarks3D
        What to draw.
    style : str
        One of `STYLES`; a checkpoint names the style that it was trained with.
    width, height : int | None
        Picture size, px; the landmarks' canvas where None. Another aspect never stretches or crops: the
        canvas is scaled evenly to fit and centred.

    Returns
    -------
    np.ndarray
        (B, H, W, 3) uint8 RGB on black.
    """
    if style not in STYLES:
        raise ValueError(f"landmark style '{style}' is unknown; known: {', '.join(STYLES)}")
    if (width or landmarks.width, height or landmarks.height) != (landmarks.width, landmarks.height):
        landmarks = landmarks.resized(width or landmarks.width, height or landmarks.height)
    return np.stack([STYLES[style](landmarks, row) for row in range(len(landmarks))])


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """Sub-pixel position for cv2, whose pixel centres are whole numbers."""
    x, y = np.clip((np.asarray(point, np.float64) - 0.5) * (1 << _SHIFT), -(2**27), 2**27)
    return round(float(x)), round(float(y))


def draw_mesh72(landmarks: FaceLandmarks3D, row: int) -> np.ndarray:
    """One face as anti-aliased coloured contours.

    What the face itself hides is dimmed and lies below what is visible.
    Line width follows the face: 1/40 of the interocular distance of the upright face, at least one pixel.
    """
    points, visible = landmarks.points[row], landmarks.visible[row]
    image = np.zeros((landmarks.height, landmarks.width, 3), np.uint8)
    # The extent of the nose bridge and the eyes in 3D does not shrink when the head turns.
    unit = names.interocular_distance(points)
    thickness = max(1, round(unit / 40))
    for hidden in (True, False):
        for curve, closed, color in _CURVES:
            ends = list(zip(curve, curve[1:] + curve[:1], strict=True))
            for a, b in ends if closed else ends[:-1]:
                if bool(visible[a] and visible[b]) is not hidden:
                    tone = tuple(int(v * _DIM) for v in color) if hidden else color
                    cv2.line(
                        image,
                        _fixed(points[a, :2]),
                        _fixed(points[b, :2]),
                        tone,
                        thickness,
                        cv2.LINE_AA,
                        _SHIFT,
                    )
        for point, color in _DOTS:
            if bool(visible[point]) is not hidden:
                tone = tuple(int(v * _DIM) for v in color) if hidden else color
                radius = max(1.0, unit / 25) * (1 << _SHIFT)
                cv2.circle(image, _fixed(points[point, :2]), round(radius), tone, -1, cv2.LINE_AA, _SHIFT)
    return image


def draw_kps5(landmarks: FaceLandmarks3D, row: int) -> np.ndarray:
    """One face in InstantID's style; see `draw_five_points`."""
    return draw_five_points(
        names.five_points(landmarks.points[row, :, :2]), landmarks.width, landmarks.height
    )


def draw_five_points(keypoints: np.ndarray, width: int, height: int) -> np.ndarray:
    """Five keypoints as InstantID's IdentityNet was trained to see them, to the pixel.

    From its published formulas: four sticks to the nose, each a filled ellipse polygon of half width 4
    between whole pixels and whole degrees, the picture times 0.6, then five filled dots of radius 10; no
    anti-aliasing, sizes in pixels whatever the canvas.

    Parameters
    ----------
    keypoints : np.ndarray
        (5, 2) px, in the order of `names.KPS5_NAMES`.
    width, height : int
        Canvas, px.

    Returns
    -------
    np.ndarray
        (H, W, 3) uint8 RGB.
    """
    image = np.zeros((height, width, 3), np.uint8)
    nose = keypoints[2]
    for end, color in zip((0, 1, 3, 4), (KPS5_COLORS[i] for i in (0, 1, 3, 4)), strict=True):
        dx, dy = float(keypoints[end][0] - nose[0]), float(keypoints[end][1] - nose[1])
        middle = np.mean([keypoints[end], nose], axis=0)
        stick = cv2.ellipse2Poly(
            (int(middle[0]), int(middle[1])),
            (int((dx**2 + dy**2) ** 0.5 / 2), 4),
            int(math.degrees(math.atan2(dy, dx))),
            0,
            360,
            1,
        )
        cv2.fillConvexPoly(image, np.asarray(stick), color)
    image = np.asarray(cv2.LUT(image, (np.arange(256) * 0.6).astype(np.uint8)), np.uint8)
    for (x, y), color in zip(keypoints, KPS5_COLORS, strict=True):
        cv2.circle(image, (int(x), int(y)), 10, color, -1)
    return image


STYLES = {"mesh72": draw_mesh72, "kps5": draw_kps5}
"""Drawing styles by name; see "How to add" in docs/architecture.md."""

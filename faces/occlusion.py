"""How much of a face something covers: places of skin that do not look like this face's skin.

*Ours*. The landmark model draws a whole face even where a hand, a microphone or sunglasses hide it, and the
person mask takes what people hold for people. So fifteen places that show skin on every face are compared
with each other in colour. A place counts as covered when its hue or saturation is far from the face's own
skin, or when it is nearly black beside lit skin. The skin's own colour is the median of the places that look
like skin at all; a black-and-white photo is compared by lightness only.

Not seen: things of the colour of skin (a hand). A beard counts as covering the places it grows on.
"""

from __future__ import annotations

import cv2
import numpy as np

from .geometry import head_pose

PLACES = np.array(
    [
        [0.0, 0.6, 0.12],
        [-0.35, 0.5, 0.02],
        [0.35, 0.5, 0.02],
        [-0.5, -0.3, -0.03],
        [0.5, -0.3, -0.03],
        [-0.55, -0.62, -0.1],
        [0.55, -0.62, -0.1],
        [0.0, -0.18, 0.25],
        [0.0, -0.45, 0.42],
        [0.0, -0.78, 0.33],
        [-0.5, -0.98, -0.05],
        [0.5, -0.98, -0.05],
        [-0.4, -1.3, -0.1],
        [0.4, -1.3, -0.1],
        [0.0, -1.45, 0.12],
    ]
)
"""(15, 3) in the head frame: forehead, below the eyes, cheeks, nose, upper lip, beside the mouth, jaw,
chin."""

_RADIUS = 4
_SKIN_HUE = (15.0, 85.0)
"""Degrees in CIELAB between which all human skin lies under roughly white light."""
_HUE_APART = 17.0
"""CIELAB units across the direction of the skin's own colour."""
_SATURATION = (0.2, 2.3)
"""Relative to the skin's own: highlights are paler and shadows richer, but neither is grey."""
_NEARLY_BLACK = 0.3
_GREY = 4.0


def clear_share(crop: np.ndarray, points: np.ndarray, shown: np.ndarray) -> float:
    """Share of the face's visible places that look like its skin.

    Parameters
    ----------
    crop : np.ndarray
        (224, 224, 3) uint8 canonical crop.
    points : np.ndarray
        (468, 3) or (68, 3) landmarks in px of the crop.
    shown : np.ndarray
        (224, 224) bool: the crop shows the picture and the person there.

    Returns
    -------
    float
        0..1; 1 where too few places can be seen to tell.
    """
    lab = cv2.cvtColor(crop.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    colours = _colours(lab, points, shown)
    if len(colours) < 5:
        return 1.0
    light, chroma = colours[:, 0], colours[:, 1:]
    strength = np.hypot(*chroma.T)
    hue = np.degrees(np.arctan2(chroma[:, 1], chroma[:, 0]))
    skin = (strength > _GREY) & (hue > _SKIN_HUE[0]) & (hue < _SKIN_HUE[1])
    if np.median(strength) < _GREY and not skin.any():
        # A black-and-white photo.
        covered = np.abs(light - np.median(light)) > 45
    else:
        own = np.median(chroma[skin] if skin.sum() >= 3 else chroma, axis=0)
        lit = np.median(light[skin] if skin.sum() >= 3 else light)
        length = max(float(np.hypot(*own)), _GREY)
        along = chroma @ own / length**2
        across = np.abs(chroma @ (-own[1], own[0])) / length
        covered = (across > _HUE_APART) | (along < _SATURATION[0]) | (along > _SATURATION[1])
        covered |= light < _NEARLY_BLACK * lit
    return float(1 - covered.mean())


def _colours(lab: np.ndarray, points: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """(N, 3) median colour of every place that faces the viewer and is shown."""
    scale, rotation, origin = head_pose(points)
    placed = PLACES @ rotation.T * scale
    at = np.stack([origin[0] + placed[:, 0], origin[1] - placed[:, 1]], axis=1)
    # The head's side that is turned away: its skin is behind the cheek's edge.
    away = PLACES[:, 0] * rotation[2, 0] < -0.18
    out = []
    size = len(lab)
    for (x, y), hidden in zip(np.round(at).astype(int), away, strict=True):
        if hidden or not (_RADIUS <= x < size - _RADIUS and _RADIUS <= y < size - _RADIUS):
            continue
        window = slice(y - _RADIUS, y + _RADIUS + 1), slice(x - _RADIUS, x + _RADIUS + 1)
        if shown[window].mean() > 0.7:
            out.append(np.median(lab[window][shown[window]], axis=0))
    return np.array(out).reshape(-1, 3)

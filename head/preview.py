"""A head's texture and what is known of it, side by side, for the node's preview."""

from __future__ import annotations

import cv2
import numpy as np

from .records import Head

_GROUND = 40
_GAP = 8
_COLOURS = ((110, 230, 40), (20, 200, 170), (30, 60, 80))
"""Red, green and blue at confidence 0, a half and 1."""


def head_sheet(head: Head, size: int = 512) -> np.ndarray:
    """Draw the UV texture and its confidence.

    Parameters
    ----------
    head : Head
        The person.
    size : int
        Side of each picture, px.

    Returns
    -------
    np.ndarray
        (size, 2 * size + 8, 3) uint8 RGB: the texture over dark grey where it is opaque, and the confidence
        from dark red (guessed) over yellow to green (seen well).
    """

    def scaled(part: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA), np.float32)

    alpha = scaled(head.opacity)[..., None] / 255
    level = scaled(head.confidence) / 255
    known = np.stack([np.interp(level, (0, 0.5, 1), stops) for stops in _COLOURS], -1)
    shown, known = (part * alpha + _GROUND * (1 - alpha) for part in (scaled(head.texture), known))
    gap = np.full((size, _GAP, 3), _GROUND)
    return np.concatenate([shown, gap, known], 1).round().astype(np.uint8)

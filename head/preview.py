"""A head's texture and what is known of it, side by side, for the node's preview."""

from __future__ import annotations

import cv2
import numpy as np

from .records import Head

_GROUND = 40
_GAP = 8


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
    texture, opacity, confidence = (
        cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA)
        for part in (head.texture, head.opacity, head.confidence)
    )
    alpha = opacity[..., None] / 255.0
    shown = texture * alpha + _GROUND * (1 - alpha)
    level = confidence / 255.0
    known = np.stack(
        [np.interp(level, (0, 0.5, 1), stops) for stops in ((110, 230, 40), (20, 200, 170), (30, 60, 80))], -1
    )
    known = known * alpha + _GROUND * (1 - alpha)
    gap = np.full((size, _GAP, 3), _GROUND)
    return np.concatenate([shown, gap, known], 1).round().astype(np.uint8)

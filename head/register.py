"""Photos are moved onto each other in the texture before they are blended: dense optical flow. *Ours*.

Detected points are good to a few px, which blurs and doubles brows, lids and lips in a mean of several
photos. Each photo's UV texture is matched with the mean of all by optical flow (DIS; Kroeger et al. 2016) on
local contrast, in both directions; what does not return to its start is left where it was, and the mean of
all movements is taken off, so that no photo pulls the others along.
"""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 512
FARTHEST = 6.0
"""Largest movement, texels of `SIDE`: about .07 interocular distances."""
_SMOOTH = 5.0
_RETURN = 1.5
"""Distance, texels, from its start at which a place that was moved and moved back does not count."""


def registered(colours: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Find how each photo is to be looked up to match the others.

    Parameters
    ----------
    colours : np.ndarray
        (N, S, S, 3) float32, square root of linear light, balanced.
    weights : np.ndarray
        (N, S, S) float32 >= 0.

    Returns
    -------
    np.ndarray
        (N, SIDE, SIDE, 2) float32: texels of `SIDE` to be added to where a photo is looked up.
    """
    side = (SIDE, SIDE)
    small = [cv2.resize(w, side, interpolation=cv2.INTER_AREA) for w in weights]
    grey = [cv2.resize(c.mean(-1), side, interpolation=cv2.INTER_AREA) for c in colours]
    detail = [_contrast(g) for g in grey]
    total = np.maximum(np.sum(small, 0), 1e-6)
    mean = sum(d * (w / total) for d, w in zip(detail, small, strict=True))
    target = _eight_bit(np.asarray(mean))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    moves = []
    for one, weight in zip(detail, small, strict=True):
        own = _eight_bit(np.where(weight > 1e-4, one, mean))
        # A fresh field each time: the flow is written into what it is given.
        there, back = (
            np.asarray(flow.calc(*pair, np.zeros((SIDE, SIDE, 2), np.float32)))
            for pair in ((target, own), (own, target))
        )
        moves.append(_returning(there, back, weight))
    common = sum(m * (w / total)[..., None] for m, w in zip(moves, small, strict=True))
    return np.stack([m - common for m in moves]).astype(np.float32)


def moved(texture: np.ndarray, move: np.ndarray) -> np.ndarray:
    """Look a texture (S, S, C) up where a movement (SIDE, SIDE, 2) says."""
    size = len(texture)
    large = cv2.resize(move, (size, size), interpolation=cv2.INTER_LINEAR) * (size / SIDE)
    down, across = np.mgrid[0:size, 0:size].astype(np.float32)
    return cv2.remap(
        texture,
        across + large[..., 0],
        down + large[..., 1],
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _contrast(grey: np.ndarray) -> np.ndarray:
    """Local contrast, so that light and skin tone do not count."""
    logs = np.log(grey.clip(0, 1) + 0.03)
    detail = logs - cv2.GaussianBlur(logs, (0, 0), 12)
    return np.asarray(np.tanh(detail / 0.5), np.float32)


def _eight_bit(values: np.ndarray) -> np.ndarray:
    return (values.clip(-1, 1) * 127 + 128).astype(np.uint8)


def _returning(there: np.ndarray, back: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Movements that return, smoothed, bounded, and 0 where the photo shows nothing."""
    down, across = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    again = cv2.remap(back, across + there[..., 0], down + there[..., 1], cv2.INTER_LINEAR)
    lost = np.linalg.norm(there + again, axis=-1)
    reliable = np.clip(weight / 0.02, 0, 1) / (1 + (lost / _RETURN) ** 2)
    total = cv2.GaussianBlur(reliable, (0, 0), _SMOOTH)
    mean = (
        cv2.GaussianBlur(there * reliable[..., None], (0, 0), _SMOOTH)
        / np.maximum(total + 0.05, 1e-6)[..., None]
    )
    length = np.linalg.norm(mean, axis=-1, keepdims=True)
    return mean * (FARTHEST * np.tanh(length / FARTHEST) / np.maximum(length, 1e-6))

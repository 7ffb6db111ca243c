"""What no photo shows: hair goes on as hair, everything else smoothly. *Ours*."""

from __future__ import annotations

import cv2
import numpy as np

from .blend import pull_push
from .visibility import smoothstep

_PATCH = (1 / 64, 1 / 14)
"""Least and greatest side of the square of shown hair whose grain goes on, shares of the texture's side."""
_GRAIN = 0.09
"""Largest contrast of continued hair, square root of linear light."""
_PORES = 0.03
"""The same of continued skin."""
_RIM = 0.014
"""Width of the shown scalp's edge that goes on less, as a share of the texture's side: it is seen at a
grazing angle, stretched and mixed with background."""
_UNLIKE = (0.06, 0.18)
"""Difference to the skin's colour, square root of linear light, between which the scalp shows hair."""
_HAIRY = 0.15
"""Share of the shown scalp from which that hair goes on, and not the skin beside it."""
_SPECK = 0.15
"""Share of the largest shown part of the scalp below which another part does not go on."""


def continued(colours: np.ndarray, known: np.ndarray, scalp: np.ndarray) -> np.ndarray:
    """Continue a texture into what is not known.

    Parameters
    ----------
    colours : np.ndarray
        (S, S, 3) float32.
    known : np.ndarray
        (S, S) float32 in 0..1.
    scalp : np.ndarray
        (S, S) float32 in 0..1: continued from the scalp alone, with the grain of what is shown of it; skin
        beside it does not bleed in.
    """
    size = len(known)
    smooth = pull_push(colours, known)
    on_scalp = (scalp > 0.5).astype(np.float32)
    # Beside ears and neck the scalp is seen at a grazing angle, with them mixed in.
    reach = 2 * (size // 50) + 1
    shown = known * cv2.erode(on_scalp, np.ones((reach, reach), np.uint8)) * (known > 0.8)
    shown *= _main_parts(shown > 0.5)
    if shown.sum() < 64:
        return smooth
    inwards = cv2.distanceTransform(((known > 0.8) | (on_scalp < 0.5)).astype(np.uint8), cv2.DIST_L2, 5)
    own = np.clip(inwards / (_RIM * size), 0, 1) ** 2
    skin = (known > 0.9) & (on_scalp < 0.5)
    if skin.any():
        shown = _hairy(colours, shown, np.median(colours[skin], 0))
    hair = pull_push(colours, (shown * np.maximum(own, 0.02)).astype(np.float32))
    hair = hair + _grain(colours, (shown > 0.5) & (own > 0.9), _GRAIN)
    filled = known[..., None] * colours + (1 - known[..., None]) * hair
    soft = cv2.GaussianBlur(on_scalp, (0, 0), size / 200)[..., None]
    return np.asarray(smooth + soft * (filled - smooth), np.float32)


def continued_within(
    filled: np.ndarray, colours: np.ndarray, known: np.ndarray, region: np.ndarray, source: np.ndarray
) -> np.ndarray:
    """Fill a region from the skin around it alone.

    Parameters
    ----------
    filled : np.ndarray
        (S, S, 3) float32 continued from everything around.
    colours : np.ndarray
        (S, S, 3) float32.
    known : np.ndarray
        (S, S) float32 in 0..1.
    region : np.ndarray
        (S, S) float32 in 0..1: where `filled` is replaced, as far as nothing is known.
    source : np.ndarray
        (S, S) float32 in 0..1: what may go on there.
    """
    own = known * (source > 0.9)
    if own.sum() < 64:
        return filled
    share = region * (1 - known)
    return np.asarray(filled + share[..., None] * (pull_push(colours, own) - filled), np.float32)


def with_pores(filled: np.ndarray, colours: np.ndarray, known: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Give filled skin the grain of the skin that is shown.

    Parameters
    ----------
    filled, colours : np.ndarray
        (S, S, 3) float32, filled and as shown.
    known : np.ndarray
        (S, S) float32 in 0..1.
    skin : np.ndarray
        (S, S) float32 in 0..1: where skin is.
    """
    grain = _grain(colours, known * skin > 0.9, _PORES)
    return np.asarray(filled + ((1 - known) * skin)[..., None] * grain, np.float32)


def _hairy(colours: np.ndarray, shown: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """(S, S) of what is shown of the scalp, the hair; all of it on a bald head."""
    unlike = np.abs(colours - skin).max(-1)
    hair = shown * smoothstep(*_UNLIKE, unlike)
    return np.asarray(hair if hair.sum() > _HAIRY * shown.sum() else shown, np.float32)


def _grain(colours: np.ndarray, shown: np.ndarray, most: float) -> np.ndarray:
    """(S, S, 3) detail like that of the largest shown square, 0 where there is none; at most `most`.

    Method: its spectrum with random phases (Galerne et al. 2011), which repeats nothing.
    """
    size = len(shown)
    solid = cv2.morphologyEx(shown.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    inwards = cv2.distanceTransform(cv2.copyMakeBorder(solid, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_C, 3)
    row, column = np.unravel_index(np.argmax(inwards[1:-1, 1:-1]), shown.shape)
    half = int(min(inwards.max() - 1, _PATCH[1] * size / 2))
    if half < _PATCH[0] * size / 2:
        return np.zeros_like(colours)
    around = colours[row - half : row + half, column - half : column + half]
    patch = (around - cv2.GaussianBlur(around, (0, 0), size / 160)).clip(-most, most)
    window = np.outer(np.hanning(2 * half), np.hanning(2 * half))[..., None]
    side = size // 4
    spectrum = np.fft.rfft2((patch - patch.mean((0, 1))) * window, (side, side), (0, 1))
    noise = np.random.default_rng(0).normal(size=(side, side, 1))
    phases = np.fft.rfft2(noise, axes=(0, 1))
    tile = np.fft.irfft2(spectrum * phases / np.maximum(np.abs(phases), 1e-9), (side, side), (0, 1))
    tile *= patch.std() / max(float(tile.std()), 1e-9)
    return np.tile(tile.clip(-most, most).astype(np.float32), (size // side, size // side, 1))


def _main_parts(shown: np.ndarray) -> np.ndarray:
    """(S, S) bool: the connected parts that are not much smaller than the largest; specks are seldom hair."""
    count, label, stats, _ = cv2.connectedComponentsWithStats(shown.astype(np.uint8))
    if count < 2:
        return shown
    area = stats[1:, cv2.CC_STAT_AREA]
    return np.isin(label, 1 + np.nonzero(area > _SPECK * area.max())[0])

"""What no photo shows: hair goes on as hair, everything else smoothly. *Ours*."""

from __future__ import annotations

import cv2
import numpy as np

from .blend import pull_push

_BAND = 0.045
"""Depth of the shown edge that is reflected outwards, as a share of the texture's side."""
_GRAIN = 0.12
"""Largest contrast of continued hair, square root of linear light."""
_SPECK = 0.15
"""Share of the largest shown part of the scalp below which another part does not go on."""
_INSET = 5
"""Texels that the reflecting edge lies inside of what is shown: the outermost ones are mixed with
background."""


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
    smooth = pull_push(colours, known)
    on_scalp = (scalp > 0.5).astype(np.float32)
    # Beside ears and neck the scalp is seen at a grazing angle, with them mixed in.
    reach = 2 * (len(known) // 50) + 1
    shown = known * cv2.erode(on_scalp, np.ones((reach, reach), np.uint8)) * (known > 0.8)
    shown *= _main_parts(shown > 0.5)
    if shown.sum() < 64:
        return smooth
    hair = pull_push(colours, shown)
    grain = _reflected(colours - cv2.blur(hair, (len(known) // 40,) * 2), shown > 0.9)
    if grain is not None:
        hair = hair + np.clip(grain, -_GRAIN, _GRAIN) * (1 - known[..., None])
    filled = known[..., None] * colours + (1 - known[..., None]) * hair
    soft = cv2.GaussianBlur(on_scalp, (0, 0), len(known) / 200)[..., None]
    return smooth + soft * (filled - smooth)


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


def _reflected(values: np.ndarray, shown: np.ndarray) -> np.ndarray | None:
    """Values outside of what is shown, looked up as if its edge were a mirror (folded within a band)."""
    size = len(shown)
    inner = cv2.erode(shown.astype(np.uint8), np.ones((2 * _INSET + 1,) * 2, np.uint8))
    if not inner.any():
        return None
    distance, label = cv2.distanceTransformWithLabels(
        1 - inner, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    row, column = np.nonzero(inner)
    places = np.zeros((label.max() + 1, 2), np.float32)
    places[label[row, column]] = np.c_[column, row]
    edge = places[label]
    down, across = np.mgrid[0:size, 0:size].astype(np.float32)
    outwards = np.stack([across, down], -1) - edge
    length = np.maximum(distance, 1e-3)
    band = max(_BAND * size, 4.0)
    back = band - np.abs(np.mod(length, 2 * band) - band)
    at = edge - outwards / length[..., None] * back[..., None]
    result = cv2.remap(values, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(result, np.float32)


def _main_parts(shown: np.ndarray) -> np.ndarray:
    """(S, S) bool: the connected parts that are not much smaller than the largest; specks are seldom hair."""
    count, label, stats, _ = cv2.connectedComponentsWithStats(shown.astype(np.uint8))
    if count < 2:
        return shown
    area = stats[1:, cv2.CC_STAT_AREA]
    return np.isin(label, 1 + np.nonzero(area > _SPECK * area.max())[0])

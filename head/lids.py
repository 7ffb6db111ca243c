"""Closed lids in the texture: skin and lashes where the photos show an open eye. *Ours*.

An open eye's upper lid is folded away: its few texels show the fold, lashes and iris, and a blink stretches
them over the whole eye. So a second set of colours is made for both lids, smoothly from the skin around (the
few texels could not show detail), with a dark rim of lashes. A render mixes them in by the blink.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from .blend import pull_push
from .expression import Blink, blinks_of
from .layout import UVLayout
from .model import REGIONS, HeadModel
from .raster import triangle_ids
from .visibility import smoothstep

_SIDE = 0.22
"""Side of the square around an eye that is looked at, share of the texture's side."""
_LIDS = (0.10, 0.45)
"""Share of a blink's longest way between which a place on the face becomes lid."""
_RIM = (0.0, 0.055)
"""Height above the line where closed lids meet over which lashes fade, interocular distances."""
_RIM_PX = 400
"""Px per interocular distance of the picture in which that line is found."""
_REACH = 0.006
"""How far beyond the lids lashes and their shadow are seen in photos, share of the texture's side."""
_DARK = (0.7, 0.95)
"""Brightness, as a share of the skin's, between which something beside the eye is brow or lash, or skin."""
_USUAL = (0.9, 0.15)
"""Brightness of that skin, as a share of the median around the eye, and how far it may differ."""
_EVEN, _DARKEST = 0.85, 0.8
"""How far a lid takes the hue of the skin around, and its least brightness as a share of the skin's."""
_FOLD, _FOLD_AT, _FOLD_WIDTH = 0.16, 0.16, 0.13
"""Darkness of the fold above the lid; where it lies and how wide, shares of a blink's longest way."""
_LASHES, _BRIGHTEST_LASH = 0.8, 0.5
"""Opacity of the lashes, and their greatest brightness as a share of the skin's."""
MIXED = (0.2, 0.55)
"""Blink coefficients between which the open eye's texels give way."""
SURE = 0.15
"""Confidence of a closed lid, as a share of what the photos show there."""


class LidMaps(NamedTuple):
    """Where one eye's lids lie in the texture, within a square of n texels.

    ``row`` of the blink's ARKit coefficient; ``top``, ``left`` the square's corner, texels; ``lid`` (n, n)
    share of a texel that is filled; ``rim`` (n, n) lashes; ``fold`` (n, n) above the lid;
    ``hole`` (n, n) bool, no part of the skin.
    """

    row: int
    top: int
    left: int
    lid: np.ndarray
    rim: np.ndarray
    fold: np.ndarray
    hole: np.ndarray


class ClosedLid(NamedTuple):
    """Colours of one eye's closed lids.

    ``row`` of the blink's ARKit coefficient; ``top``, ``left`` corner in the texture, texels; ``colour``
    (n, n, 3) float32 sRGB in 0..1; ``share`` (n, n) float32 in 0..1: where they hold.
    """

    row: int
    top: int
    left: int
    colour: np.ndarray
    share: np.ndarray


@lru_cache(maxsize=4)
def _maps(model: HeadModel, size: int) -> tuple[LidMaps, ...]:
    result = []
    count = round(_SIDE * size)
    skin = ~model.in_region("right_eye", "left_eye", "mouth", "upper_teeth", "lower_teeth", "tongue")
    lids = model.in_region("lids", "socket")
    triangles = model.triangles[skin[model.triangles].all(1)]
    for blink in blinks_of(model):
        middle = (model.mean[blink.upper] + model.mean[blink.lower]).mean(0) / 2
        corner = model.uv[np.isin(model.source, np.r_[blink.upper, blink.lower]) & lids].mean(0)
        left, top = np.round(corner * size - count / 2).astype(int)
        uv = (model.uv * size - [left, top]) / count
        layout = UVLayout.of(uv, triangles, count)
        moved = np.linalg.norm(model.expression[blink.row], axis=1)[model.source]
        moved = (moved / moved.max()).astype(np.float32)
        inner = lids & (np.linalg.norm(model.mean[model.source] - middle, axis=1) < 0.5)
        above = model.mean[model.source, 1] > middle[1]
        fold = np.exp(-(((moved - _FOLD_AT) / _FOLD_WIDTH) ** 2)) * above * ~inner
        values = np.stack([np.maximum(smoothstep(*_LIDS, moved), inner), _rim(model, blink, middle), fold], 1)
        lid, rim, fold = np.moveaxis(layout.interpolate(values), -1, 0).clip(0, 1)
        inside = layout.interpolate((model.region == REGIONS.index("face"))[:, None].astype(np.float32))
        result.append(LidMaps(blink.row, top, left, lid, rim, fold, inside[..., 0] < 0.5))
    return tuple(result)


def _rim(model: HeadModel, blink: Blink, middle: np.ndarray) -> np.ndarray:
    """(V,) float32 in 0..1: how near each vertex lies to the line where the closed lids meet."""
    closed = (model.mean + model.expression[blink.row])[model.source]
    count = 2 * (_RIM_PX // 2)
    points = (closed - middle) * [_RIM_PX, -_RIM_PX, _RIM_PX] + [count / 2, count / 2, 0]
    skin = model.in_region("face", "lids")
    triangles = model.triangles[skin[model.triangles].all(1)]
    ids = triangle_ids(points, triangles, count, count)
    falls = -model.expression[blink.row][model.source, 1]
    upper = falls[triangles].mean(1) > 0.3 * falls.max()
    seen = (ids >= 0) & np.append(upper, False)[ids]
    line = count - 1 - np.argmax(seen[::-1], 0)
    column = np.clip(points[:, 0].round().astype(int), 0, count - 1)
    height = (line[column] - points[:, 1]) / _RIM_PX
    near = seen.any(0)[column] & (np.abs(points[:, 0] - count / 2) < count / 2) & (np.abs(height) < 0.5)
    return np.asarray(near * (1 - smoothstep(*_RIM, height)) * (falls > 0.2 * falls.max()), np.float32)


def closed_lids(texture: np.ndarray, model: HeadModel) -> tuple[ClosedLid, ...]:
    """Make the colours of closed lids.

    Parameters
    ----------
    texture : np.ndarray
        (S, S, 3) uint8 sRGB of a head.
    model : HeadModel
        Its mesh and UV layout.

    Returns
    -------
    tuple of ClosedLid
        Of the right eye and of the left.
    """
    return tuple(_closed(texture, maps) for maps in _maps(model, len(texture)))


def _closed(texture: np.ndarray, maps: LidMaps) -> ClosedLid:
    count, size = len(maps.lid), len(texture)
    shown = texture[maps.top : maps.top + count, maps.left : maps.left + count].astype(np.float32) / 255
    reach = 2 * max(round(_REACH * size), 1) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    share = cv2.dilate(np.maximum(maps.lid, maps.hole), kernel)
    bright = shown.mean(-1)
    clear = share < 0.1
    usual = float(np.median(bright[clear]))
    known = clear * smoothstep(*_DARK, bright / max(usual, 1e-3))
    colour = pull_push(shown, known.astype(np.float32))
    even = clear & (np.abs(bright / max(usual, 1e-3) - _USUAL[0]) < _USUAL[1])
    if even.any():
        # Neither brows beside the lid nor highlights are its colour.
        skin = np.median(shown[even], 0)
        level = np.maximum(colour.mean(-1, keepdims=True), _DARKEST * usual)
        colour += _EVEN * (level * skin / max(float(skin.mean()), 1e-3) - colour)
    colour = colour * (1 - _FOLD * maps.fold[..., None])
    dark = np.sort(bright[~maps.hole].ravel())[: max(bright.size // 30, 1)].max()
    hairs = shown[(bright <= dark) & ~maps.hole]
    lash = hairs.mean(0) if len(hairs) else np.zeros(3, np.float32)
    # Of fair hair too lashes are darker than skin.
    lash = lash * min(1.0, _BRIGHTEST_LASH * usual / max(float(np.mean(lash)), 1e-3))
    colour = colour + _LASHES * maps.rim[..., None] * (lash - colour)
    share = cv2.GaussianBlur(share, (0, 0), size / 500)
    return ClosedLid(maps.row, maps.top, maps.left, colour.clip(0, 1), share)


def mixed(blink: float) -> float:
    """Share of closed lids in a render, 0..1, of an ARKit blink coefficient."""
    return float(smoothstep(*MIXED, np.array(blink)))

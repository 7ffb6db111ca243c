"""One photo sampled into the head's UV texture: linear colours and their confidence. *Ours*."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .layout import UVLayout, enlarge, padded
from .posed import Posed
from .visibility import View

TO_LINEAR = np.where(
    np.arange(256) <= 10.31475, np.arange(256) / 255 / 12.92, ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4
).astype(np.float32)
"""sRGB's code values as linear light."""
_HALO = 0.035
"""Width of the person's edge that is not sampled, interocular distances."""
_EDGE = 0.03
"""Width of the photo's margin that counts less and less, as a share of its longer side."""


@dataclass(frozen=True, eq=False)
class Unwrapped:
    """What one photo shows of the head.

    Attributes
    ----------
    colour : np.ndarray
        (S, S, 3) float32 linear light, 0..1.
    person : np.ndarray
        (S, S) float32 in 0..1: the photo shows the person there, not the background and not past its frame.
    shown : np.ndarray
        (S, S) float32 in 0..1: the photo shows something there (its frame is not passed).
    """

    colour: np.ndarray
    person: np.ndarray
    shown: np.ndarray


def unwrap(photo: Posed, view: View, layout: UVLayout, size: int) -> Unwrapped:
    """Sample a photo for every texel.

    Parameters
    ----------
    photo : Posed
        Source pixels and the person's alpha.
    view : View
        Where each texel lies in its px.
    layout : UVLayout
        Of the view.
    size : int
        Side of the texture, px.
    """
    place = enlarge(padded(view.place, layout.inside), size)
    x, y = place[..., 0], place[..., 1]
    linear = TO_LINEAR[photo.photo.pixels]
    # Hair's edge is half background: it belongs to the outline, not to the texture.
    radius = max(round(_HALO * photo.scale), 1)
    alpha = cv2.erode(photo.alpha, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2))
    step = _pixels_per_texel(view, layout) * layout.size / size
    if step > 1.4:
        # A photo finer than the texture is averaged, not skipped through.
        shape = alpha.shape
        small = max(round(shape[1] / step), 8), max(round(shape[0] / step), 8)
        linear = cv2.resize(linear, small, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(alpha, small, interpolation=cv2.INTER_AREA)
        x, y = x * (small[0] / shape[1]), y * (small[1] / shape[0])
    height, width = alpha.shape
    x, y = x - 0.5, y - 0.5
    colour = cv2.remap(linear, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    margin = max(_EDGE * max(height, width), 2.0)
    nearest = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
    shown = np.clip((nearest - 1) / margin, 0, 1)
    person = cv2.remap(alpha, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) * (shown > 0)
    return Unwrapped(colour.clip(0, 1), person, shown)


def _pixels_per_texel(view: View, layout: UVLayout) -> float:
    """Median distance in the photo of two neighbouring texels that it shows."""
    clear = (view.seen[:, :-1] > 0.9) & (view.seen[:, 1:] > 0.9)
    if not clear.any():
        return 1.0
    return float(np.median(np.linalg.norm(np.diff(view.place, axis=1)[clear], axis=-1)))


def to_srgb8(linear: np.ndarray) -> np.ndarray:
    """Encode linear light (..., 3) as sRGB uint8."""
    index = np.sqrt(np.clip(linear, 0, 1)) * (len(_FROM_ROOT) - 1) + 0.5
    return _FROM_ROOT[index.astype(np.int32)]


def _table() -> np.ndarray:
    light = np.linspace(0, 1, 4096) ** 2
    code = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (code * 255 + 0.5).astype(np.uint8)


_FROM_ROOT = _table()
"""sRGB's code value for the square root of linear light: even steps there need a short table only."""

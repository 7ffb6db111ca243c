"""Masks: where in the picture a patch acts."""

from __future__ import annotations

import comfy.model_management
import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from torch import Tensor

from .regions import Region

_SIGMA = 8.0
"""Pixels: the widest Gaussian that is made at the mask's own size."""


def prepare_mask(mask: Tensor | None, feather: int = 0) -> Tensor | None:
    """Return a mask as ``(B, H, W)`` float in 0..1 with a soft edge, or None when it covers everything.

    Runs once when the node runs, so that sampling never has to look at the mask's values.

    Parameters
    ----------
    mask
        ``(H, W)``, ``(B, H, W)`` or ``(B, 1, H, W)``, 0 to 1.
    feather
        Width of the soft edge, in pixels of the mask.
    """
    if mask is None:
        return None
    if mask.ndim == 4:
        mask = mask[:, 0]
    if mask.ndim == 2:
        mask = mask[None]
    mask = mask.detach().to("cpu", torch.float32).clamp(0.0, 1.0)
    if bool((mask == 1.0).all()):
        return None
    return _feathered(mask, feather) if feather > 0 else mask


def _feathered(mask: Tensor, width: int) -> Tensor:
    """Fade the edge over about ``width`` pixels; the border repeats, so a mask stays whole at the edge.

    A Gaussian. A wide one is made on a smaller mask, where it is `_SIGMA` to twice as many pixels: what it
    leaves has no detail that would be lost, and the time is that of a small one. Can be interrupted between
    masks.
    """
    height, length = mask.shape[-2:]
    sigma = width / 2.0
    zoom = max(1, int(sigma / _SIGMA))
    size = (max(1, height // zoom), max(1, length // zoom))
    feathered = torch.empty_like(mask)
    for row in range(len(mask)):
        comfy.model_management.throw_exception_if_processing_interrupted()
        picture = mask[row : row + 1, None]
        small = picture if size == (height, length) else F.adaptive_avg_pool2d(picture, size)
        small = _gaussian(small, sigma * size[0] / height, sigma * size[1] / length)
        if size != (height, length):
            small = F.interpolate(small, size=(height, length), mode="bicubic", align_corners=False)
        feathered[row] = small[0, 0].clamp(0.0, 1.0)
    return feathered


def _gaussian(picture: Tensor, down: float, across: float) -> Tensor:
    """Blur ``(1, 1, H, W)`` with two standard deviations in each direction."""
    # Reflection needs fewer pixels of border than there are; so does repetition, for speed.
    sides = [
        2 * min(max(1, round(2.0 * s)), n - 1) + 1
        for s, n in zip((down, across), picture.shape[-2:], strict=True)
    ]
    if sides == [1, 1]:
        return picture
    return gaussian_blur2d(picture, (sides[0], sides[1]), (down, across), border_type="replicate")


def fit_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """Return ``(B, H, W)`` resized to the whole latent: averaged when it shrinks, bilinear when it grows."""
    if mask.shape[-2:] == (height, width):
        return mask
    if mask.shape[-2] >= height and mask.shape[-1] >= width:
        return F.adaptive_avg_pool2d(mask[:, None], (height, width))[:, 0]
    return F.interpolate(mask[:, None], size=(height, width), mode="bilinear", align_corners=False)[:, 0]


def row_masks(mask: Tensor, places: tuple[tuple[int, Region], ...]) -> Tensor:
    """Return ``(R, 1, h, w)``: for each row its latent's mask, cut at its region.

    Parameters
    ----------
    mask
        ``(B, H, W)`` at the size of the whole latent. Latents beyond B start again with the first.
    places
        Index of the latent in the picture batch and region, for each row; regions of one size.
    """
    return torch.stack([region.cut(mask[latent % len(mask)]) for latent, region in places])[:, None]


def scale_rows(masks: Tensor, height: int, width: int) -> Tensor:
    """Return ``(R, 1, h, w)`` brought to the resolution of one layer by averaging."""
    if masks.shape[-2:] == (height, width):
        return masks
    if masks.shape[-2] >= height and masks.shape[-1] >= width:
        return F.adaptive_avg_pool2d(masks, (height, width))
    return F.interpolate(masks, size=(height, width), mode="bilinear", align_corners=False)


class MaskPyramid:
    """The mask of some rows at the resolution of any layer, each size made once.

    Parameters
    ----------
    masks
        ``(R, 1, h, w)`` in 0..1, from `row_masks`.
    """

    def __init__(self, masks: Tensor) -> None:
        self._sizes = {tuple(masks.shape[-2:]): masks}
        self._full = masks

    def at(self, height: int, width: int) -> Tensor:
        """Return ``(R, 1, height, width)``."""
        size = (height, width)
        if size not in self._sizes:
            self._sizes[size] = scale_rows(self._full, height, width)
        return self._sizes[size]

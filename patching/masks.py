"""Masks: where in the picture a patch acts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .regions import Region


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
    return _blur(mask, feather) if feather > 0 else mask


def _blur(mask: Tensor, width: int) -> Tensor:
    # A Gaussian that fades over about `width` pixels; the border repeats, so a mask that reaches the
    # picture's edge stays whole there.
    sigma = width / 2.0
    radius = min(max(1, round(2.0 * sigma)), mask.shape[-1] - 1, mask.shape[-2] - 1)
    if radius < 1:
        return mask
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(mask[:, None], (radius, radius, radius, radius), mode="replicate")
    blurred = F.conv2d(F.conv2d(padded, kernel[None, None, None]), kernel[None, None, :, None])
    return blurred[:, 0].clamp(0.0, 1.0)


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

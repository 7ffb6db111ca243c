"""Skin detail: pores, moles and lines of a render, in a finished picture of the same pose (*ours*)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from kornia.color import linear_rgb_to_rgb, rgb_to_linear_rgb
from kornia.filters import gaussian_blur2d
from torch import Tensor

_LUMINANCE = (0.2126, 0.7152, 0.0722)
_DARKEST = 0.004
"""Luminance added before the logarithm: below it there is noise, not skin."""
_STRUCTURE = 0.12
"""Local contrast (logarithm of luminance) of the picture at which half of the detail is left out."""
_LIMIT = 0.7
"""Largest change of the logarithm of luminance: a dark mole."""


def transfer_detail(
    picture: Tensor,
    render: Tensor,
    confidence: Tensor,
    strength: float = 1.0,
    radius: float = 6.0,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the picture with the render's fine luminance detail on its skin.

    The detail is the high band of the logarithm of linear luminance, so that it is independent of the light
    of both pictures; all three channels are scaled alike, so that hues stay. Where the picture has strong
    structure of its own (eyes, lips, hair) little is added: two sets of lashes would not coincide.

    Parameters
    ----------
    picture
        ``(B, H, W, 3)`` sRGB in 0..1.
    render
        ``(N, H, W, 3)`` sRGB in 0..1 of the same pose and size; pictures beyond N start again with the first.
    confidence
        ``(N, H, W)`` in 0..1: confidence of each pixel of the render, 0 where there is no head.
    strength
        Factor on the detail; 0 returns the picture.
    radius
        Size of the coarsest detail that is carried over, in pixels.
    mask
        ``(H, W)`` or ``(M, H, W)`` in 0..1: where to act; None for everywhere.

    Returns
    -------
    Tensor
        ``(B, H, W, 3)``; pixels without confidence or outside of the mask are ``picture``'s, bit for bit.

    Raises
    ------
    ValueError
        The sizes differ, or a setting is out of range.
    """
    if picture.shape[1:3] != render.shape[1:3] or render.shape[:3] != confidence.shape:
        raise ValueError(
            f"the picture is {picture.shape[2]} x {picture.shape[1]}, the render {render.shape[2]} x "
            f"{render.shape[1]}, its confidence {confidence.shape[-1]} x {confidence.shape[-2]}; give all "
            "of one size"
        )
    if not (math.isfinite(strength) and strength >= 0.0 and math.isfinite(radius) and radius > 0.0):
        raise ValueError(f"strength {strength} must be at least 0, and radius {radius} above 0")
    rows = torch.arange(len(picture)) % len(render)
    ours = rgb_to_linear_rgb(picture.movedim(-1, 1).float())
    theirs = rgb_to_linear_rgb(render.movedim(-1, 1).float())
    covered = confidence[:, None].float().clamp(0.0, 1.0)
    detail = _high_band(_log_luminance(theirs), (covered > 0).float(), radius)
    own = _high_band(_log_luminance(ours), torch.ones_like(ours[:, :1]), radius)
    structure = gaussian_blur2d(own.square(), *_kernel(2.0 * radius, picture), border_type="replicate").sqrt()
    weight = (covered * _inside(covered, radius))[rows] / (1.0 + (structure / _STRUCTURE) ** 2)
    if mask is not None:
        mask = mask[None] if mask.ndim == 2 else mask
        weight = weight * mask[torch.arange(len(picture)) % len(mask)][:, None].clamp(0.0, 1.0)
    change = (_LIMIT * torch.tanh(detail[rows] / _LIMIT)) * (weight * strength)
    # Brightening stops where a channel would clip: clipping shifts the hue.
    room = -ours.amax(1, keepdim=True).clamp(min=_DARKEST).log()
    scaled = linear_rgb_to_rgb(ours * torch.minimum(change, room.clamp(min=0.0)).exp()).clamp(0.0, 1.0)
    changed = torch.where(weight * strength > 0, scaled, picture.movedim(-1, 1).float())
    return changed.movedim(1, -1).to(picture.dtype)


def _log_luminance(linear: Tensor) -> Tensor:
    weights = linear.new_tensor(_LUMINANCE)[:, None, None]
    return ((linear * weights).sum(1, keepdim=True) + _DARKEST).log()


def _kernel(sigma: float, like: Tensor) -> tuple[int, tuple[float, float]]:
    return 2 * max(1, math.ceil(3.0 * sigma)) + 1, (sigma, sigma)


def _high_band(values: Tensor, known: Tensor, radius: float) -> Tensor:
    """Return ``values`` without what is coarser than ``radius``; only what is known is averaged."""
    kernel = _kernel(radius / 2.0, values)
    share = gaussian_blur2d(known, *kernel, border_type="replicate")
    low = gaussian_blur2d(values * known, *kernel, border_type="replicate") / share.clamp(min=1e-3)
    return (values - low) * known


def _inside(covered: Tensor, radius: float) -> Tensor:
    """Return 0 at the outline of where confidence is above 0, 1 from about two radii inside it on."""
    covered = F.avg_pool2d(
        (covered > 0).float(), 2 * math.ceil(radius) + 1, 1, math.ceil(radius), count_include_pad=False
    )
    return (2.0 * covered - 1.0).clamp(min=0.0)

"""Renders of a head as latents, made once when a node runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from torch import Tensor

from .masks import fit_mask

_CHROMA_STEP = 0.1
_COVERED = 1e-3
_FADE = 0.7


@dataclass(frozen=True)
class EncodedRender:
    """Renders as latents: what to guide towards, and the confidence of each place."""

    latents: Tensor
    """``(N, C, h, w)`` as the VAE gives them, on the CPU."""
    confidence: Tensor
    """``(N, 1, h, w)`` in 0..1; 0 where the render shows nothing."""
    chroma: Tensor | None
    """``(C, 2)`` orthonormal directions in which the latents move with the hue; None: not asked for."""
    pixels: int
    """Pixels of the picture to one of the latents."""


def encode_render(
    vae: Any, image: Tensor, alpha: Tensor, confidence: Tensor | None = None, chroma: bool = False
) -> EncodedRender:
    """Return renders as latents; the only place where the VAE is used.

    Parameters
    ----------
    vae
        The host's VAE.
    image
        ``(N, H, W, 3)`` in 0..1.
    alpha
        ``(H, W)`` or ``(M, H, W)`` in 0..1: where the head is. Renders beyond M start again with the first.
    confidence
        Of the same kind: confidence of each pixel; None is 1 everywhere.
    chroma
        Find out along which directions of the latents the hue lies, for ``shape only``; three more encodings.

    Raises
    ------
    ValueError
        The VAE gives something else than latents of pictures.
    """
    pixels = int(vae.spacial_compression_encode())
    height, width = (max(1, side // pixels) for side in image.shape[1:3])
    pictures = image[..., :3].movedim(-1, 1).float()
    size = (height * pixels, width * pixels)
    if pictures.shape[-2:] != size:
        pictures = F.interpolate(pictures, size=size, mode="bilinear", antialias=True)
    weights = _weights(alpha, len(pictures), size)
    if confidence is not None:
        weights = weights * _weights(confidence, len(pictures), size)
    covered = F.avg_pool2d((weights > 0).float(), pixels)
    # A place at the edge shows background too: it counts from half coverage on.
    latent_confidence = F.avg_pool2d(weights, pixels) * (2.0 * covered - 1.0).clamp(min=0.0)
    # Towards places of lower confidence it fades over a pixel of the latents: a step would be a square
    # in the picture.
    latent_confidence = torch.minimum(
        latent_confidence, gaussian_blur2d(latent_confidence, 3, (_FADE, _FADE), border_type="replicate")
    )
    pictures = _surrounded(pictures, _weights(alpha, len(pictures), size))
    # One by one: a VAE for video would take a batch for frames.
    latents = torch.cat([_encode(vae, picture) for picture in pictures])
    return EncodedRender(
        latents,
        latent_confidence,
        _chroma_directions(vae, pictures[0], latent_confidence[0]) if chroma else None,
        pixels,
    )


def _weights(mask: Tensor, count: int, size: tuple[int, int]) -> Tensor:
    mask = mask[None] if mask.ndim == 2 else mask
    mask = fit_mask(mask.detach().to("cpu", torch.float32).clamp(0.0, 1.0), *size)
    return mask[torch.arange(count) % len(mask)][:, None]


def _surrounded(pictures: Tensor, alpha: Tensor) -> Tensor:
    """Return pictures whose surroundings continue the colours of the head's outline.

    What a VAE sees beside the head reaches into its latents: against black or grey, the outline would be
    guided towards a dark or grey seam.
    """
    spread = (pictures * alpha).sum((-2, -1), keepdim=True) / alpha.sum((-2, -1), keepdim=True).clamp(min=1.0)
    spread = spread.expand_as(pictures)
    size = pictures.shape[-2:]
    for cell in (128, 64, 32, 16, 8, 4):
        if cell > min(size):
            continue
        weight = F.avg_pool2d(alpha, cell, ceil_mode=True, count_include_pad=False)
        colour = F.avg_pool2d(pictures * alpha, cell, ceil_mode=True, count_include_pad=False)
        colour = colour / weight.clamp(min=1e-4)
        weight = (weight * 4.0).clamp(max=1.0)
        wide = [F.interpolate(each, size=size, mode="bilinear") for each in (colour * weight, weight)]
        spread = wide[0] + spread * (1.0 - wide[1])
    return pictures * alpha + spread * (1.0 - alpha)


def _encode(vae: Any, picture: Tensor) -> Tensor:
    latents = vae.encode(picture.movedim(0, -1)[None]).detach().to("cpu", torch.float32)
    if latents.ndim == 5:
        latents = latents[:, :, 0]
    if latents.ndim != 4 or not bool(latents.isfinite().all()):
        raise ValueError(
            f"Guide with Head: this VAE gives no usable latents of a picture (shape "
            f"{tuple(latents.shape)}); connect the VAE of the MODEL's checkpoint"
        )
    usable: Tensor = latents
    return usable


def _chroma_directions(vae: Any, picture: Tensor, confidence: Tensor) -> Tensor:
    """Return ``(C, 2)``: how the latents move when Cb or Cr is shifted at equal luma (BT.601)."""
    # In half the range, so that nothing clips.
    muted = 0.25 + 0.5 * picture
    weight = confidence / confidence.sum().clamp(min=_COVERED)
    before = _encode(vae, muted)
    moved = []
    for red, green, blue in ((0.0, -0.344, 1.772), (1.402, -0.714, 0.0)):
        shift = _CHROMA_STEP * torch.tensor((red, green, blue))[:, None, None]
        moved.append(((_encode(vae, muted + shift) - before)[0] * weight).sum((-2, -1)))
    directions: Tensor = torch.linalg.qr(torch.stack(moved, dim=1))[0]
    return directions


def fit_render(latents: Tensor, confidence: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return latents and confidence at another size, centred and never stretched; no confidence beside them.

    Parameters
    ----------
    latents
        ``(N, C, h, w)``.
    confidence
        ``(N, 1, h, w)``.
    """
    h, w = latents.shape[-2:]
    if (h, w) == (height, width):
        return latents, confidence
    scale = min(height / h, width / w)
    inner = (min(height, max(1, round(h * scale))), min(width, max(1, round(w * scale))))
    left, top = (width - inner[1]) // 2, (height - inner[0]) // 2
    margin = (left, width - inner[1] - left, top, height - inner[0] - top)
    fitted = [
        F.interpolate(each, size=inner, mode="bilinear", antialias=True) for each in (latents, confidence)
    ]
    return F.pad(fitted[0], margin), F.pad(fitted[1], margin)

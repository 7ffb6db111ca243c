"""UV textures of heads: colours of all references at the same UV coordinates, fused and warped to the target.

*Ours*. The paper has fusion layers and alignment layers and says no more. Fusion attention (``fusion.py``)
aligns tokens, each of which covers a patch; here single pixels are aligned. Every reference is warped into
the head's UV texture, so that one point of the head has the same coordinates in all of them. A small network
estimates a confidence for each texel of each reference, and the fused texture is sampled at every pixel of
the target.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import HiFiNetConfig
from .layers import Layer, Layers

COLOURS = 3
TEXTURE_CHANNELS = COLOURS + 1
"""Colours in -1..1, and their confidence in 0..1."""
_UNSEEN = 1e-4


class TextureFusion(nn.Module):
    """Fuses the UV textures ``(B, N, 4, R, R)`` of N references into one ``(B, 4, R, R)``. *Ours*.

    Each reference is compared with the mean of all, so that occlusions and differing light stand out. A
    face of weight 0 has no effect at all, and the order of the references does not matter.
    """

    def __init__(self, config: HiFiNetConfig, layers: Layers) -> None:
        super().__init__()
        low, high = config.texture_widths
        self.conv_in = layers.conv(TEXTURE_CHANNELS + COLOURS + 1, low, 3, stride=2)
        self.conv_down = layers.conv(low, high, 3, stride=2)
        self.conv_deep = layers.conv(high, high, 3, stride=2)
        self.conv_wide = layers.conv(high, high, 3)
        self.conv_up = layers.conv(high, low, 1)
        self.conv_out = layers.conv(low, 1, 3)

    def forward(self, textures: Tensor, bias: Tensor) -> Tensor:
        """Fuse.

        Parameters
        ----------
        textures
            ``(B, N, 4, R, R)``: colours in -1..1 and the visibility of each texel, 0..1.
        bias
            ``(B, N)`` log of each face's share of all weights; -inf: not there.

        Returns
        -------
        Tensor
            ``(B, 4, R, R)``: colours times confidence, and confidence in 0..1.
        """
        visible = textures[:, :, COLOURS:]
        colours = textures[:, :, :COLOURS] * (visible > 0)
        share = bias.exp().to(textures.dtype)[..., None, None, None] * visible
        total = share.sum(1, keepdim=True)
        mean = (share * colours).sum(1, keepdim=True) / total.clamp_min(_UNSEEN)
        deviation = (colours - mean) * visible
        x = torch.cat([colours * visible, visible, deviation, total.expand_as(visible)], 2)
        logits = self._confidence_logits(x.flatten(0, 1))
        logits = logits.reshape(*x.shape[:2], *logits.shape[1:])
        confidence = torch.sigmoid(logits) * visible
        weights = torch.log_softmax(
            logits + (visible + _UNSEEN).log() + bias.to(logits.dtype)[..., None, None, None], 1
        ).exp()
        fused = (weights * confidence).sum(1)
        return torch.cat([(weights * colours).sum(1) * fused, fused], 1)

    def _confidence_logits(self, x: Tensor) -> Tensor:
        fine = F.silu(self.conv_in(x))
        middle = F.silu(self.conv_down(fine))
        deep = F.silu(self.conv_wide(F.silu(self.conv_deep(middle))))
        middle = middle + F.interpolate(deep, size=middle.shape[-2:], mode="nearest")
        fine = fine + F.interpolate(self.conv_up(middle), size=fine.shape[-2:], mode="nearest")
        return F.interpolate(
            self.conv_out(F.silu(fine)), size=x.shape[-2:], mode="bilinear", align_corners=False
        )


class _Residual(Layer):
    """Residual block, ``(B, C, h, w)`` to the same."""

    def __init__(self, channels: int, config: HiFiNetConfig, layers: Layers) -> None:
        super().__init__()
        self.norm = layers.group_norm(math.gcd(channels, config.norm_groups), channels)
        self.conv1 = layers.conv(channels, channels, 3)
        self.conv2 = layers.conv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


@dataclass(frozen=True)
class CoarseX0:
    """A coarse prediction of the clean latents, and how strongly it guides the base. *Ours*."""

    latents: Tensor
    """``(B, latent_channels, h, w)``."""
    weight: Tensor
    """``(B, latent_channels, h, w)`` below 1: x0 guidance weight; 0 leaves the prediction as it is."""

    def guide(
        self,
        prediction: Tensor,
        x: Tensor,
        alpha: Tensor | float,
        sigma: Tensor | float,
        prediction_type: str,
        strength: Tensor | float = 1.0,
    ) -> Tensor:
        """Move a base's prediction towards the coarse x0, the more the noisier the latents are.

        The clean latents ``x0`` that the prediction stands for become
        ``x0 + strength * weight * sigma * (coarse_x0 - x0)``.

        Parameters
        ----------
        prediction
            ``(B, latent_channels, h, w)``, as the base gives it.
        x
            ``alpha * x0 + sigma * noise``, with ``alpha^2 + sigma^2 = 1``: as the base gets it.
        alpha, sigma
            Shares of signal and noise, 0..1; numbers, or broadcastable to ``x``.
        prediction_type
            What is predicted: ``v`` (``alpha * noise - sigma * x0``) or ``eps`` (the noise).
        strength
            Factor, or ``(B, 1, h, w)``; strength times weight is limited to 1.

        Returns
        -------
        Tensor
            The guided prediction, ``(B, latent_channels, h, w)``.

        Raises
        ------
        ValueError
            ``prediction_type`` is neither.
        """
        share = (self.weight * strength).clamp_max(1)
        if prediction_type == "v":
            return prediction + share * (alpha * x - sigma * prediction - self.latents)
        if prediction_type == "eps":
            return prediction + share * (x - sigma * prediction - alpha * self.latents)
        raise ValueError(f"x0 guidance needs a prediction of type 'v' or 'eps', not {prediction_type!r}")


class TextureEncoder(nn.Module):
    """Warps a fused UV texture onto the target and predicts the picture's latents from it. *Ours*.

    The coarse prediction of x0 has a loss of its own in training, so that what the references show reaches
    the picture directly and not only by way of the diffusion loss. The trunk reads it, and the base's
    prediction is guided towards it (`CoarseX0.guide`).
    """

    def __init__(self, config: HiFiNetConfig, layers: Layers) -> None:
        super().__init__()
        width = config.texture_encoder_width
        self.downscale = config.latent_downscale
        pixel_channels = TEXTURE_CHANNELS + 1 + config.hint_channels
        self.conv_in = layers.conv(pixel_channels * self.downscale**2, width, 1)
        self.before = _Residual(width, config, layers)
        self.conv_down = layers.conv(width, width, 3, stride=2)
        self.coarse = nn.ModuleList([_Residual(width, config, layers) for _ in range(2)])
        self.after = _Residual(width, config, layers)
        self.to_coarse_x0 = layers.conv(width, config.latent_channels, 3)
        self.to_guidance = layers.conv(width, config.latent_channels, 3, zero=True)
        self.guidance_gain = config.x0_guidance_gain
        self.conv_out = layers.conv(
            width + config.latent_channels, config.block_out_channels[0], 1, zero=True
        )

    def forward(self, texture: Tensor, uv_map: Tensor, hint: Tensor) -> tuple[Tensor, CoarseX0]:
        """Encode.

        Parameters
        ----------
        texture
            From `TextureFusion`, batch B or 1.
        uv_map
            ``(B, 3, H, W)``, H and W in px of the picture: UV coordinates in 0..1 of each pixel of the
            target, and 1 on the head.
        hint
            ``(B, 3, H, W)`` landmark drawing, 0..1.

        Returns
        -------
        tuple
            ``(B, C0, h, w)`` for the trunk, and the coarse prediction of x0.
        """
        warped = warp_texture(texture.expand(len(uv_map), -1, -1, -1), uv_map)
        pixels = torch.cat([warped, hint.to(warped.dtype)], 1)
        x = self.before(self.conv_in(F.pixel_unshuffle(pixels, self.downscale)))
        coarse = self.conv_down(F.silu(x))
        for block in self.coarse:
            coarse = block(coarse)
        x = self.after(x + F.interpolate(coarse, size=x.shape[-2:], mode="nearest"))
        ready = F.silu(x)
        # Squared error favours a weight that averages; identity on the head deserves a larger one.
        gain = 1 + (self.guidance_gain - 1) * F.avg_pool2d(warped[:, -1:], self.downscale)
        coarse_x0 = CoarseX0(self.to_coarse_x0(ready), torch.tanh(self.to_guidance(ready) * gain))
        return self.conv_out(torch.cat([x, coarse_x0.latents], 1)), coarse_x0


def warp_texture(texture: Tensor, uv_map: Tensor) -> Tensor:
    """Sample a UV texture at every pixel of a target.

    Parameters
    ----------
    texture
        ``(B, C, R, R)``.
    uv_map
        ``(B, 3, H, W)``: u, v in 0..1 and head.

    Returns
    -------
    Tensor
        ``(B, C + 1, H, W)``: what each pixel shows, 0 off the head, and the head.
    """
    head = uv_map[:, 2:].to(texture.dtype)
    grid = (uv_map[:, :2] * 2 - 1).movedim(1, -1).to(texture.dtype)
    found = F.grid_sample(texture, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return torch.cat([found * head, head], 1)

"""Unwrapped heads: colours of all references side by side on the skin, fused, and laid on the target. *Ours*.

The paper has fusion layers and alignment layers and says no more. Fusion attention (``fusion.py``) aligns
tokens, each of which covers a patch; here single pixels are aligned. Every reference is spread out on the
unwrapped head, so that the same place of the head lies at the same place in all of them. A small network
tells, place by place, whom to believe, and the fused head is looked up at every pixel of the target.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import HiFiNetConfig
from .layers import Layers

COLOURS = 3
TEXTURE_CHANNELS = COLOURS + 1
"""Colours in -1..1, and how far they are to be believed, 0..1."""
_UNSEEN = 1e-4


class TextureFusion(nn.Module):
    """Fuses unwrapped heads ``(B, N, 4, R, R)`` of N references into one ``(B, 4, R, R)``.

    Each reference is compared with the mean of all: what lies in front of a face, or a light of its own,
    stands out. A face of weight 0 is exactly not there, and the order does not matter.
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
            ``(B, N, 4, R, R)``: colours in -1..1 and how well each place is seen, 0..1.
        bias
            ``(B, N)`` log of each face's share of all weights; -inf: not there.

        Returns
        -------
        Tensor
            ``(B, 4, R, R)``: colours, 0 where nobody is to be believed, and certainty in 0..1.
        """
        seen = textures[:, :, COLOURS:]
        colours = textures[:, :, :COLOURS] * (seen > 0)
        share = bias.exp().to(textures.dtype)[..., None, None, None] * seen
        total = share.sum(1, keepdim=True)
        mean = (share * colours).sum(1, keepdim=True) / total.clamp_min(_UNSEEN)
        apart = (colours - mean) * seen
        x = torch.cat([colours * seen, seen, apart, total.expand_as(seen)], 2)
        logits = self._trust(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        trust = torch.sigmoid(logits) * seen
        weights = torch.log_softmax(
            logits + (seen + _UNSEEN).log() + bias.to(logits.dtype)[..., None, None, None], 1
        ).exp()
        certainty = (weights * trust).sum(1)
        return torch.cat([(weights * colours).sum(1) * certainty, certainty], 1)

    def _trust(self, x: Tensor) -> Tensor:
        fine = F.silu(self.conv_in(x))
        middle = F.silu(self.conv_down(fine))
        deep = F.silu(self.conv_wide(F.silu(self.conv_deep(middle))))
        middle = middle + F.interpolate(deep, size=middle.shape[-2:], mode="nearest")
        fine = fine + F.interpolate(self.conv_up(middle), size=fine.shape[-2:], mode="nearest")
        return F.interpolate(
            self.conv_out(F.silu(fine)), size=x.shape[-2:], mode="bilinear", align_corners=False
        )


class _Residual(nn.Module):
    """Residual block, ``(B, C, h, w)`` to the same."""

    def __init__(self, channels: int, config: HiFiNetConfig, layers: Layers) -> None:
        super().__init__()
        self.norm = layers.group_norm(math.gcd(channels, config.norm_groups), channels)
        self.conv1 = layers.conv(channels, channels, 3)
        self.conv2 = layers.conv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


@dataclass(frozen=True)
class Draft:
    """What the latents are expected to be, and how far to go by it."""

    latents: Tensor
    """``(B, latent_channels, h, w)``."""
    pull: Tensor
    """``(B, latent_channels, h, w)`` below 1; 0 leaves the base's prediction as it is."""

    def pull_on(
        self,
        prediction: Tensor,
        x: Tensor,
        alpha: Tensor | float,
        sigma: Tensor | float,
        kind: str,
        strength: Tensor | float = 1.0,
    ) -> Tensor:
        """Pull a base's prediction towards the draft, the more the noisier the latents are.

        The clean latents ``x0`` that the prediction stands for become
        ``x0 + strength * pull * sigma * (draft - x0)``.

        Parameters
        ----------
        prediction
            ``(B, latent_channels, h, w)``, as the base gives it.
        x
            ``alpha * x0 + sigma * noise``, with ``alpha^2 + sigma^2 = 1``: as the base gets it.
        kind
            What is predicted: ``v`` (``alpha * noise - sigma * x0``) or ``eps`` (the noise).
        strength
            Factor, or ``(B, 1, h, w)``; strength times pull is limited to 1.

        Raises
        ------
        ValueError
            ``kind`` is neither.
        """
        share = (self.pull * strength).clamp_max(1)
        if kind == "v":
            return prediction + share * (alpha * x - sigma * prediction - self.latents)
        if kind == "eps":
            return prediction + share * (x - sigma * prediction - alpha * self.latents)
        raise ValueError(f"a draft cannot pull on a prediction of kind {kind!r}, only on 'v' or 'eps'")


class TextureEncoder(nn.Module):
    """Lays a fused head on the target and drafts the picture's latents from it.

    The draft is what the latents are expected to be. It is trained as such (`training.losses.draft_loss`), so
    that what the references tell reaches the picture at once, and not only by way of the diffusion loss. The
    trunk reads it, and the base's prediction is pulled towards it (`Draft.pull_on`).
    """

    SIDE = 8
    """Pixels of the picture per latent pixel."""

    def __init__(self, config: HiFiNetConfig, layers: Layers) -> None:
        super().__init__()
        width = config.texture_encoder_width
        self.conv_in = layers.conv((TEXTURE_CHANNELS + 1 + config.hint_channels) * self.SIDE**2, width, 1)
        self.before = _Residual(width, config, layers)
        self.conv_down = layers.conv(width, width, 3, stride=2)
        self.coarse = nn.ModuleList([_Residual(width, config, layers) for _ in range(2)])
        self.after = _Residual(width, config, layers)
        self.to_draft = layers.conv(width, config.latent_channels, 3)
        self.to_pull = layers.conv(width, config.latent_channels, 3, zero=True)
        self.pull_gain = config.pull_gain
        self.conv_out = layers.conv(
            width + config.latent_channels, config.block_out_channels[0], 1, zero=True
        )

    def forward(self, texture: Tensor, places: Tensor, hint: Tensor) -> tuple[Tensor, Draft]:
        """Encode.

        Parameters
        ----------
        texture
            From `TextureFusion`, batch B or 1.
        places
            ``(B, 3, 8h, 8w)``: place of the unwrapped head that each pixel of the target shows, and 1 on the
            head.
        hint
            ``(B, 3, 8h, 8w)`` landmark drawing, 0..1.

        Returns
        -------
        tuple
            ``(B, C0, h, w)`` for the trunk, and the draft.
        """
        laid = lay_on(texture.expand(len(places), -1, -1, -1), places)
        pixels = torch.cat([laid, hint.to(laid.dtype)], 1)
        x = self.before(self.conv_in(F.pixel_unshuffle(pixels, self.SIDE)))
        coarse = self.conv_down(F.silu(x))
        for block in self.coarse:
            coarse = block(coarse)
        x = self.after(x + F.interpolate(coarse, size=x.shape[-2:], mode="nearest"))
        ready = F.silu(x)
        # Squared error settles for a pull that averages; a likeness on the head is worth a stronger one.
        gain = 1 + (self.pull_gain - 1) * F.avg_pool2d(laid[:, -1:], self.SIDE)
        draft = Draft(self.to_draft(ready), torch.tanh(self.to_pull(ready) * gain))
        return self.conv_out(torch.cat([x, draft.latents], 1)), draft


def lay_on(texture: Tensor, places: Tensor) -> Tensor:
    """Look an unwrapped head up at every pixel of a target.

    Parameters
    ----------
    texture
        ``(B, C, R, R)``.
    places
        ``(B, 3, H, W)``: u, v in 0..1 and head.

    Returns
    -------
    Tensor
        ``(B, C + 1, H, W)``: what each pixel shows, 0 off the head, and the head.
    """
    head = places[:, 2:].to(texture.dtype)
    grid = (places[:, :2] * 2 - 1).movedim(1, -1).to(texture.dtype)
    found = F.grid_sample(texture, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return torch.cat([found * head, head], 1)

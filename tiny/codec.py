"""The tiny model's picture codec: principal components of 8x8 patches, and a refinement.

A linear codec fitted in seconds beats a small trained autoencoder by 4 dB on this data, and it lets losses on
pictures be taken through it at almost no cost. *Ours*; the paper uses SDXL's VAE.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 8


class DecoderRefinement(nn.Module):
    """Predicts what decoded samples of the model lack or have too much of; (B, 3, H, W) to the same. *Ours*.

    Parameters
    ----------
    width : int
        Channels.
    depth : int
        Residual convolutions, each of which sees 4 px further.
    """

    SIDE = 4

    def __init__(self, width: int, depth: int = 5) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 * self.SIDE**2, width, 3, padding=1)
        self.middle = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1) for _ in range(depth)])
        self.last = nn.Conv2d(width, 3 * self.SIDE**2, 3, padding=1)
        for parameter in self.last.parameters():  # an untrained one changes nothing
            nn.init.zeros_(parameter)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the correction (B, 3, H, W) to add to decoded pictures."""
        x = self.first(F.pixel_unshuffle(pictures, self.SIDE))
        for layer in self.middle:
            x = x + layer(F.silu(x))
        return F.pixel_shuffle(self.last(F.silu(x)), self.SIDE)


class TinyCodec(nn.Module):
    """Pictures to latents of an eighth of the size, and back.

    Parameters
    ----------
    channels : int
        Channels of the latents.
    width : int
        Channels of the decoder refinement; 0 leaves it out.
    """

    PATCH = PATCH
    """Pixels per latent, sideways."""

    def __init__(self, channels: int = 16, width: int = 64) -> None:
        super().__init__()
        self.channels = channels
        self.to_latent = nn.Conv2d(3 * PATCH**2, channels, 1)
        self.to_patch = nn.Conv2d(channels, 3 * PATCH**2, 1)
        self.refinement = DecoderRefinement(width) if width else None

    def energy(self) -> Tensor:
        """(C,) root mean square of each channel's share in the picture, largest 1."""
        norm = self.to_patch.weight.detach().flatten(1).norm(dim=0)
        share: Tensor = norm / norm.max()
        return share

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents (B, C, H/8, W/8) of pictures (B, 3, H, W) in -1..1; H and W are multiples of 8."""
        latents: Tensor = self.to_latent(F.pixel_unshuffle(pictures, PATCH))
        return latents

    def decode_linear(self, latents: Tensor) -> Tensor:
        """Pictures (B, 3, 8h, 8w) without the refinement: linear in the latents."""
        return F.pixel_shuffle(self.to_patch(latents), PATCH)

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (B, 3, 8h, 8w), about -1..1, of latents (B, C, h, w)."""
        pictures = self.decode_linear(latents)
        return pictures if self.refinement is None else pictures + self.refinement(pictures)

    @torch.no_grad()
    def fit(self, pictures: Tensor) -> float:
        """Set the linear parts to the principal components of the pictures' patches.

        Parameters
        ----------
        pictures : Tensor
            (N, 3, H, W) in -1..1.

        Returns
        -------
        float
            Peak signal-to-noise ratio of the linear reconstruction, dB.
        """
        patches = F.pixel_unshuffle(pictures, PATCH).permute(0, 2, 3, 1).reshape(-1, 3 * PATCH**2).double()
        mean = patches.mean(0)
        centred = patches - mean
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
        deviation = values.flip(0)[: self.channels].clamp_min(1e-12).sqrt()
        vectors = vectors.flip(1)[:, : self.channels]
        vectors = vectors * torch.where(
            vectors.sum(0) < 0, -1.0, 1.0
        )  # a fixed sign makes the fit reproducible
        # Unit variance: then v, which the base predicts, is uncorrelated with its noisy input, and a channel
        # that the base has not learned yet comes out with its natural energy instead of as strong noise.
        gain = 1 / deviation
        to_latent, to_patch = (vectors * gain).T, vectors / gain
        for layer, weight, bias in (
            (self.to_latent, to_latent, -(to_latent @ mean)),
            (self.to_patch, to_patch, mean),
        ):
            assert layer.bias is not None
            layer.weight.copy_(weight[:, :, None, None])
            layer.bias.copy_(bias)
        error = (centred - centred @ vectors @ vectors.T).square().mean()
        return float(10 * torch.log10(4 / error))

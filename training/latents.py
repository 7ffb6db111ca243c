"""The codec on training data: fitting it, and the latents of all pictures."""

from __future__ import annotations

import numpy as np
import torch

from ..tiny.codec import TinyCodec
from ..tiny.config import TinyBaseConfig
from .data.batches import PreparedPeople, to_signed


def fit_codec(
    people: PreparedPeople, config: TinyBaseConfig, pictures: int = 1500
) -> tuple[TinyCodec, float]:
    """Fit the linear codec on evenly spread pictures.

    Returns
    -------
    tuple
        The codec, its decoder refinement untrained, and its PSNR in dB.
    """
    torch.manual_seed(0)  # the refinement starts at random
    codec = TinyCodec(config.latent_channels, config.codec_width)
    rows = np.linspace(0, len(people.image) - 1, min(pictures, len(people.image))).astype(int)
    return codec, codec.fit(to_signed(people.image[rows]))


def encode(people: PreparedPeople, codec: TinyCodec) -> None:
    """Fill in the latents of all pictures."""
    with torch.no_grad():
        parts = [codec.encode(to_signed(people.image[k : k + 256])) for k in range(0, len(people.image), 256)]
    people.latents = torch.cat(parts)

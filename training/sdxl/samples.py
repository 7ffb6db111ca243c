"""Samples of a run on SDXL, to see how it goes."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.batches import to_bytes
from ..data.shards import Picture
from ..data.sheets import resized, table, write_sheet
from .adapter import PortraitUNet
from .base import Base
from .frame import Frame
from .objective import references, target_maps

STEPS = 20


@torch.no_grad()
def sample(
    system: PortraitUNet, batch: dict[str, Tensor], noise: Tensor, steps: int = STEPS, alone: bool = False
) -> Tensor:
    """Sample latents ``(B, C, h, w)`` by Euler's method (DDIM without noise), without guidance.

    Parameters
    ----------
    batch
        Of `examples.Examples`: texts, references and landmarks.
    noise
        ``(B, C, h, w)``.
    alone
        Whether the base samples without the networks.
    """
    times = [*torch.linspace(len(system.signal) - 1, 0, steps).round().long().tolist(), None]
    faces, maps = references(batch), target_maps(batch)
    text, pooled, sizes = batch["text"], batch["pooled"], batch["time_ids"]
    dtype, x = system.unet.dtype, noise
    for now, after in itertools.pairwise(times):
        time = torch.full((len(x),), now, device=x.device)
        alpha = system.alpha(time)
        sigma = (1 - alpha**2).clamp_min(0).sqrt()
        if alone:
            added = {"text_embeds": pooled.to(dtype), "time_ids": sizes}
            out = system.unet(x.to(dtype), time, text.to(dtype), added_cond_kwargs=added).sample.float()
        else:
            out = system(x, time, text, pooled, sizes, faces, maps)[0]
        if system.prediction_type == "v":
            clean, rest = alpha * x - sigma * out, sigma * x + alpha * out
        else:
            clean, rest = (x - sigma * out) / alpha.clamp_min(1e-3), out
        if after is None:
            return clean
        alpha = system.alpha(torch.full_like(time, after))
        x = alpha * clean + (1 - alpha**2).clamp_min(0).sqrt() * rest
    raise AssertionError


def sample_sheet(
    path: Path,
    system: PortraitUNet,
    base: Base,
    batch: dict[str, Tensor],
    truth: list[Picture],
    side: int = 256,
) -> None:
    """Write rows of people: references, landmarks, base alone, with the networks, truth.

    Parameters
    ----------
    path
        PNG to write.
    batch
        Examples of held-out people.
    truth
        Their pictures.
    """
    noise = torch.randn(batch["latents"].shape, generator=torch.Generator().manual_seed(0))
    noise = noise.to(batch["latents"].device)
    base.vae.to(noise.device)
    made = [to_bytes(base.decode(sample(system, batch, noise, alone=alone)).cpu()) for alone in (True, False)]
    squares = [
        Frame.around(p.image.shape[1], p.image.shape[0], p.arrays["points"], made[0].shape[1]).cut(p.image)
        for p in truth
    ]
    faces = [to_bytes(batch["crops"][:, i].cpu()) for i in range(batch["crops"].shape[1])]
    hint = np.moveaxis(batch["hint"].cpu().numpy(), 1, -1)
    columns = [*faces, hint, *made, np.stack(squares)]
    write_sheet(path, table([resized(column, side) for column in columns]))

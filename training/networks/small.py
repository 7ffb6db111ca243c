"""What the small networks share: their body, training for a given processor time, and files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ...boundary.files import written


def pyramid(width: int) -> nn.Sequential:
    """Return layers from (B, 3, 64, 64) to (B, 4 * width, 4, 4), for networks that read small face crops."""
    layers: list[nn.Module] = []
    before = 3
    for after in (width, 2 * width, 4 * width, 4 * width):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(4, after), nn.SiLU()]
        layers += [nn.Conv2d(after, after, 3, 1, 1, groups=after), nn.Conv2d(after, after, 1), nn.SiLU()]
        before = after
    return nn.Sequential(*layers)


def timed_steps(optimizer: torch.optim.Optimizer, seconds: float, warmup: int = 1) -> Iterator[int]:
    """Count steps until the processor time is spent; sets the learning rate before each.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        With its peak rate, which falls to a fiftieth along a cosine over the time.
    seconds : float
        Processor time.
    warmup : int
        Steps in which the rate rises to its peak.

    Yields
    ------
    int
        Number of the step, from 0.
    """
    peaks = [group["lr"] for group in optimizer.param_groups]
    start, step = time.process_time(), 0
    while (spent := time.process_time() - start) < seconds:
        share = min(1, (step + 1) / warmup) * (0.02 + 0.98 * (0.5 + 0.5 * np.cos(np.pi * spent / seconds)))
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * share
        yield step
        step += 1


def save_half(network: nn.Module, path: Path) -> None:
    """Write a network's weights in float16."""
    with written(path) as part:
        save_file({k: v.detach().half().contiguous() for k, v in network.state_dict().items()}, part)


def load_frozen(network: nn.Module, path: Path) -> None:
    """Read what `save_half` wrote into a network, which is then only for use."""
    network.load_state_dict({k: v.float() for k, v in load_file(str(path)).items()})
    network.eval().requires_grad_(False)

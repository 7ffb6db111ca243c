"""HiFi-Net's residuals: run for the rows they act on, and added to the host's ``control``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .plan import Call, ResidualJob

Control = dict[str, list[Any]]
"""The host's residuals: lists ``input``, ``middle``, ``output``, each taken from its end."""


def add_residuals(call: Call, x: Tensor, timesteps: Tensor, y: Tensor, control: Any) -> Any:
    """Return the host's ``control`` with the residuals of all of the call's jobs added.

    Parameters
    ----------
    x
        ``(B, C, h, w)``, scaled as the UNet reads it; extra channels of an inpainting model come last.
    timesteps
        ``(B,)``.
    y
        ``(B, D)`` pooled conditioning.
    control
        What core ControlNets made, or None. Not changed.
    """
    if not call.jobs:
        return control
    down: list[Tensor | None] = []
    middle: Tensor | None = None
    for job in call.jobs:
        outputs = _run(job, x, timesteps, y)
        gains = job.gains
        if not down:
            down = [None] * (len(outputs) - 1)
        for i, (residual, gain) in enumerate(zip(outputs[:-1], gains[:-1], strict=True)):
            down[i] = _accumulate(down[i], residual, gain, job, x)
        middle = _accumulate(middle, outputs[-1], gains[-1], job, x)
    return merge_control(control, down, middle)


def _run(job: ResidualJob, x: Tensor, timesteps: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    rows = slice(None) if job.rows is None else job.rows
    network = job.network
    latents = x[rows, : network.config.latent_channels]
    residuals = network.hifi_net.step(latents, timesteps[rows], y[rows], job.prepared, job.fusion)
    return (*residuals.down, residuals.mid)


def _accumulate(
    total: Tensor | None, residual: Tensor, gain: float, job: ResidualJob, x: Tensor
) -> Tensor | None:
    """Add one job's residual to the whole batch's; None stands for zero everywhere."""
    if gain == 0.0:
        return total
    residual = residual.to(x.dtype) * gain
    if job.masks is not None:
        residual = residual * job.masks.at(*residual.shape[-2:]).to(x.dtype)
    if job.rows is None:
        return residual if total is None else total + residual
    if total is None:
        total = torch.zeros(x.shape[0], *residual.shape[1:], dtype=x.dtype, device=x.device)
    total[job.rows] += residual
    return total


def guide_to_coarse_x0(call: Call, x: Tensor, prediction: Tensor) -> Tensor:
    """Return the base's prediction, guided towards the coarse x0 of each of the call's jobs.

    Parameters
    ----------
    x
        ``(B, C, h, w)``, scaled as the UNet reads it.
    prediction
        ``(B, C, h, w)``, what the UNet gave. Not changed.
    """
    alpha = (1 + call.sigma**2) ** -0.5
    for job in call.jobs:
        coarse_x0 = job.prepared.coarse_x0
        if coarse_x0 is None or job.guidance == 0.0 or call.prediction_type == "other":
            continue
        rows = slice(None) if job.rows is None else job.rows
        part = prediction[rows]
        channels = part.shape[1]
        strength: Tensor | float = job.guidance
        if job.masks is not None:
            strength = job.masks.at(*part.shape[-2:]).to(part.dtype) * job.guidance
        guided = coarse_x0.guide(
            part, x[rows, :channels], alpha, call.sigma * alpha, call.prediction_type, strength
        )
        prediction = prediction.clone()
        prediction[rows] = guided.to(prediction.dtype)
    return prediction


def merge_control(control: Any, down: list[Tensor | None], middle: Tensor | None) -> Control:
    """Return a new ``control`` with residuals added to the host's ``output`` and ``middle`` lists.

    The host takes from the end of a list, so lists of different lengths are aligned at their ends.
    """
    merged: Control = {key: list(value) for key, value in (control or {}).items()}
    for key, ours in (("output", down), ("middle", [middle])):
        theirs = merged.get(key, [])
        length = max(len(theirs), len(ours))
        padded = [None] * (length - len(theirs)) + theirs
        mine = [None] * (length - len(ours)) + list(ours)
        merged[key] = [_sum(a, b) for a, b in zip(padded, mine, strict=True)]
    return merged


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b

"""Teach the codec's mending convolution what the model's own pictures lack.

Pictures of training people are noised half-way and painted again from there with their references, so that
the result shows the model's own artefacts in the place of the truth; the convolution learns the way back.
*Ours*.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .batches import PreparedPeople, draw_batch, to_signed
from .recipe import Recipe
from .system import TinyCodec as Codec
from .system import TinySystem

STEPS = 8
"""Of the sampling that the artefacts are to be those of."""


def repaint(
    system: TinySystem, people: PreparedPeople, count: int, seed: int, cfg: float
) -> tuple[Tensor, Tensor]:
    """Latents (N, C, h, w) painted from half-way noise, and the true pictures (N, 3, H, W) in -1..1."""
    last = len(system.signal) - 1
    times = torch.linspace(last, 0, STEPS).round().tolist()
    painted, truth = [], []
    for k in range(0, count, 16):
        batch = draw_batch(people, seed, k, 16, (0.0, 0.3, 0.3, 0.4), 0.0)
        start = 2 + (k // 16) % 3
        noisy = system.noisy(batch.latents, batch.noise, torch.full((16,), times[start]))[0]
        made = system.sample(
            noisy,
            batch.concepts,
            batch.hint,
            batch.coords,
            batch.faces,
            STEPS,
            cfg,
            first=start,
            decode=False,
        )
        painted.append(made)
        truth.append(to_signed(people.image[batch.rows]))
    return torch.cat(painted), torch.cat(truth)


def train_mend(
    codec: Codec, painted: Tensor, truth: Tensor, seconds: float, seed: int = 0
) -> dict[str, float]:
    """Fit the mending part to pairs of `repaint`; absolute error of pictures and of their gradients.

    Returns
    -------
    dict
        Steps, and the mean absolute error on the last tenth of the pairs before and after.
    """
    assert codec.mend is not None
    parameters = list(codec.mend.parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, lr=2e-3)
    held = max(1, len(painted) // 10)

    def error() -> float:
        with torch.no_grad():
            return float((codec.decode(painted[-held:]) - truth[-held:]).abs().mean())

    before, step, start = error(), 0, time.process_time()
    while (spent := time.process_time() - start) < seconds:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (0.02 + 0.98 * (0.5 + 0.5 * np.cos(np.pi * spent / seconds)))
        rows = torch.from_numpy(np.random.default_rng([seed, 5, step]).integers(len(painted) - held, size=8))
        made, real = codec.decode(painted[rows]), truth[rows]
        loss = (made - real).abs().mean()
        loss = loss + 0.5 * (made.diff(dim=2) - real.diff(dim=2)).abs().mean()
        loss = loss + 0.5 * (made.diff(dim=3) - real.diff(dim=3)).abs().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
    for parameter in parameters:
        parameter.requires_grad_(False)
    return {"steps": step, "before": before, "after": error()}


def mend_run(
    run: Path,
    recipe: Recipe,
    people: PreparedPeople,
    count: int = 480,
    seconds: float = 90.0,
    cfg: float = 2.5,
) -> Codec:
    """Repaint with the averaged weights of a run, fit, and return the codec for `ship.ship_run`."""
    from .trainer import Trainer

    trainer = Trainer(recipe, people, run, log=lambda line: None)
    trainer.averaged()
    system = trainer.system.eval()
    painted, truth = repaint(system, people, count, recipe.seed + 77, cfg)
    print(train_mend(system.codec, painted, truth, seconds), flush=True)
    return system.codec

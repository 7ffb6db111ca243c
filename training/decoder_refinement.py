"""Teach the codec's decoder refinement what the model's own samples lack.

Pictures of training people are noised half-way and sampled again from there with their references, so that
the result shows the model's own artefacts in the place of the truth; the network learns the way back.
*Ours*. ``python -m hifi_portrait.tools.train_network decoder --help`` does this for a run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..tiny.codec import TinyCodec
from .data.batches import PreparedPeople, draw_batch, to_signed
from .latents import encode
from .networks.crops import recognizer_embeddings
from .networks.sface import SFace
from .networks.small import timed_steps
from .runs import load_run
from .system import SAMPLING_STEPS, TinySystem

IDENTITY_WEIGHT, IDENTITY_PICTURES = 1.0, 4
"""Weight of the loss on SFace's embeddings, and on how many pictures of a batch of eight it acts."""


def resample(
    system: TinySystem, people: PreparedPeople, count: int, seed: int, cfg: float
) -> tuple[Tensor, np.ndarray]:
    """Sample pictures of people again from half-way noise, with references.

    Returns
    -------
    tuple
        Latents (N, C, h, w), and the rows of the pictures that they repeat.
    """
    last = len(system.signal) - 1
    times = torch.linspace(last, 0, SAMPLING_STEPS).round().tolist()
    sampled, rows = [], []
    for k in range(0, count, 16):
        batch = draw_batch(people, seed, k, 16, (0.0, 0.3, 0.3, 0.4), 0.0)
        start = 2 + (k // 16) % 3
        noisy = system.noisy(batch.latents, batch.noise, torch.full((16,), times[start]))[0]
        made = system.sample(
            noisy,
            batch.concepts,
            batch.maps,
            batch.faces,
            SAMPLING_STEPS,
            cfg,
            first=start,
            decode=False,
        )
        sampled.append(made)
        rows.append(batch.rows)
    return torch.cat(sampled), np.concatenate(rows)


def train_refinement(
    codec: TinyCodec,
    sampled: Tensor,
    rows: np.ndarray,
    people: PreparedPeople,
    seconds: float,
    sface: SFace,
    seed: int = 0,
) -> dict[str, float]:
    """Fit the decoder refinement to pairs of `resample`.

    The loss is the absolute error of pictures and of their gradients, and one minus the similarity of SFace's
    embeddings of the refined and the true picture.

    Returns
    -------
    dict
        Steps, and the mean absolute error on the last tenth of the pairs before and after.
    """
    assert codec.refinement is not None
    parameters = list(codec.refinement.parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    held = max(1, len(sampled) // 10)
    truth = to_signed(people.image[rows])

    def error() -> float:
        with torch.no_grad():
            return float((codec.decode(sampled[-held:]) - truth[-held:]).abs().mean())

    before, step = error(), -1
    for step in timed_steps(optimizer, seconds):
        some = np.random.default_rng([seed, 5, step]).integers(len(sampled) - held, size=8)
        made, real = codec.decode(sampled[some]), truth[some]
        loss = (made - real).abs().mean()
        loss = loss + 0.5 * (made.diff(dim=2) - real.diff(dim=2)).abs().mean()
        loss = loss + 0.5 * (made.diff(dim=3) - real.diff(dim=3)).abs().mean()
        few = slice(0, IDENTITY_PICTURES)
        points = people.points[rows[some[few]]]
        with torch.no_grad():
            wanted = recognizer_embeddings(sface, real[few], points)
        alike = (recognizer_embeddings(sface, made[few], points) * wanted).sum(1)
        loss = loss + IDENTITY_WEIGHT * (1 - alike).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    for parameter in parameters:
        parameter.requires_grad_(False)
    return {"steps": step + 1, "before": before, "after": error()}


def refine_run(
    run: Path,
    people: PreparedPeople,
    sface: SFace,
    count: int = 800,
    seconds: float = 420.0,
    cfg: float = 2.5,
) -> TinyCodec:
    """Sample with the EMA weights of a run, fit, and return the codec for `export.export_run`."""
    system, recipe = load_run(run)
    encode(people, system.codec)
    sampled, rows = resample(system, people, count, recipe.seed + 77, cfg)
    print(train_refinement(system.codec, sampled, rows, people, seconds, sface), flush=True)
    return system.codec

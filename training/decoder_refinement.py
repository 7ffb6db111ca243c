"""Teach the codec's mending network what the model's own pictures lack.

Pictures of training people are noised half-way and painted again from there with their references, so that
the result shows the model's own artefacts in the place of the truth; the network learns the way back.
*Ours*.

``python -m hifi_portrait.tools.train_network decoder --help`` does this for a run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .data.batches import PreparedPeople, draw_batch, to_signed
from .losses import recognizer_embeddings
from .networks.sface import SFace
from .networks.small import timed_steps
from .runs import load_run
from .system import TinyCodec as Codec
from .system import TinySystem
from .trainer import OWN_STEPS, encode

IDENTITY_WEIGHT, IDENTITY_PICTURES = 1.0, 4
"""Of the loss on SFace's embeddings, and on how many pictures of a batch of eight."""


def repaint(
    system: TinySystem, people: PreparedPeople, count: int, seed: int, cfg: float
) -> tuple[Tensor, np.ndarray]:
    """Latents (N, C, h, w) painted from half-way noise, and the rows of the pictures that they repeat."""
    last = len(system.signal) - 1
    times = torch.linspace(last, 0, OWN_STEPS).round().tolist()
    painted, rows = [], []
    for k in range(0, count, 16):
        batch = draw_batch(people, seed, k, 16, (0.0, 0.3, 0.3, 0.4), 0.0)
        start = 2 + (k // 16) % 3
        noisy = system.noisy(batch.latents, batch.noise, torch.full((16,), times[start]))[0]
        made = system.sample(
            noisy,
            batch.concepts,
            batch.maps,
            batch.faces,
            OWN_STEPS,
            cfg,
            first=start,
            decode=False,
        )
        painted.append(made)
        rows.append(batch.rows)
    return torch.cat(painted), np.concatenate(rows)


def train_mend(
    codec: Codec,
    painted: Tensor,
    rows: np.ndarray,
    people: PreparedPeople,
    seconds: float,
    sface: SFace,
    seed: int = 0,
) -> dict[str, float]:
    """Fit the mending network to pairs of `repaint`.

    The loss is the absolute error of pictures and of their gradients, and one minus the similarity of SFace's
    embeddings of the mended and the true picture.

    Returns
    -------
    dict
        Steps, and the mean absolute error on the last tenth of the pairs before and after.
    """
    assert codec.mend is not None
    parameters = list(codec.mend.parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    held = max(1, len(painted) // 10)
    truth = to_signed(people.image[rows])

    def error() -> float:
        with torch.no_grad():
            return float((codec.decode(painted[-held:]) - truth[-held:]).abs().mean())

    before, step = error(), -1
    for step in timed_steps(optimizer, seconds):
        some = np.random.default_rng([seed, 5, step]).integers(len(painted) - held, size=8)
        made, real = codec.decode(painted[some]), truth[some]
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


def mend_run(
    run: Path,
    people: PreparedPeople,
    sface: SFace,
    count: int = 800,
    seconds: float = 420.0,
    cfg: float = 2.5,
) -> Codec:
    """Repaint with the averaged weights of a run, fit, and return the codec for `export.ship_run`."""
    system, recipe = load_run(run)
    encode(people, system.codec)
    painted, rows = repaint(system, people, count, recipe.seed + 77, cfg)
    print(train_mend(system.codec, painted, rows, people, seconds, sface), flush=True)
    return system.codec

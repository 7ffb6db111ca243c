"""Small face recognizers: one to train against, another, on other people, to judge with."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .batches import PreparedPeople, to_signed
from .losses import SmallRecognizer, aligned_crops


def load_recognizer(path: Path) -> SmallRecognizer:
    """Read what `train_recognizer` wrote."""
    network = SmallRecognizer()
    network.load_state_dict({k: v.float() for k, v in load_file(str(path)).items()})
    return network.eval().requires_grad_(False)


def crops_of(people: PreparedPeople) -> Tensor:
    """(N, 3, 64, 64) aligned crops of all pictures."""
    parts = []
    for k in range(0, len(people.image), 256):
        parts.append(aligned_crops(to_signed(people.image[k : k + 256]), people.points[k : k + 256]))
    return torch.cat(parts)


def train_recognizer(
    people: PreparedPeople, path: Path, seconds: float, seed: int = 0, batch: int = 96, scale: float = 24.0
) -> dict[str, float]:
    """Train to tell the people of a data set apart (cosine softmax with margin .2, CosFace).

    Pictures are varied by small shifts, light and blur, so that paint does not fool it by texture alone.

    Returns
    -------
    dict
        Steps, and the accuracy over the last hundred.
    """
    torch.manual_seed(seed)
    network = SmallRecognizer()
    weights = nn.Parameter(torch.randn(people.people, 128) * 0.1)
    optimizer = torch.optim.AdamW([*network.parameters(), weights], lr=2e-3, weight_decay=0.02)
    crops, start, step, right = crops_of(people), time.monotonic(), 0, []
    labels = torch.arange(people.people).repeat_interleave(people.pictures)
    while time.monotonic() - start < seconds:
        done = (time.monotonic() - start) / seconds
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50) * (0.02 + 0.98 * (0.5 + 0.5 * np.cos(np.pi * done)))
        rng = np.random.default_rng([seed, 4, step])
        rows = torch.from_numpy(rng.integers(len(crops), size=batch))
        x = crops[rows]
        dy, dx = rng.integers(-2, 3, 2)
        x = torch.roll(x, (int(dy), int(dx)), (2, 3))
        gain = torch.from_numpy(rng.uniform(0.8, 1.2, (batch, 3, 1, 1)).astype(np.float32))
        x = (
            x * gain + torch.from_numpy(rng.uniform(-0.15, 0.15, (batch, 1, 1, 1)).astype(np.float32))
        ).clamp(-1, 1)
        if rng.random() < 0.4:
            x = F.avg_pool2d(x, 3, 1, 1)
        cosine = network(x) @ F.normalize(weights, dim=1).T
        wanted = labels[rows]
        loss = F.cross_entropy(scale * (cosine - 0.2 * F.one_hot(wanted, people.people)), wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        right.append(float((cosine.argmax(1) == wanted).float().mean()))
        step += 1
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().half().contiguous() for k, v in network.state_dict().items()}, str(path))
    return {"steps": step, "accuracy": float(np.mean(right[-100:]))}

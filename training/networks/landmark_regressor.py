"""The landmark regressor of the landmark loss: trained on rendered people, whose landmarks are exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.batches import to_signed
from ..data.synthetic.dataset import load_shards
from .crops import SIDE, jittered_crops
from .small import load_frozen, pyramid, save_half, timed_steps


class LandmarkRegressor(nn.Module):
    """Finds landmarks in a roughly aligned face: (B, 3, 64, 64) in -1..1 to (B, 72, 2) px of the crop."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.body = pyramid(width)
        self.head = nn.Sequential(nn.Linear(4 * width * 16, 256), nn.SiLU(), nn.Linear(256, 144))

    def forward(self, crops: Tensor) -> Tensor:
        """Find."""
        return self.head(self.body(crops).flatten(1)).unflatten(1, (72, 2)) * 8 + SIDE / 2


def load_regressor(path: Path) -> LandmarkRegressor:
    """Read what `train_regressor` wrote."""
    network = LandmarkRegressor()
    load_frozen(network, path)
    return network


def train_regressor(
    data: Path, path: Path, seconds: float, seed: int = 0, batch: int = 64
) -> dict[str, float]:
    """Train on crops with random errors, varied by light, blur and noise.

    Parameters
    ----------
    data, path : Path
        Folder of shards; file to write.
    seconds : float
        Processor time to spend.

    Returns
    -------
    dict
        Steps, and the mean distance in px of the 64 px crop over the last hundred.
    """
    torch.manual_seed(seed)
    network = LandmarkRegressor()
    arrays = load_shards(data)[0]
    images, points = arrays["image"], arrays["points"]
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    errors = []
    for step in timed_steps(optimizer, seconds, warmup=50):
        rng = np.random.default_rng([seed, 6, step])
        rows = rng.integers(len(images), size=batch)
        crops, wanted = jittered_crops(to_signed(images[rows]), points[rows], rng)
        gain = torch.from_numpy(rng.uniform(0.8, 1.2, (batch, 3, 1, 1)).astype(np.float32))
        noise = torch.from_numpy(rng.normal(size=crops.shape).astype(np.float32))
        crops = crops * gain + noise * float(rng.uniform(0, 0.12))
        if rng.random() < 0.5:
            crops = F.avg_pool2d(crops, 3, 1, 1)
        found = network(crops)
        loss = F.smooth_l1_loss(found, wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        errors.append(float((found.detach() - wanted).norm(dim=-1).mean()))
    save_half(network, path)
    return {"steps": len(errors), "error_px": float(np.mean(errors[-100:]))}

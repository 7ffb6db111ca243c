"""The second evaluation recognizer: small, trained on people that the model does not train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.batches import to_signed
from ..data.synthetic.dataset import load_shards
from .crops import aligned_crops
from .small import load_frozen, pyramid, save_half, timed_steps


class SmallRecognizer(nn.Module):
    """The second evaluation recognizer: aligned crops (B, 3, 64, 64) in -1..1 to (B, E) unit embeddings."""

    def __init__(self, embedding: int = 128, width: int = 24) -> None:
        super().__init__()
        self.body = pyramid(width)
        self.head = nn.Linear(4 * width * 16, embedding)

    def forward(self, crops: Tensor) -> Tensor:
        """Embed."""
        return F.normalize(self.head(self.body(crops).flatten(1)), dim=1)


def load_recognizer(path: Path) -> SmallRecognizer:
    """Read what `train_recognizer` wrote."""
    network = SmallRecognizer()
    load_frozen(network, path)
    return network


def crops_of(images: np.ndarray, points: np.ndarray) -> Tensor:
    """(N, 3, 64, 64) aligned crops of pictures (N, S, S, 3) uint8 with landmarks (N, 72, 3)."""
    parts = [
        aligned_crops(to_signed(images[k : k + 256]), points[k : k + 256]) for k in range(0, len(images), 256)
    ]
    return torch.cat(parts)


def train_recognizer(
    data: Path, path: Path, seconds: float, seed: int = 0, batch: int = 96, scale: float = 24.0
) -> dict[str, float]:
    """Train to tell the people of a rendered data set apart (cosine softmax with margin .2, CosFace).

    Pictures are varied by small shifts, light and blur, so that it does not rely on texture alone.

    Parameters
    ----------
    data, path : Path
        Folder of shards; file to write.
    seconds : float
        Processor time to spend.

    Returns
    -------
    dict
        People, steps, and the accuracy over the last hundred.
    """
    torch.manual_seed(seed)
    network = SmallRecognizer()
    arrays = load_shards(data)[0]
    names, labels = (torch.from_numpy(a) for a in np.unique(arrays["person"], return_inverse=True))
    weights = nn.Parameter(torch.randn(len(names), 128) * 0.1)
    optimizer = torch.optim.AdamW([*network.parameters(), weights], lr=2e-3, weight_decay=0.02)
    crops, right = crops_of(arrays["image"], arrays["points"]), []
    for step in timed_steps(optimizer, seconds, warmup=50):
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
        loss = F.cross_entropy(scale * (cosine - 0.2 * F.one_hot(wanted, len(names))), wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        right.append(float((cosine.argmax(1) == wanted).float().mean()))
    save_half(network, path)
    return {"people": len(names), "steps": len(right), "accuracy": float(np.mean(right[-100:]))}

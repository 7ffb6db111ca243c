"""Losses of the tiny model's training."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..faces.geometry import similarity_2d


def weighted_v_loss(
    out: Tensor,
    v: Tensor,
    face: Tensor,
    alpha: Tensor,
    channel: Tensor,
    face_weight: float,
    snr_limit: float,
) -> Tensor:
    """Squared error of v, heavier on the face, lighter at steps with almost no noise.

    Parameters
    ----------
    out, v : Tensor
        (B, C, h, w) prediction and truth.
    face : Tensor
        (B, 1, h, w) 1 on the face.
    alpha : Tensor
        (B, 1, 1, 1) signal's share.
    channel : Tensor
        (C,) weight of each channel, of mean 1.
    face_weight : float
        Weight of the face beyond the rest's; weights are then brought to mean 1.
    snr_limit : float
        Steps whose signal-to-noise ratio exceeds it weigh less.
    """
    place = 0.6 + face_weight * F.max_pool2d(face, 3, 1, 1)
    place = place / place.mean((2, 3), keepdim=True)
    snr = alpha**2 / (1 - alpha**2).clamp_min(1e-6)
    time = (snr_limit / (snr + 1)).clamp_max(1)
    return ((out - v).square() * place * time * channel.view(1, -1, 1, 1)).mean()


class SmallRecognizer(nn.Module):
    """A small face recognizer on 64 px aligned crops: (B, 3, 64, 64) in -1..1 to (B, E) unit embeddings."""

    SIDE = 64

    def __init__(self, embedding: int = 128, width: int = 24) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for after in (width, 2 * width, 4 * width, 4 * width):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(4, after), nn.SiLU()]
            layers += [nn.Conv2d(after, after, 3, 1, 1, groups=after), nn.Conv2d(after, after, 1), nn.SiLU()]
            before = after
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(before * 16, embedding)

    def forward(self, crops: Tensor) -> Tensor:
        """Embed."""
        return F.normalize(self.head(self.body(crops).flatten(1)), dim=1)


_TEMPLATE = np.array([[21.0, 26.0], [43.0, 26.0], [32.0, 39.0], [24.0, 50.0], [40.0, 50.0]])
"""(5, 2) eyes, nose tip and mouth corners in the 64 px crop: the face from brows to chin."""


def aligned_crops(pictures: Tensor, points: np.ndarray) -> Tensor:
    """Cut faces at known landmarks, differentiably.

    Parameters
    ----------
    pictures : Tensor
        (B, 3, H, W).
    points : np.ndarray
        (B, 72, 3) landmarks, px.

    Returns
    -------
    Tensor
        (B, 3, 64, 64).
    """
    side, size = SmallRecognizer.SIDE, pictures.shape[-1]
    matrices = []
    for p in points:
        five = np.stack([p[36:42].mean(0), p[42:48].mean(0), p[30], p[48], p[54]])[:, :2]
        back = similarity_2d(_TEMPLATE, five)  # crop px -> picture px
        linear = back[:, :2] * side / size
        shift = 2 * (back[:, :2] @ (side / 2, side / 2) + back[:, 2]) / size - 1
        matrices.append(np.hstack([linear, shift[:, None]]))
    theta = torch.from_numpy(np.array(matrices)).to(pictures)
    grid = F.affine_grid(theta, [len(points), 3, side, side], align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False, padding_mode="border")


class IdentityLoss(nn.Module):
    """One minus the similarity of a painted face to its true picture, by a frozen small recognizer.

    The commentary on the paper names an identity similarity loss without its form; this one is *ours*.
    """

    def __init__(self, recognizer: SmallRecognizer) -> None:
        super().__init__()
        self.recognizer = recognizer.eval().requires_grad_(False)

    def forward(self, painted: Tensor, points: np.ndarray, truth: Tensor) -> Tensor:
        """Loss of pictures (B, 3, H, W) in -1..1 against true ones (B, H, W, 3) uint8 with landmarks."""
        real = truth.permute(0, 3, 1, 2).to(painted) / 127.5 - 1
        with torch.no_grad():
            wanted = self.recognizer(aligned_crops(real, points))
        return (1 - (self.recognizer(aligned_crops(painted, points)) * wanted).sum(1)).mean()

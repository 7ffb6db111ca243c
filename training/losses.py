"""Losses of the tiny model's training."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..faces.geometry import RECOGNIZER_SIZE, RECOGNIZER_TEMPLATE, invert, similarity_2d, transform
from ..landmarks.names import five_points


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
    place = face_weights(face, face_weight)
    snr = alpha**2 / (1 - alpha**2).clamp_min(1e-6)
    time = (snr_limit / (snr + 1)).clamp_max(1)
    return ((out - v).square() * place * time * channel.view(1, -1, 1, 1)).mean()


def texture_loss(laid: Tensor, picture: Tensor, doubt: float = 0.3) -> Tensor:
    """Teach the refiner which reference to believe: the laid-on head should look like the target. *Ours*.

    Being certain of a colour costs its error, being uncertain costs ``doubt``.

    Parameters
    ----------
    laid : Tensor
        (B, 5, H, W) from `models.texture.lay_on`: colours times certainty, certainty, head.
    picture : Tensor
        (B, 3, H, W) the target in -1..1.
    """
    colours, certainty, head = laid[:, :3], laid[:, 3:4], laid[:, 4:]
    error = (colours - certainty * picture).abs().mean(1, keepdim=True) + doubt * (1 - certainty)
    return (error * head).sum() / head.sum().clamp_min(1)


def draft_loss(draft: Tensor, latents: Tensor, face: Tensor, channel: Tensor, face_weight: float) -> Tensor:
    """Squared error of drafted latents (B, C, h, w), heavier on the face; parameters as `weighted_v_loss`."""
    place = face_weights(face, face_weight)
    return ((draft - latents).square() * place * channel.view(1, -1, 1, 1)).mean()


def face_weights(face: Tensor, face_weight: float) -> Tensor:
    """(B, 1, h, w) weights of mean 1: the face, and one pixel around it, beyond the rest."""
    place = 0.6 + face_weight * F.max_pool2d(face, 3, 1, 1)
    return place / place.mean((2, 3), keepdim=True)


def _pyramid(width: int) -> nn.Sequential:
    """Return layers from (B, 3, 64, 64) to (B, 4 * width, 4, 4), for networks that read small face crops."""
    layers: list[nn.Module] = []
    before = 3
    for after in (width, 2 * width, 4 * width, 4 * width):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(4, after), nn.SiLU()]
        layers += [nn.Conv2d(after, after, 3, 1, 1, groups=after), nn.Conv2d(after, after, 1), nn.SiLU()]
        before = after
    return nn.Sequential(*layers)


class SmallRecognizer(nn.Module):
    """The second judge, on 64 px aligned crops: (B, 3, 64, 64) in -1..1 to (B, E) unit embeddings."""

    SIDE = 64

    def __init__(self, embedding: int = 128, width: int = 24) -> None:
        super().__init__()
        self.body = _pyramid(width)
        self.head = nn.Linear(4 * width * 16, embedding)

    def forward(self, crops: Tensor) -> Tensor:
        """Embed."""
        return F.normalize(self.head(self.body(crops).flatten(1)), dim=1)


_TEMPLATE = np.array([[21.0, 26.0], [43.0, 26.0], [32.0, 39.0], [24.0, 50.0], [40.0, 50.0]])
"""(5, 2) eyes, nose tip and mouth corners in the 64 px crop: the face from brows to chin."""


def aligned_crops(
    pictures: Tensor,
    points: np.ndarray,
    template: np.ndarray = _TEMPLATE,
    side: int = SmallRecognizer.SIDE,
    black_outside: bool = False,
) -> Tensor:
    """Cut faces at known landmarks, differentiably.

    Parameters
    ----------
    pictures : Tensor
        (B, 3, H, H).
    points : np.ndarray
        (B, 72, 3) landmarks, px.
    template : np.ndarray
        (5, 2) where eyes, nose tip and mouth corners go, px of the crop.
    side : int
        Side of the crop, px.
    black_outside : bool
        Whether it is black outside the picture; else the picture's edge is repeated.

    Returns
    -------
    Tensor
        (B, 3, side, side).
    """
    # Least squares of the crop's error, as recognizers are fed; the other way round gives another size.
    matrices = [invert(similarity_2d(five_points(p[:, :2]), template)) for p in points]
    if black_outside:
        return _cut(pictures + 1, matrices, side, "zeros") - 1
    return _cut(pictures, matrices, side)


def _cut(pictures: Tensor, matrices: list[np.ndarray], side: int, outside: str = "border") -> Tensor:
    """Return views of pictures; matrices (2, 3) take px of the view to px of the picture."""
    size = pictures.shape[-1]
    rows = []
    for matrix in matrices:
        linear = matrix[:, :2] * side / size
        shift = 2 * (matrix[:, :2] @ (side / 2, side / 2) + matrix[:, 2]) / size - 1
        rows.append(np.hstack([linear, shift[:, None]]))
    theta = torch.from_numpy(np.array(rows)).to(pictures)
    grid = F.affine_grid(theta, [len(rows), 3, side, side], align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False, padding_mode=outside)


def recognizer_embeddings(recognizer: nn.Module, pictures: Tensor, points: np.ndarray) -> Tensor:
    """(B, 128) unit SFace embeddings of pictures (B, 3, H, H) in -1..1, landmarks (B, 72, 3); differentiable.

    Cut as `prepare.embed` cuts for ONNX Runtime.
    """
    crops = aligned_crops(pictures, points, RECOGNIZER_TEMPLATE, RECOGNIZER_SIZE, black_outside=True)
    return F.normalize(recognizer(crops), dim=1)


class IdentityLoss(nn.Module):
    """One minus the similarity of a painted face to the person, by SFace; its mean over people is taken off.

    The person is the mean embedding of the person's unspoiled pictures (`PreparedPeople.identities`). The
    commentary on the paper names an identity similarity loss without its form; this one is *ours*.

    Parameters
    ----------
    recognizer : SFace
        Frozen.
    mean : np.ndarray
        (128,) mean of unit embeddings over the training pictures.
    """

    def __init__(self, recognizer: nn.Module, mean: np.ndarray) -> None:
        super().__init__()
        self.recognizer = recognizer.eval().requires_grad_(False)
        self.mean: Tensor
        self.register_buffer("mean", torch.from_numpy(mean))

    def forward(self, painted: Tensor, points: np.ndarray, person: Tensor) -> Tensor:
        """Loss of pictures (B, 3, H, H) in -1..1 with landmarks (B, 72, 3) against (B, 128) unit vectors."""
        vectors = recognizer_embeddings(self.recognizer, painted, points) - self.mean
        return (1 - (F.normalize(vectors, dim=1) * person).sum(1)).mean()


class LandmarkRegressor(nn.Module):
    """Finds landmarks in a roughly aligned face: (B, 3, 64, 64) in -1..1 to (B, 72, 2) px of the crop."""

    SIDE = 64

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.body = _pyramid(width)
        self.head = nn.Sequential(nn.Linear(4 * width * 16, 256), nn.SiLU(), nn.Linear(256, 144))

    def forward(self, crops: Tensor) -> Tensor:
        """Find."""
        return self.head(self.body(crops).flatten(1)).unflatten(1, (72, 2)) * 8 + self.SIDE / 2


LANDMARK_TEMPLATE = np.array([[20.0, 24.0], [44.0, 24.0], [32.0, 36.0], [24.0, 46.0], [40.0, 46.0]])
"""(5, 2) the same points as `_TEMPLATE` in the landmark regressor's crop, with room for chin and brows."""


def jittered_crops(
    pictures: Tensor, points: np.ndarray, rng: np.random.Generator, amount: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Crops for the landmark regressor, cut with a random error, and where the landmarks lie in them.

    Parameters
    ----------
    pictures : Tensor
        (B, 3, H, H).
    points : np.ndarray
        (B, 72, 3) landmarks, px.
    rng : np.random.Generator
        Randomness.
    amount : float
        1: turned by 6 degrees, scaled by 6 %, shifted by 2 px (deviations).

    Returns
    -------
    tuple
        (B, 3, 64, 64) and (B, 72, 2) px of the crop.
    """
    side, matrices, found = LandmarkRegressor.SIDE, [], []
    for p in points:
        angle, size = np.deg2rad(rng.normal() * 6 * amount), np.exp(rng.normal() * 0.06 * amount)
        turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        template = (LANDMARK_TEMPLATE - side / 2) @ turn.T + side / 2 + rng.normal(size=2) * 2 * amount
        matrix = similarity_2d(template, five_points(p[:, :2]))
        matrices.append(matrix)
        found.append(transform(p[:, :2], invert(matrix)))
    return _cut(pictures, matrices, side), torch.from_numpy(np.array(found)).to(pictures)


class LandmarkLoss(nn.Module):
    """Distance of a painted face's landmarks to those that were asked for, in px of a 64 px crop.

    The paper aligns landmarks without telling how; this is *ours*.
    """

    def __init__(self, regressor: LandmarkRegressor) -> None:
        super().__init__()
        self.regressor = regressor.eval().requires_grad_(False)

    def forward(self, painted: Tensor, points: np.ndarray) -> Tensor:
        """Loss of pictures (B, 3, H, H) in -1..1 against landmarks (B, 72, 3)."""
        crops, wanted = jittered_crops(painted, points, np.random.default_rng(0), amount=0.0)
        return F.smooth_l1_loss(self.regressor(crops), wanted)

"""Losses of the tiny model's training."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .networks.crops import jittered_crops, recognizer_embeddings
from .networks.landmark_regressor import LandmarkRegressor


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
        (B, 5, H, W) from `models.texture.warp_texture`: colours times confidence, confidence, head.
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

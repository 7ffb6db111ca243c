"""Terms of the loss."""

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
    min_snr_gamma: float,
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
    min_snr_gamma : float
        Time steps of a higher signal-to-noise ratio weigh less: min-SNR weighting for v (Hang et al., 2023,
        Efficient Diffusion Training via Min-SNR Weighting Strategy), with weight 1 where noise prevails.
    """
    place = face_weights(face, face_weight)
    snr = alpha**2 / (1 - alpha**2).clamp_min(1e-6)
    time = (min_snr_gamma / (snr + 1)).clamp_max(1)
    return ((out - v).square() * place * time * channel.view(1, -1, 1, 1)).mean()


def diffusion_loss(
    prediction: Tensor,
    wanted: Tensor,
    face: Tensor,
    alpha: Tensor,
    face_weight: float,
    min_snr_gamma: float,
    prediction_type: str,
) -> Tensor:
    """Squared error of what a base predicts, with min-SNR weighting (Hang et al. 2023), heavier on the face.

    Parameters
    ----------
    prediction, wanted : Tensor
        (B, C, h, w).
    face : Tensor
        (B, 1, h, w) 1 on the face.
    alpha : Tensor
        (B, 1, 1, 1) signal's share.
    face_weight : float
        Weight of the face beyond the rest's; 0: the paper's plain error.
    min_snr_gamma : float
        Largest signal-to-noise ratio that counts; 0: no such weighting.
    prediction_type : str
        ``eps`` or ``v``.
    """
    error = (prediction.float() - wanted.float()).square()
    if face_weight:
        error = error * face_weights(face, face_weight)
    if min_snr_gamma:
        snr = alpha**2 / (1 - alpha**2).clamp_min(1e-6)
        clipped = snr.clamp_max(min_snr_gamma)
        error = error * (clipped / (snr + 1) if prediction_type == "v" else clipped / snr.clamp_min(1e-8))
    return error.mean()


def texture_loss(sampled: Tensor, picture: Tensor, doubt: float = 0.3) -> Tensor:
    """Teach texture fusion its confidence: the fused UV texture, sampled, should look like the target.

    *Ours*: a confident colour costs its error, a lack of confidence costs ``doubt``.

    Parameters
    ----------
    sampled : Tensor
        (B, 5, H, W) from `models.texture.warp_texture`: colours times confidence, confidence, head.
    picture : Tensor
        (B, 3, H, W) the target in -1..1.
    """
    colours, confidence, head = sampled[:, :3], sampled[:, 3:4], sampled[:, 4:]
    error = (colours - confidence * picture).abs().mean(1, keepdim=True) + doubt * (1 - confidence)
    return (error * head).sum() / head.sum().clamp_min(1)


def coarse_x0_loss(
    coarse: Tensor, latents: Tensor, face: Tensor, channel: Tensor, face_weight: float
) -> Tensor:
    """Squared error of coarse x0 (B, C, h, w), heavier on the face; parameters as `weighted_v_loss`."""
    place = face_weights(face, face_weight)
    return ((coarse - latents).square() * place * channel.view(1, -1, 1, 1)).mean()


def face_weights(face: Tensor, face_weight: float) -> Tensor:
    """(B, 1, h, w) weights of mean 1: the face, and one pixel around it, beyond the rest."""
    place = 0.6 + face_weight * F.max_pool2d(face, 3, 1, 1)
    return place / place.mean((2, 3), keepdim=True)


class IdentityLoss(nn.Module):
    """One minus the identity similarity of a generated face, by SFace, whose mean over people is taken off.

    The person is the mean embedding of their pictures without degradation (`PreparedPeople.identities`). The
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

    def forward(self, pictures: Tensor, points: np.ndarray, person: Tensor) -> Tensor:
        """Loss of pictures (B, 3, H, H) in -1..1, landmarks (B, 72, 3), people (B, 128) of unit length."""
        vectors = recognizer_embeddings(self.recognizer, pictures, points) - self.mean
        return (1 - (F.normalize(vectors, dim=1) * person).sum(1)).mean()


class LandmarkLoss(nn.Module):
    """Distance of a generated face's landmarks to those that were asked for, in px of a 64 px crop.

    The paper aligns landmarks without telling how; this is *ours*.
    """

    def __init__(self, regressor: LandmarkRegressor) -> None:
        super().__init__()
        self.regressor = regressor.eval().requires_grad_(False)

    def forward(self, pictures: Tensor, points: np.ndarray) -> Tensor:
        """Loss of pictures (B, 3, H, H) in -1..1 against landmarks (B, 72, 3)."""
        crops, wanted = jittered_crops(pictures, points, np.random.default_rng(0), amount=0.0)
        return F.smooth_l1_loss(self.regressor(crops), wanted)

"""The loss of a batch: which parts a recipe asks for at a step, and on which samples they act."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..models.texture import warp_texture
from ..models.tokens import FaceBatch, TargetMaps
from .config import Recipe
from .data.batches import Batch, PreparedPeople, to_signed, without_alignment
from .losses import IdentityLoss, LandmarkLoss, coarse_x0_loss, texture_loss, weighted_v_loss
from .system import SAMPLING_STEPS, TinySystem

PARTS = ("v", "identity", "rollout identity", "coarse x0 identity", "landmarks", "texture", "coarse x0")
"""Names of all parts, in the order of the log."""


class Part(NamedTuple):
    """One part of the loss."""

    name: str
    weight: float
    value: Tensor


class Noisy(NamedTuple):
    """Noisy latents of a batch and what was predicted of them."""

    x: Tensor
    """(B, C, h, w) scaled noisy latents."""
    prediction: Tensor
    """(B, C, h, w) v as predicted."""
    alpha: Tensor
    """(B, 1, 1, 1) share of the signal."""

    @property
    def sigma(self) -> Tensor:
        """(B, 1, 1, 1) share of the noise."""
        return (1 - self.alpha**2).clamp_min(0).sqrt()

    def clean(self, rows: Tensor) -> Tensor:
        """Clean latents predicted for some rows."""
        return self.alpha[rows] * self.x[rows] - self.sigma[rows] * self.prediction[rows]


class Objective(nn.Module):
    """Loss of the batches of one run.

    Parameters
    ----------
    recipe : Recipe
        Weights, and from which step on they count.
    system : TinySystem
        With a fitted codec.
    people : PreparedPeople
        Training data, encoded.
    identity_loss, landmark_loss : IdentityLoss, LandmarkLoss or None
        Needed if the recipe asks for them.
    """

    def __init__(
        self,
        recipe: Recipe,
        system: TinySystem,
        people: PreparedPeople,
        identity_loss: IdentityLoss | None,
        landmark_loss: LandmarkLoss | None,
    ) -> None:
        super().__init__()
        self.recipe, self.system, self.people = recipe, system, people
        self.identity_loss = identity_loss if recipe.losses.identity else None
        self.landmark_loss = landmark_loss if recipe.losses.landmarks else None
        weight = system.codec.energy() ** recipe.losses.channel_power
        self.channel = weight / weight.mean()
        if self.identity_loss is not None:
            self.identities = torch.from_numpy(people.identities(self.identity_loss.mean.numpy()))

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Loss of one batch at a step, and its parts by name."""
        losses, stage = self.recipe.losses, self.recipe.stage
        if stage.freeze_base and not _before(step, stage.identity_from):
            self.system.unet.requires_grad_(False)
            self.system.words.requires_grad_(False)
        if _before(step, stage.denoising_from):
            return _sum(self._texture_parts(batch, len(batch.latents), losses.coarse_x0_identities))
        size = len(batch.latents)
        conditioned = size - round(size * self.recipe.data.identity_dropout)
        n = 0 if _before(step, stage.identity_from) else conditioned
        noisy, parts = self._denoising(batch, n)
        if n and not _before(step, losses.pictures_from):
            parts += self._picture_parts(batch, n, noisy, step)
        if n and losses.coarse_x0 and self.recipe.data.alignment:
            identities = 0 if self._rolls_out(step) else losses.coarse_x0_identities
            parts += self._texture_parts(batch, min(n, losses.coarse_x0_people), identities)
        return _sum(parts)

    def _denoising(self, batch: Batch, n: int) -> tuple[Noisy, list[Part]]:
        """Predict v, with identity conditioning for the first `n` samples."""
        losses = self.recipe.losses
        last = len(self.system.signal) - 1
        time = ((1 - batch.uniform**self.recipe.data.noise_power) * last).round()
        x, v, alpha = self.system.noisy(batch.latents, batch.noise, time)
        if n:
            faces, maps = self._references(batch, n)
            prediction = self.system(x, time, batch.concepts, maps, faces)
        else:
            prediction = self.system(x, time, batch.concepts)
        loss = weighted_v_loss(
            prediction, v, batch.face, alpha, self.channel, losses.face_weight, losses.min_snr_gamma
        )
        return Noisy(x, prediction, alpha), [Part("v", 1.0, loss)]

    def _texture_parts(self, batch: Batch, n: int, identities: int) -> list[Part]:
        """Losses on UV textures and coarse x0 of the first `n`; identity loss of so many coarse x0."""
        losses, (faces, maps) = self.recipe.losses, batch.first(n)
        fusion = self.system.portrait.refiner.texture
        encoder = self.system.portrait.hifi_net.texture_embedding
        if fusion is None or encoder is None or faces.textures is None or maps.uv_map is None:
            raise ValueError(f"recipe {self.recipe.name}: losses.coarse_x0 needs a network with textures")
        fused = fusion(faces.textures, faces.bias())
        _, coarse = encoder(fused, maps.uv_map, maps.hint)
        picture = to_signed(self.people.image[batch.rows[:n]])
        error = coarse_x0_loss(
            coarse.latents, batch.latents[:n], batch.face[:n], self.channel, losses.face_weight
        )
        found = [
            Part("texture", losses.texture, texture_loss(warp_texture(fused, maps.uv_map), picture)),
            Part("coarse x0", losses.coarse_x0, error),
        ]
        if identities and self.identity_loss is not None:
            rows = batch.rows[:identities]
            decoded = self.system.codec.decode_linear(coarse.latents[:identities])
            apart = self.identity_loss(decoded, self.people.points[rows], self._person(rows))
            found.append(Part("coarse x0 identity", losses.identity, apart))
        return found

    def _picture_parts(self, batch: Batch, n: int, noisy: Noisy, step: int) -> list[Part]:
        """Losses on clean pictures predicted for some of the first `n` samples, or on rollouts."""
        losses, rollout = self.recipe.losses, self.recipe.rollout
        if self.identity_loss is None and self.landmark_loss is None:
            return []
        rolled = self._rolls_out(step)
        if rolled:
            some = torch.arange(min(n, rollout.people))
            clean = self._rollout(batch, len(some), step)
        else:
            some = torch.nonzero(noisy.sigma[:n].flatten() < losses.picture_max_noise).flatten()
            some = some[: max(1, round(len(noisy.x) * losses.picture_share))]
            clean = noisy.clean(some)
        if not len(some):
            return []
        rows = batch.rows[some.numpy()]
        points = self.people.points[rows]
        decoded = self.system.codec.decode_linear(clean)
        factor = rollout.weight if rolled else 1.0
        found: list[Part] = []
        if self.identity_loss is not None:
            apart = self.identity_loss(decoded, points, self._person(rows))
            name = "rollout identity" if rolled else "identity"
            found.append(Part(name, losses.identity * factor, apart))
        if self.landmark_loss is not None:
            found.append(Part("landmarks", losses.landmarks * factor, self.landmark_loss(decoded, points)))
        return found

    def _rolls_out(self, step: int) -> bool:
        """Whether losses on pictures act on the model's own samples in this step."""
        return self.recipe.rollout.people > 0 and step % self.recipe.rollout.every == 0

    def _rollout(self, batch: Batch, n: int, step: int) -> Tensor:
        """Clean latents predicted while sampling `n` people from noise; gradients at one drawn step."""
        faces, maps = self._references(batch, n)
        drawn = np.random.default_rng([self.recipe.seed, 7, step]).integers(2, SAMPLING_STEPS - 1)
        return self.system.sample(
            batch.noise[:n],
            batch.concepts[:n],
            maps,
            faces,
            SAMPLING_STEPS,
            self.recipe.rollout.cfg,
            learn_at=int(drawn),
            decode=False,
        )

    def _references(self, batch: Batch, n: int) -> tuple[FaceBatch, TargetMaps]:
        """Return references and target maps of the first `n` people, as the recipe's ablation has them."""
        faces, maps = batch.first(n)
        return (faces, maps) if self.recipe.data.alignment else without_alignment(faces, maps)

    def _person(self, rows: np.ndarray) -> Tensor:
        """(B, E) identities of the people in some pictures."""
        return self.identities[torch.from_numpy(rows // self.people.pictures)]


def _before(step: int, first: int | None) -> bool:
    """Whether a step comes before the first one of a part; None: it never comes."""
    return first is None or step < first


def _sum(parts: list[Part]) -> tuple[Tensor, dict[str, float]]:
    total = torch.stack([weight * value for _, weight, value in parts]).sum()
    return total, {name: float(value.detach()) for name, _, value in parts}

"""The loss of a batch on SDXL: which parts a recipe asks for at a step, and on which examples they act."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...models.texture import CoarseX0, warp_texture
from ...models.tokens import FaceBatch, TargetMaps
from ..config import Recipe
from ..losses import IdentityLoss, LandmarkLoss, coarse_x0_loss, diffusion_loss, texture_loss
from .adapter import PortraitUNet
from .base import Base

PARTS = ("diffusion", "identity", "landmarks", "texture", "coarse x0")
"""Names of all parts. The paper's are diffusion (eq. 1, 2), identity and landmarks; the others are *ours*."""


class Predicted(NamedTuple):
    """A batch with noise, and what was predicted of it."""

    x: Tensor
    """``(B, C, h, w)`` noisy latents."""
    out: Tensor
    """``(B, C, h, w)`` v or noise."""
    alpha: Tensor
    """``(B, 1, 1, 1)`` share of the signal."""
    sigma: Tensor
    """``(B, 1, 1, 1)`` share of the noise."""
    coarse: CoarseX0 | None
    texture: Tensor | None


def references(batch: dict[str, Tensor]) -> FaceBatch:
    """Return the references of a batch of `examples.Examples`, people in front."""
    return FaceBatch(
        batch["crops"],
        batch["crop_coords"],
        batch["embeddings"],
        batch["weights"],
        textures=batch.get("textures"),
    )


def target_maps(batch: dict[str, Tensor]) -> TargetMaps:
    """Return what HiFi-Net sees of the targets of a batch."""
    return TargetMaps(batch["hint"].float() / 255, batch["coords"], batch.get("uv_map"))


class SdxlObjective(nn.Module):
    """Loss of the batches of one run; the whole of it is one forward pass, which DDP and FSDP need.

    Parameters
    ----------
    recipe
        Weights, and from which step on they count.
    system
        What is trained.
    base
        Decodes latents for the losses on pictures.
    identity, landmarks
        Needed if the recipe asks for them.
    """

    def __init__(
        self,
        recipe: Recipe,
        system: PortraitUNet,
        base: Base,
        identity: IdentityLoss | None = None,
        landmarks: LandmarkLoss | None = None,
    ) -> None:
        super().__init__()
        self.recipe, self.system = recipe, system
        losses = recipe.losses
        for name, weight, given in (
            ("identity", losses.identity, identity),
            ("landmarks", losses.landmarks, landmarks),
        ):
            if weight and given is None:
                raise ValueError(f"recipe {recipe.name}: the {name} loss needs its network")
        self.on_pictures = bool(losses.identity or losses.landmarks)
        self.vae = base.vae if self.on_pictures else None
        self.identity = identity if losses.identity else None
        self.landmarks = landmarks if losses.landmarks else None
        self._base = (base,)  # not a submodule: only its functions are used

    def forward(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of one batch at a step, and its parts by name, without gradients."""
        losses = self.recipe.losses
        made = self.predict(batch)
        wanted = batch["noise"]
        if self.system.prediction_type == "v":
            wanted = made.alpha * batch["noise"] - made.sigma * batch["latents"]
        face = batch["coords"][:, 2:]
        error = diffusion_loss(
            made.out,
            wanted,
            face,
            made.alpha,
            losses.face_weight,
            losses.min_snr_gamma,
            self.system.prediction_type,
        )
        parts: list[tuple[str, float, Tensor]] = [("diffusion", 1.0, error)]
        parts += self._texture_parts(batch, made)
        share = self._picture_share(step)
        if self.on_pictures and share:
            parts += self._picture_parts(batch, made, share)
        total = torch.stack([weight * value for _, weight, value in parts]).sum()
        return total, {name: value.detach() for name, _, value in parts}

    def predict(self, batch: dict[str, Tensor]) -> Predicted:
        """Add noise to a batch's latents and predict."""
        last = len(self.system.signal) - 1
        time = ((1 - batch["uniform"] ** self.recipe.data.noise_power) * last).round().long()
        alpha = self.system.alpha(time)
        sigma = (1 - alpha**2).clamp_min(0).sqrt()
        x = alpha * batch["latents"] + sigma * batch["noise"]
        out, coarse, texture = self.system(
            x,
            time,
            batch["text"],
            batch["pooled"],
            batch["time_ids"],
            references(batch),
            target_maps(batch),
        )
        return Predicted(x, out, alpha, sigma, coarse, texture)

    def _picture_share(self, step: int) -> float:
        """Return the share 0..1 of their weights that the losses on pictures have at a step."""
        first, ramp = self.recipe.losses.pictures_from, self.recipe.losses.pictures_ramp
        if first is None or step < first:
            return 0.0
        return min(1.0, (step - first + 1) / ramp) if ramp else 1.0

    def _texture_parts(self, batch: dict[str, Tensor], made: Predicted) -> list[tuple[str, float, Tensor]]:
        losses, found = self.recipe.losses, []
        if losses.coarse_x0 and made.coarse is not None:
            channels = torch.ones(batch["latents"].shape[1], device=made.x.device)
            face = batch["coords"][:, 2:]
            error = coarse_x0_loss(
                made.coarse.latents.float(), batch["latents"], face, channels, losses.face_weight
            )
            found.append(("coarse x0", losses.coarse_x0, error))
        if losses.texture and made.texture is not None:
            picture = batch["picture"].float() / 127.5 - 1
            warped = warp_texture(made.texture.float(), batch["uv_map"])
            # Each example for itself: a mean over a batch's pixels would depend on how processes share it.
            errors = [texture_loss(w[None], p[None]) for w, p in zip(warped, picture, strict=True)]
            found.append(("texture", losses.texture, torch.stack(errors).mean()))
        return found

    def _picture_parts(
        self, batch: dict[str, Tensor], made: Predicted, share: float
    ) -> list[tuple[str, float, Tensor]]:
        """Losses on the clean faces predicted for the least noisy examples."""
        losses = self.recipe.losses
        count = max(1, round(len(made.x) * losses.picture_share))
        some = made.sigma.flatten().argsort()[:count]
        counted = (made.sigma[some] < losses.picture_max_noise).float().mean()
        x, out, alpha, sigma = (t[some] for t in (made.x, made.out, made.alpha, made.sigma))
        if self.system.prediction_type == "v":
            clean = alpha * x - sigma * out
        else:
            clean = (x - sigma * out) / alpha.clamp_min(0.05)
        window = min(losses.picture_window, x.shape[-1])
        scale = self.recipe.data.resolution // x.shape[-1]
        points = batch["points"][some]
        middle = (points[..., :2].amin(1) + points[..., :2].amax(1)) / 2 / scale
        corner = (middle - window / 2).round().long().clamp(0, x.shape[-1] - window).tolist()
        faces = torch.stack([clean[i, :, b : b + window, a : a + window] for i, (a, b) in enumerate(corner)])
        pictures = self._base[0].decode(faces)
        shift = torch.tensor([[a * scale, b * scale, 0.0] for a, b in corner], device=points.device)
        places = (points - shift[:, None]).cpu().numpy()
        found = []
        if self.identity is not None:
            with torch.no_grad():
                seen = F.normalize(self.identity.recognizer(batch["face"][some]), dim=1)
                wanted = seen - self.identity.mean
            apart = self.identity(pictures, places, F.normalize(wanted, dim=1))
            found.append(("identity", losses.identity * share, apart * counted))
        if self.landmarks is not None:
            apart = self.landmarks(pictures, places)
            found.append(("landmarks", losses.landmarks * share, apart * counted))
        return found

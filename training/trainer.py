"""Train the tiny model: one process, resumable to the bit, averaged weights, sample sheets."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..boundary.files import remove_debris, written
from ..models.texture import warp_texture
from ..models.tokens import FaceBatch, TargetMaps
from .config import DRAFT_PICTURES, Recipe
from .data.batches import (
    Batch,
    PreparedPeople,
    draw_batch,
    prepared_faces,
    to_signed,
    without_alignment,
)
from .losses import IdentityLoss, LandmarkLoss, draft_loss, texture_loss, weighted_v_loss
from .runs import read_average
from .system import TinyCodec as Codec
from .system import TinySystem, tiny

CHECKPOINT = "checkpoint.safetensors"
OWN_STEPS = 8
"""Steps in which pictures for ``own_pictures`` are painted, as at inference."""
LOGGED = ("v", "identity", "own identity", "draft identity", "landmarks", "texture", "draft")
Log = Callable[[str], None]


class Part(NamedTuple):
    """One part of the loss."""

    name: str
    weight: float
    value: Tensor


def learning_rate(recipe: Recipe, step: int) -> float:
    """Warm-up, a constant part, then a cosine down to ``final_rate`` of the peak."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    done = step / max(recipe.steps, 1)
    if done <= recipe.hold:
        return recipe.learning_rate
    fall = 0.5 + 0.5 * math.cos(math.pi * (done - recipe.hold) / (1 - recipe.hold))
    return recipe.learning_rate * (recipe.final_rate + (1 - recipe.final_rate) * fall)


def fit_codec(
    people: PreparedPeople, config: tiny.TinyBaseConfig, pictures: int = 1500
) -> tuple[Codec, float]:
    """Fit the linear codec on evenly spread pictures; returns it and its PSNR in dB."""
    torch.manual_seed(0)  # the mending part starts at random
    codec = Codec(config.latent_channels, config.codec_width)
    rows = np.linspace(0, len(people.image) - 1, min(pictures, len(people.image))).astype(int)
    return codec, codec.fit(to_signed(people.image[rows]))


def encode(people: PreparedPeople, codec: Codec) -> None:
    """Fill in the latents of all pictures."""
    with torch.no_grad():
        parts = [codec.encode(to_signed(people.image[k : k + 256])) for k in range(0, len(people.image), 256)]
    people.latents = torch.cat(parts)


@dataclass(eq=False)
class Trainer:
    """One run; see `Recipe`. State is ``system``, the optimiser, ``average`` and ``step``: nothing else.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    people : PreparedPeople
        Training data.
    folder : Path
        Where checkpoints, logs and sheets go; an existing checkpoint there is resumed.
    held_out : PreparedPeople or None
        People for the sample sheets.
    identity_loss, landmark_loss : IdentityLoss, LandmarkLoss or None
        Needed if the recipe asks for them.
    start_from : Path or None
        Folder of another run whose averaged weights this one starts with, where it has such parts.
    """

    recipe: Recipe
    people: PreparedPeople
    folder: Path
    held_out: PreparedPeople | None = None
    identity_loss: IdentityLoss | None = None
    landmark_loss: LandmarkLoss | None = None
    start_from: Path | None = None
    base_config: tiny.TinyBaseConfig | None = None
    log: Log = print

    def __post_init__(self) -> None:
        """Build the networks, and resume if there is a checkpoint."""
        base = self.base_config or tiny.TinyBaseConfig()
        config = self.recipe.trained_network()
        codec, self.psnr = fit_codec(self.people, base)
        self.system = TinySystem(base, config, codec, self.recipe.seed)
        if self.recipe.zero_start:
            self._start_zero_layers(self.recipe.zero_start)
        if self.start_from is not None:
            self._start_from(self.start_from)
        encode(self.people, self.system.codec)
        self._weigh_channels()
        if self.identity_loss is not None:
            self.identities = torch.from_numpy(self.people.identities(self.identity_loss.mean.numpy()))
        self.names = [n for n, p in self.system.named_parameters() if p.requires_grad]
        parameters = dict(self.system.named_parameters())
        self.parameters = [parameters[n] for n in self.names]
        groups = [
            {"params": [p for n, p in zip(self.names, self.parameters, strict=True)
                        if (p.ndim > 1) == decays and n.startswith("portrait.") == new],
             "weight_decay": self.recipe.weight_decay if decays else 0.0,
             "rate": 1.0 if new else self.recipe.base_rate}
            for decays in (True, False) for new in (True, False)
        ]  # fmt: skip
        self.optimizer = torch.optim.AdamW(
            groups, lr=self.recipe.learning_rate, betas=(0.9, 0.98), fused=True
        )
        self.average = {n: p.detach().clone() for n, p in zip(self.names, self.parameters, strict=True)}
        self.step = 0
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_debris(self.folder)
        (self.folder / "recipe.json").write_text(self.recipe.to_json(), encoding="utf-8")
        if (self.folder / CHECKPOINT).is_file():
            self.restore(self.folder / CHECKPOINT)

    def _start_zero_layers(self, fraction: float) -> None:
        torch.manual_seed(self.recipe.seed + 1)
        for module in self.system.portrait.modules():
            if getattr(module, "starts_at_zero", False):
                module.reset_parameters()  # type: ignore[operator]
                for parameter in module.parameters():
                    parameter.data.mul_(fraction)

    def _start_from(self, run: Path) -> None:
        """Take averaged weights and codec of another run; parts that it does not have start as they are."""
        average, codec, _ = read_average(run)
        self.system.codec.load_state_dict(codec.state_dict())
        ours = self.system.state_dict()
        known = {k: v for k, v in average.items() if k in ours and ours[k].shape == v.shape}
        if self.recipe.base_alone:
            known = {k: v for k, v in known.items() if not k.startswith("portrait.")}
        if not any(k.startswith("unet.") for k in known):
            raise ValueError(f"{run}: its base has other sizes; start from a run of the same base")
        self.system.load_state_dict(known, strict=False)

    def _weigh_channels(self) -> None:
        weight = self.system.codec.energy() ** self.recipe.channel_power
        self.channel = weight / weight.mean()

    # State --------------------------------------------------------------------------------------------------
    def save(self) -> None:
        """Write weights, average, optimiser moments and step, atomically."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in zip(self.names, self.parameters, strict=True):
            tensors[f"weight/{name}"] = parameter.detach()
            tensors[f"average/{name}"] = self.average[name]
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{key}/{name}"] = value
        for name, value in self.system.codec.state_dict().items():
            tensors[f"codec/{name}"] = value
        tensors = {k: v.contiguous() for k, v in tensors.items()}
        with written(self.folder / CHECKPOINT) as part:
            save_file(tensors, part, {"step": str(self.step), "recipe": self.recipe.to_json()})

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint.

        Raises
        ------
        ValueError
            If it was made with other sizes.
        """
        with safe_open(str(path), "pt") as file:
            self.step = int((file.metadata() or {}).get("step", 0))
            stored = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a mapping
        self.system.codec.load_state_dict({k[6:]: v for k, v in stored.items() if k.startswith("codec/")})
        encode(self.people, self.system.codec)
        self._weigh_channels()
        for name, parameter in zip(self.names, self.parameters, strict=True):
            if stored.get(f"weight/{name}", torch.empty(0)).shape != parameter.shape:
                raise ValueError(
                    f"{path}: made with other sizes ({name}); use another folder or the same recipe"
                )
            parameter.data.copy_(stored[f"weight/{name}"])
            self.average[name].copy_(stored[f"average/{name}"])
            moments = {
                k: stored[f"{k}/{name}"] for k in ("step", "exp_avg", "exp_avg_sq") if f"{k}/{name}" in stored
            }
            if moments:
                self.optimizer.state[parameter] = {k: v.clone() for k, v in moments.items()}

    def averaged(self) -> dict[str, Tensor]:
        """Exchange weights and average; calling it twice restores. Returns what was there before."""
        before = {n: p.detach().clone() for n, p in zip(self.names, self.parameters, strict=True)}
        for name, parameter in zip(self.names, self.parameters, strict=True):
            parameter.data.copy_(self.average[name])
            self.average[name].copy_(before[name])
        return before

    # Training -----------------------------------------------------------------------------------------------
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Loss of one batch and its parts."""
        recipe = self.recipe
        if self.step < recipe.draft_steps:
            return self._sum(self._draft_losses(batch, len(batch.latents), recipe.draft_identities))
        base_phase = self.step < recipe.base_steps
        size = len(batch.latents)
        last = len(self.system.signal) - 1
        time = ((1 - batch.uniform**recipe.noisy_end) * last).round()
        x, v, alpha = self.system.noisy(batch.latents, batch.noise, time)
        n = 0 if base_phase else size - round(size * recipe.base_only)
        if n:
            faces, maps = self._references(batch, n)
            out = self.system(x, time, batch.concepts, maps, faces)
        else:
            out = self.system(x, time, batch.concepts)
        diffusion = weighted_v_loss(
            out, v, batch.face, alpha, self.channel, recipe.face_weight, recipe.snr_limit
        )
        losses = [Part("v", 1.0, diffusion)]
        if n and self.step >= recipe.extra_losses_from:
            losses += self._picture_losses(batch, n, x, out, alpha)
        if n and recipe.draft_loss and faces.textures is not None:
            identities = 0 if self._own_turn() else recipe.draft_identities
            losses += self._draft_losses(batch, min(n, DRAFT_PICTURES), identities)
        return self._sum(losses)

    @staticmethod
    def _sum(losses: list[Part]) -> tuple[Tensor, dict[str, float]]:
        total = torch.stack([weight * value for _, weight, value in losses]).sum()
        return total, {name: float(value.detach()) for name, _, value in losses}

    def _draft_losses(self, batch: Batch, n: int, identities: int) -> list[Part]:
        """Losses on fused heads and drafts of the first `n` samples; likeness of so many drafts."""
        recipe, (faces, maps) = self.recipe, batch.first(n)
        fusion = self.system.portrait.refiner.texture
        encoder = self.system.portrait.hifi_net.texture_embedding
        if fusion is None or encoder is None or faces.textures is None or maps.uv_map is None:
            raise ValueError(f"recipe {recipe.name}: draft losses need a network with textures")
        fused = fusion(faces.textures, faces.bias())
        _, draft = encoder(fused, maps.uv_map, maps.hint)
        picture = to_signed(self.people.image[batch.rows[:n]])
        found = [
            Part("texture", recipe.texture_loss, texture_loss(warp_texture(fused, maps.uv_map), picture)),
            Part("draft", recipe.draft_loss, draft_loss(
                draft.latents, batch.latents[:n], batch.face[:n], self.channel, recipe.face_weight)),
        ]  # fmt: skip
        if identities and recipe.identity_loss and self.identity_loss is not None:
            rows = batch.rows[:identities]
            painted = self.system.codec.decode_linear(draft.latents[:identities])
            likeness = self.identity_loss(painted, self.people.points[rows], self._person(rows))
            found.append(Part("draft identity", recipe.identity_loss, likeness))
        return found

    def _person(self, rows: np.ndarray) -> Tensor:
        """(B, E) identities of the people in some pictures."""
        return self.identities[torch.from_numpy(rows // self.people.pictures)]

    def _references(self, batch: Batch, n: int) -> tuple[FaceBatch, TargetMaps]:
        """Return references and target maps of the first `n` people, as the recipe's ablation has them."""
        faces, maps = batch.first(n)
        return (faces, maps) if self.recipe.alignment else without_alignment(faces, maps)

    def _picture_losses(self, batch: Batch, n: int, x: Tensor, out: Tensor, alpha: Tensor) -> list[Part]:
        """Losses on clean pictures predicted for some of the first `n` samples."""
        recipe = self.recipe
        found: list[Part] = []
        if not (recipe.identity_loss or recipe.landmark_loss):
            return []
        own = self._own_turn()
        if own:
            low = torch.arange(min(n, recipe.own_pictures))
            clean = self._own_latents(batch, len(low))
        else:
            sigma = (1 - alpha**2).clamp_min(0).sqrt()
            low = torch.nonzero(sigma[:n].flatten() < recipe.identity_max_noise).flatten()
            low = low[: max(1, round(len(x) * recipe.identity_share))]
            clean = alpha[low] * x[low] - sigma[low] * out[low]
        if not len(low):
            return []
        rows = batch.rows[low.numpy()]
        points = self.people.points[rows]
        painted = self.system.codec.decode_linear(clean)
        share = recipe.own_weight if own else 1.0
        if recipe.identity_loss and self.identity_loss is not None:
            likeness = self.identity_loss(painted, points, self._person(rows))
            found.append(Part("own identity" if own else "identity", recipe.identity_loss * share, likeness))
        if recipe.landmark_loss and self.landmark_loss is not None:
            found.append(Part("landmarks", recipe.landmark_loss * share, self.landmark_loss(painted, points)))
        return found

    def _own_turn(self) -> bool:
        """Whether losses on pictures act on the model's own ones in this step."""
        return self.recipe.own_pictures > 0 and self.step % self.recipe.own_every == 0

    def _own_latents(self, batch: Batch, n: int) -> Tensor:
        """Clean latents predicted on the way of painting `n` people from noise; gradients at that step."""
        faces, maps = self._references(batch, n)
        step = int(np.random.default_rng([self.recipe.seed, 7, self.step]).integers(2, OWN_STEPS - 1))
        return self.system.sample(
            batch.noise[:n],
            batch.concepts[:n],
            maps,
            faces,
            OWN_STEPS,
            self.recipe.own_cfg,
            learn_at=step,
            decode=False,
        )

    def one_step(self) -> dict[str, float]:
        """One optimiser step."""
        recipe = self.recipe
        if recipe.freeze_base and self.step == recipe.base_steps:
            self.freeze_base()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, self.step) * group["rate"]
        batch = draw_batch(
            self.people, recipe.seed, self.step, recipe.batch, recipe.reference_counts, recipe.word_dropout
        )
        total, parts = self.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_([p for p in self.parameters if p.grad is not None], recipe.clip)
        self.optimizer.step()
        self.step += 1
        decay = min(recipe.ema, self.step / (self.step + 20))
        with torch.no_grad():
            torch._foreach_lerp_(
                [self.average[n] for n in self.names], list[Tensor](self.parameters), 1 - decay
            )
        return parts

    def freeze_base(self) -> None:
        """Keep the base UNet and the words as they are from now on."""
        for module in (self.system.unet, self.system.words):
            module.requires_grad_(False)

    def run(self, until: int | None = None, seconds: float = math.inf) -> None:
        """Train to a step (default: the recipe's last) or for a time, whichever comes first; then save."""
        start, window, end = time.monotonic(), [], min(until or self.recipe.steps, self.recipe.steps)
        first = self.step
        if self.recipe.freeze_base and self.step > self.recipe.base_steps:
            self.freeze_base()
        while self.step < end and time.monotonic() - start < seconds:
            window.append(self.one_step())
            if self.step % 50 == 0:
                means = {
                    k: round(float(np.mean([w[k] for w in window if k in w])), 4)
                    for k in LOGGED
                    if any(k in w for w in window)
                }
                pace = (time.monotonic() - start) / (self.step - first)
                self.log(json.dumps({"step": self.step, **means, "seconds_per_step": round(pace, 3)}))
                window = []
            if self.step % self.recipe.checkpoint_every == 0:
                self.save()
            if self.step % self.recipe.sheet_every == 0 and self.held_out is not None:
                self.sheet(self.folder / f"sheet-{self.step:06d}.png")
        self.save()

    # Looking ------------------------------------------------------------------------------------------------
    def sheet(self, path: Path, people: int = 8) -> None:
        """Rows of held-out people: references, landmarks, base alone, one and four references, truth."""
        assert self.held_out is not None
        data, k = self.held_out, self.held_out.pictures
        rows = np.arange(people) * k
        target = rows + 2
        references = rows[:, None] + np.array([3, 4, 5, 6])
        self.averaged()
        assert self.people.latents is not None
        size = (people, *self.people.latents.shape[1:])
        noise = torch.randn(size, generator=torch.Generator().manual_seed(0))
        concepts = torch.from_numpy(data.concepts[target])
        columns = [data.crop[references[:, i]] for i in range(4)]
        columns = [np.stack([cv2.resize(c, (128, 128)) for c in column]) for column in columns]
        columns.append(data.hint[target])
        made = [self.system.sample(noise, concepts)]
        made += [
            self.system.sample(noise, concepts, data.maps(target), prepared_faces(data, references[:, :n]))
            for n in (1, 4)
        ]
        columns += [to_bytes(m) for m in made] + [data.image[target]]
        self.averaged()
        sheet = np.concatenate([np.concatenate(list(c)) for c in columns], 1)
        cv2.imwrite(str(path), np.ascontiguousarray(sheet[..., ::-1]))


def to_bytes(pictures: Tensor) -> np.ndarray:
    """(B, 3, H, W) in -1..1 to (B, H, W, 3) uint8."""
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()

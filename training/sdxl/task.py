"""SDXL as `train.Task`: networks beside a frozen base, data from shards, losses, samples, export."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import default_collate

from ...models import checkpoint
from ...models.config import HiFiNetConfig
from ...models.portrait import HiFiPortrait, build
from ...models.warm_start import copy_trunk
from ..config import Recipe
from ..data.shards import ShardIndex
from ..losses import IdentityLoss, LandmarkLoss
from .adapter import PortraitUNet, checkpoint_activations
from .base import Base, load_base, network_config
from .cache import Cache, build_cache
from .examples import Examples
from .objective import SdxlObjective
from .samples import sample_sheet

TYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
VALIDATION = 16
"""Held-out examples that are looked at, always the same."""
SHEET_PEOPLE = 6
DATA_SHEET, LONGEST_SHEET = "datasheet.json", 20000
"""What the data set says of itself: beside the folder of shards, and carried in the checkpoint's metadata."""


def _to_stderr(line: str) -> None:
    """Tell how the cache grows, beside what a command prints as its result."""
    print(line, file=sys.stderr, flush=True)


class SdxlTask:
    """Everything of a run on SDXL.

    Parameters
    ----------
    recipe
        With ``base.kind`` ``sdxl``.
    data
        Folder of shards.
    held_out
        Folder of shards of other people, for validation and sheets; None: neither.
    base
        None: read from ``recipe.base.checkpoint``.
    recognizer, regressor
        Networks of the losses on pictures, where the recipe asks for them.
    cache
        Folder for latents and text embeddings; None: beside the data.
    processes
        Accelerate's, which share the work of building the cache; None: this one does it all, on the CPU.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Path,
        held_out: Path | None = None,
        base: Base | None = None,
        recognizer: nn.Module | None = None,
        regressor: nn.Module | None = None,
        cache: Path | None = None,
        processes: Accelerator | None = None,
    ) -> None:
        self.recipe = recipe
        self.base = base or load_base(
            Path(str(recipe.base.checkpoint)), TYPES[recipe.hardware.mixed_precision], recipe.base.config
        )
        self.config = network_config(self.base.unet, self.base.vae, dict(recipe.network))
        self.index = ShardIndex.open(data)
        self.held_out = ShardIndex.open(held_out) if held_out is not None else None
        self._check_sizes()
        device = "cpu" if processes is None else processes.device
        part = (0, 1) if processes is None else (processes.process_index, processes.num_processes)
        for module in (self.base.vae, self.base.text):
            module.to(device)
        self.caches: dict[Path, Cache] = {}
        for folder, index in ((data, self.index), (held_out, self.held_out)):
            if folder is not None and index is not None:
                kept = (cache or folder) / f"cache-{self._digest()}" / folder.name
                build_cache(index, self.base, kept, recipe.data.resolution, part=part, report=_to_stderr)
                self.caches[folder] = Cache(kept)
        if processes is not None:
            processes.wait_for_everyone()
        self.data, self.held_out_data = data, held_out
        for module in (self.base.vae, self.base.text):
            module.to("cpu")  # room; what is needed later comes back
        portrait = self._portrait()
        if recipe.hardware.gradient_checkpointing:
            checkpoint_activations(self.base.unet, portrait)
        system = PortraitUNet(self.base.unet, portrait, self.base.signal, self.base.prediction_type)
        identity = None
        if recognizer is not None:
            identity = IdentityLoss(recognizer, np.zeros(128, np.float32))
        landmarks = None if regressor is None else LandmarkLoss(regressor)  # type: ignore[arg-type]
        self.system = system
        self.objective: nn.Module = SdxlObjective(recipe, system, self.base, identity, landmarks)
        self.constants: Mapping[str, Tensor] = {}

    def _check_sizes(self) -> None:
        side, down = self.recipe.data.resolution, self.config.latent_downscale
        if side % (down * 2 ** (len(self.config.block_out_channels) - 1)):
            raise ValueError(f"recipe {self.recipe.name}: data.resolution {side} does not halve often enough")
        if not len(self.index.without(())):
            raise ValueError(
                f"{self.index.folder}: nobody has two pictures: a picture can't be its own reference"
            )

    def _digest(self) -> str:
        """Return what tells caches apart: base and resolution."""
        state = self.base.vae.state_dict()
        first = next(iter(state.values())).float().flatten()[:64].cpu().numpy().tobytes()
        text = repr((str(self.recipe.base.checkpoint), self.recipe.data.resolution)).encode()
        return hashlib.sha256(first + text).hexdigest()[:12]

    def _portrait(self) -> HiFiPortrait:
        """Return the networks as they start."""
        recipe = self.recipe
        portrait = build(self.config, seed=recipe.seed)
        if recipe.base.warm_start == "base":
            copy_trunk(portrait.hifi_net, self.base.unet.state_dict())
            return portrait
        loaded = checkpoint.load(recipe.base.warm_start, dtype=torch.float32)
        theirs, ours = loaded.state_dict(), portrait.state_dict()
        fitting = {k: v for k, v in theirs.items() if k in ours and ours[k].shape == v.shape}
        lost = sorted(set(theirs) - set(fitting))
        if lost:
            raise ValueError(
                f"{recipe.base.warm_start}: {lost[0]} and {len(lost) - 1} more do not fit; set network in "
                "the recipe to the checkpoint's sizes"
            )
        portrait.load_state_dict(fitting, strict=False)
        return portrait

    def examples(self, count: int) -> Examples:
        """Return the data of ``count`` examples."""
        rows = self.index.without(())
        return Examples(self.index, rows, self.caches[self.data], self.recipe, self.config, count)

    def collate(self, items: list[Any]) -> Any:
        """Stack examples."""
        return default_collate(items)

    def items_per_batch(self) -> int:
        """Return the batch of one process."""
        return self.recipe.data.batch

    def _held_out_examples(self, count: int) -> Examples | None:
        if self.held_out is None or self.held_out_data is None:
            return None
        recipe = self.recipe.changed(data={"word_dropout": 0.0, "identity_dropout": 0.0})
        cache = self.caches[self.held_out_data]
        return Examples(self.held_out, self.held_out.without(()), cache, recipe, self.config, count, stream=1)

    @torch.no_grad()
    def validate(self, device: torch.device) -> dict[str, float]:
        """Return the parts of the loss on held-out people: the same people, noise and steps each time."""
        examples = self._held_out_examples(VALIDATION)
        if examples is None:
            return {}
        size = self.recipe.data.batch
        found: dict[str, list[float]] = {}
        for first in range(0, len(examples), size):
            items = [examples[n] for n in range(first, min(first + size, len(examples)))]
            batch = {k: v.to(device) for k, v in default_collate(items).items()}
            for name, value in self.objective(batch, self.recipe.schedule.steps)[1].items():
                found.setdefault(f"held out/{name}", []).append(float(value))
        return {name: float(np.mean(values)) for name, values in found.items()}

    @torch.no_grad()
    def sheet(self, path: Path, device: torch.device) -> None:
        """Write samples of held-out people."""
        examples = self._held_out_examples(SHEET_PEOPLE)
        if examples is not None and self.held_out is not None:
            batch = default_collate([examples[n] for n in range(len(examples))])
            truth = [self.held_out.read(int(row)) for row in batch["row"]]
            sample_sheet(path, self.system, self.base, {k: v.to(device) for k, v in batch.items()}, truth)

    def export(
        self, path: Path, ema: Mapping[str, Tensor], steps: int, processes: int = 1, title: str = ""
    ) -> HiFiNetConfig:
        """Write EMA weights as a checkpoint that ComfyUI loads, with how they were made.

        Parameters
        ----------
        ema
            Of `Checkpoints.ema_state`.
        steps, processes
            Optimizer steps, and processes that took part.
        """
        prefix, recipe = "portrait.", self.recipe
        weights = {k[len(prefix) :]: v for k, v in ema.items() if k.startswith(prefix)}
        config = replace(self.config, x0_guidance_gain=recipe.export.x0_guidance)
        checkpoint.assign(HiFiPortrait(config, device="meta"), weights, path.name)
        sheet = self.index.folder.parent / DATA_SHEET
        provenance: dict[str, object] = {
            "title": title or f"HiFi-Portrait {recipe.name}",
            "trained": True,
            "recipe": recipe.to_dict(),
            "steps": steps,
            "pictures_seen": steps * recipe.data.batch * recipe.hardware.accumulation * processes,
            "people": len(self.index.people),
            "pictures": len(self.index),
            "data_sheet": sheet.read_text(encoding="utf-8")[:LONGEST_SHEET] if sheet.is_file() else None,
            "licence": "that of the data and of the base; see data_sheet and recipe.base",
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(path, weights, config, provenance, torch.float16)
        return config

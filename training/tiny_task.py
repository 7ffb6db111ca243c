"""The tiny model as `train.Task`: base and networks together, people in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..tiny.config import TinyBaseConfig
from .checkpoints import CHECKPOINT
from .config import Recipe
from .data.batches import Batch, PreparedPeople, draw_batch
from .latents import encode, fit_codec
from .losses import IdentityLoss, LandmarkLoss
from .objective import Objective
from .runs import read_ema_weights
from .samples import sample_sheet
from .system import TinySystem, initialise_zero_layers


@dataclass(eq=False)
class Batches(Dataset[Batch]):
    """The batches of a run; the n-th is a function of the seed and n alone."""

    people: PreparedPeople
    recipe: Recipe
    length: int

    def __len__(self) -> int:
        """Return the number of batches."""
        return self.length

    def __getitem__(self, n: int) -> Batch:
        """Draw the n-th batch."""
        data = self.recipe.data
        return draw_batch(
            self.people, self.recipe.seed, n, data.batch, data.reference_counts, data.word_dropout
        )


class TinyTask:
    """Everything of a run of the tiny model.

    Parameters
    ----------
    recipe
        With ``base.kind`` ``tiny``.
    people
        Training data; their latents are filled in.
    folder
        Of the run: a checkpoint there gives the codec.
    held_out
        People for the sample sheets.
    identity_loss, landmark_loss
        Needed if the recipe asks for them.
    start_from
        Folder of another run whose EMA weights this one starts with, where it has such parts.
    base_config
        Sizes of the base; None: the defaults.
    """

    def __init__(
        self,
        recipe: Recipe,
        people: PreparedPeople,
        folder: Path,
        held_out: PreparedPeople | None = None,
        identity_loss: IdentityLoss | None = None,
        landmark_loss: LandmarkLoss | None = None,
        start_from: Path | None = None,
        base_config: TinyBaseConfig | None = None,
    ) -> None:
        self.recipe, self.people, self.held_out = recipe, people, held_out
        base = base_config or TinyBaseConfig()
        codec, self.psnr = fit_codec(people, base)
        self.system = TinySystem(base, recipe.trained_network(), codec, recipe.seed)
        if recipe.stage.zero_layer_scale:
            initialise_zero_layers(self.system.portrait, recipe.stage.zero_layer_scale, recipe.seed + 1)
        if start_from is not None:
            self._start_from(start_from)
        if (folder / CHECKPOINT).is_file():
            codec.load_state_dict(read_ema_weights(folder)[1].state_dict())
        encode(people, self.system.codec)
        self.objective: nn.Module = Objective(recipe, self.system, people, identity_loss, landmark_loss)
        self.constants: Mapping[str, Tensor] = {f"codec/{k}": v for k, v in codec.state_dict().items()}

    def _start_from(self, run: Path) -> None:
        """Take EMA weights and codec of another run; parts that it does not have start as they are."""
        weights, codec, _ = read_ema_weights(run)
        self.system.codec.load_state_dict(codec.state_dict())
        ours = self.system.state_dict()
        known = {k: v for k, v in weights.items() if k in ours and ours[k].shape == v.shape}
        if self.recipe.stage.transfer == "base":
            known = {k: v for k, v in known.items() if not k.startswith("portrait.")}
        if not any(k.startswith("unet.") for k in known):
            raise ValueError(f"{run}: its base has other sizes; start from a run of the same base")
        self.system.load_state_dict(known, strict=False)

    def examples(self, count: int) -> Batches:
        """Return ``count`` batches: here an item is a whole batch."""
        return Batches(self.people, self.recipe, count)

    def collate(self, items: list[Any]) -> Any:
        """Return the batch."""
        return items[0]

    def items_per_batch(self) -> int:
        """Return 1: an item is a whole batch."""
        return 1

    def validate(self, device: torch.device) -> dict[str, float]:
        """Return nothing: the tiny model is measured on evaluation sets (`training.evaluation`)."""
        return {}

    def sheet(self, path: Path, device: torch.device) -> None:
        """Write samples of held-out people."""
        if self.held_out is not None:
            sample_sheet(path, self.system, self.held_out)

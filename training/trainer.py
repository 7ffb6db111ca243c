"""Train the tiny model: one process, resumable to the bit, EMA weights, sample sheets."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..boundary.files import remove_debris, written
from ..tiny.config import TinyBaseConfig
from .config import Recipe
from .data.batches import PreparedPeople, draw_batch
from .latents import encode, fit_codec
from .losses import IdentityLoss, LandmarkLoss
from .objective import PARTS, Objective
from .runs import RECIPE, read_ema_weights
from .samples import sample_sheet
from .state import CHECKPOINT, TrainingState
from .system import TinySystem, initialise_zero_layers

Log = Callable[[str], None]


def learning_rate(recipe: Recipe, step: int) -> float:
    """Warm-up, a constant part, then a cosine down to ``schedule.final`` of the peak."""
    schedule, peak = recipe.schedule, recipe.optimizer.learning_rate
    if step < schedule.warmup:
        return peak * (step + 1) / schedule.warmup
    done = step / max(schedule.steps, 1)
    if done <= schedule.hold:
        return peak
    fall = 0.5 + 0.5 * math.cos(math.pi * (done - schedule.hold) / (1 - schedule.hold))
    return peak * (schedule.final + (1 - schedule.final) * fall)


@dataclass(eq=False)
class Trainer:
    """One run; see `Recipe`. What changes is in ``state``, and nothing else.

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
        Folder of another run whose EMA weights this one starts with, where it has such parts.
    base_config : TinyBaseConfig or None
        Sizes of the base; None: the defaults.
    log : callable
        Gets one line of JSON now and then.
    """

    recipe: Recipe
    people: PreparedPeople
    folder: Path
    held_out: PreparedPeople | None = None
    identity_loss: IdentityLoss | None = None
    landmark_loss: LandmarkLoss | None = None
    start_from: Path | None = None
    base_config: TinyBaseConfig | None = None
    log: Log = print

    def __post_init__(self) -> None:
        """Build the networks, and resume if there is a checkpoint."""
        recipe, base = self.recipe, self.base_config or TinyBaseConfig()
        codec, self.psnr = fit_codec(self.people, base)
        self.system = TinySystem(base, recipe.trained_network(), codec, recipe.seed)
        if recipe.stage.zero_layer_scale:
            initialise_zero_layers(self.system.portrait, recipe.stage.zero_layer_scale, recipe.seed + 1)
        if self.start_from is not None:
            self._start_from(self.start_from)
        self.state = TrainingState(self.system, recipe.optimizer)
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_debris(self.folder)
        with written(self.folder / RECIPE) as part:
            part.write_text(recipe.to_json(), encoding="utf-8")
        if (self.folder / CHECKPOINT).is_file():
            self.state.restore(self.folder)
        encode(self.people, self.system.codec)
        self.objective = Objective(recipe, self.system, self.people, self.identity_loss, self.landmark_loss)

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

    @property
    def step(self) -> int:
        """Number of the next step."""
        return self.state.step

    def one_step(self) -> dict[str, float]:
        """Take one optimizer step; returns the parts of the loss."""
        stage, data = self.recipe.stage, self.recipe.data
        if stage.freeze_base and stage.identity_from is not None and self.step >= stage.identity_from:
            self.system.unet.requires_grad_(False)
            self.system.words.requires_grad_(False)
        batch = draw_batch(
            self.people, self.recipe.seed, self.step, data.batch, data.reference_counts, data.word_dropout
        )
        total, parts = self.objective(batch, self.step)
        self.state.apply(total, learning_rate(self.recipe, self.step))
        return parts

    def run(self, until: int | None = None, seconds: float = math.inf) -> None:
        """Train to a step (default: the recipe's last) or for a time, whichever comes first; then save."""
        schedule = self.recipe.schedule
        start, first, end = time.monotonic(), self.step, min(until or schedule.steps, schedule.steps)
        window: list[dict[str, float]] = []
        while self.step < end and time.monotonic() - start < seconds:
            window.append(self.one_step())
            if self.step % 50 == 0 or self.step == end:
                self._report(window, (time.monotonic() - start) / (self.step - first))
                window = []
            if self.step % schedule.checkpoint_every == 0:
                self.save()
            if schedule.sheet_every and self.step % schedule.sheet_every == 0 and self.held_out is not None:
                with self.state.ema_weights():
                    sample_sheet(self.folder / f"sheet-{self.step:06d}.png", self.system, self.held_out)
        self.save()

    def save(self) -> None:
        """Write the checkpoint, atomically."""
        self.state.save(self.folder, self.recipe.to_json())

    def _report(self, window: list[dict[str, float]], pace: float) -> None:
        means = {
            name: round(float(np.mean([w[name] for w in window if name in w])), 4)
            for name in PARTS
            if any(name in w for w in window)
        }
        self.log(json.dumps({"step": self.step, **means, "seconds_per_step": round(pace, 3)}))

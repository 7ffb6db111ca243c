"""A run of a few steps."""

from __future__ import annotations

import torch
from hifi_portrait.training.config import Recipe
from hifi_portrait.training.trainer import Trainer

torch.set_num_threads(1)

RECIPE = Recipe(name="micro").changed(
    schedule={"steps": 6, "warmup": 2, "checkpoint_every": 100, "sheet_every": None}, data={"batch": 3}
)


def make(people, folder, recipe=RECIPE, **more) -> Trainer:
    """Return a silent trainer."""
    return Trainer(recipe, people, folder, log=lambda line: None, **more)

"""A run of a few steps."""

from __future__ import annotations

import torch
from hifi_portrait.training.config import Recipe
from hifi_portrait.training.tiny_task import TinyTask
from hifi_portrait.training.train import make_accelerator, start, train

torch.set_num_threads(1)

RECIPE = Recipe(name="micro").changed(
    schedule={"steps": 6, "warmup": 2, "checkpoint_every": 100, "sheet_every": None}, data={"batch": 3}
)


class Run:
    """A silent run of the tiny model, looked into."""

    def __init__(self, people, folder, recipe=RECIPE, **more) -> None:
        self.recipe, self.folder, self.people = recipe, folder, people
        self.accelerator = make_accelerator(recipe, folder, cpu=True)
        self.task = TinyTask(recipe, people, folder, **more)
        self.objective, self.system = self.task.objective, self.task.system
        self.state = start(recipe, self.task, folder, self.accelerator)
        self.lines: list[str] = []

    @property
    def step(self) -> int:
        """Number of the next step."""
        return self.state.step

    def run(self, until=None) -> None:
        """Go on from where the folder's checkpoint is."""
        self.state = train(
            self.recipe, self.task, self.folder, self.accelerator, until, log=self.lines.append
        )

    def one_step(self) -> dict[str, float]:
        """Take one step; returns the parts of the loss."""
        batch = self.task.examples(self.step + 1)[self.step]
        loss, parts = self.objective(batch, self.step)
        loss.backward()
        self.state.optimizer.step()
        self.state.optimizer.zero_grad()
        self.state.advance()
        return parts

    def ema(self) -> dict[str, torch.Tensor]:
        """Return EMA weights by name."""
        return dict(zip(self.state.names, self.state.ema.shadow_params, strict=True))

    def use_ema(self) -> None:
        """Put the EMA weights in place."""
        self.state.ema.copy_to(self.state.parameters)


def make(people, folder, recipe=RECIPE, **more) -> Run:
    """Return a silent run."""
    return Run(people, folder, recipe, **more)

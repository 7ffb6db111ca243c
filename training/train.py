"""The training loop, for the tiny model and for SDXL, on whatever accelerate was configured for.

`train` from top to bottom: networks and optimizer, resumed (`start`), data; then batch after batch a loss,
its gradients, a step, an average, and now and then a report, a checkpoint, a validation and a sample sheet.
What is particular to a base is in its `Task`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator, DataLoaderConfiguration, DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from ..boundary.files import remove_debris, written
from .checkpoints import Checkpoints, parameter_groups
from .config import Recipe

RECIPE = "recipe.json"
REPORT_EVERY = 50
Log = Callable[[str], None]


class Task(Protocol):
    """What differs between bases."""

    objective: nn.Module
    """``objective(batch, step)`` is the loss and its parts; ``objective.system`` holds what is trained."""
    constants: Mapping[str, Tensor]
    """What belongs in checkpoints beside what is trained."""

    def examples(self, count: int) -> Dataset[Any]:
        """Return the data: its n-th item is a function of the seed and n alone."""

    def collate(self, items: list[Any]) -> Any:
        """Make a batch of items."""

    def items_per_batch(self) -> int:
        """How many items a batch is made of."""

    def validate(self, device: torch.device) -> dict[str, float]:
        """Return figures on held-out people; nothing where there are none."""

    def sheet(self, path: Path, device: torch.device) -> None:
        """Write samples of held-out people, where there are any."""


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


def make_accelerator(recipe: Recipe, folder: Path, cpu: bool = False) -> Accelerator:
    """Return accelerate's entrance; processes, FSDP and DeepSpeed are as ``accelerate launch`` was told."""
    trackers = [name for name in ("tensorboard", "wandb") if _installed(name)]
    return Accelerator(
        mixed_precision=recipe.hardware.mixed_precision,
        gradient_accumulation_steps=recipe.hardware.accumulation,
        dataloader_config=DataLoaderConfiguration(split_batches=False, even_batches=False),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=recipe.base.kind == "tiny")],
        log_with=trackers or None,
        project_dir=folder,
        cpu=cpu,
    )


def train(
    recipe: Recipe,
    task: Task,
    folder: Path,
    accelerator: Accelerator | None = None,
    until: int | None = None,
    seconds: float = math.inf,
    log: Log = print,
    save: bool = True,
) -> Checkpoints:
    """Train to a step or for a time, whichever comes first; then save.

    Parameters
    ----------
    recipe
        What to do.
    task
        Networks, data and losses of one base.
    folder
        Where checkpoints, logs and sheets go; an existing checkpoint there is resumed, bit for bit.
    accelerator
        None: made of the recipe.
    until
        Step to stop at; None: the recipe's last.
    seconds
        Time to stop after.
    log
        Gets one line of JSON now and then.
    save
        Whether a checkpoint is written at the end.

    Returns
    -------
    Checkpoints
        All that has changed, with the EMA weights.
    """
    accelerator = accelerator or make_accelerator(recipe, folder)
    state = start(recipe, task, folder, accelerator)
    objective, optimizer, schedule = state.objective, state.optimizer, recipe.schedule
    end = min(until or schedule.steps, schedule.steps)
    loader = accelerator.prepare(make_loader(recipe, task, accelerator, state.step, end))
    accelerator.init_trackers(recipe.name)

    began, first = time.monotonic(), state.step
    window: list[dict[str, float]] = []
    for batch in loader:
        with accelerator.accumulate(objective):
            loss, parts = objective(batch, state.step)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(state.parameters, recipe.optimizer.clip)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, state.step) * group["multiplier"]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        window.append({name: float(value) for name, value in parts.items()})
        if not accelerator.sync_gradients:
            continue
        state.advance()
        if state.step % REPORT_EVERY == 0 or state.step == end:
            pace = (time.monotonic() - began) / (state.step - first)
            report(accelerator, recipe, state.step, window, pace, log)
            window = []
        if state.step % schedule.checkpoint_every == 0:
            state.save()
        if schedule.sheet_every and state.step % schedule.sheet_every == 0:
            with state.ema_weights():
                accelerator.log(task.validate(accelerator.device), step=state.step)
                if accelerator.is_main_process:
                    task.sheet(folder / f"sheet-{state.step:06d}.png", accelerator.device)
        if _out_of_time(accelerator, time.monotonic() - began, seconds):
            break
    if save:
        state.save()
    accelerator.end_training()
    return state


def start(recipe: Recipe, task: Task, folder: Path, accelerator: Accelerator) -> Checkpoints:
    """Hand networks and optimizer to accelerate, and resume what the folder holds."""
    folder.mkdir(parents=True, exist_ok=True)
    if accelerator.is_main_process:
        remove_debris(folder)
        with written(folder / RECIPE) as part:
            part.write_text(recipe.to_json(), encoding="utf-8")
    objective: Any = task.objective
    optimizer: Any = make_optimizer(recipe, objective.system, accelerator.device)
    if recipe.hardware.compile:
        objective.system.compile()
    objective, optimizer = accelerator.prepare(objective, optimizer)
    state = Checkpoints(accelerator, folder, recipe, objective, optimizer, task.constants)
    state.restore()
    return state


def make_optimizer(recipe: Recipe, system: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """Return AdamW over what is trained, each part with its learning-rate multiplier."""
    settings = recipe.optimizer
    return torch.optim.AdamW(
        parameter_groups(system, settings),  # type: ignore[arg-type]
        lr=settings.learning_rate,
        betas=(0.9, settings.beta2),
        fused=device.type in ("cpu", "cuda"),
    )


def make_loader(
    recipe: Recipe, task: Task, accelerator: Accelerator, first: int, end: int
) -> DataLoader[Any]:
    """Return batches of the steps from ``first`` to ``end``, in an order that no number of workers changes.

    accelerate hands every process each n-th batch, so that n processes see together what one would see of
    batches n times as large.
    """
    size = task.items_per_batch()
    per_step = size * recipe.hardware.accumulation * accelerator.num_processes
    data = task.examples(recipe.schedule.steps * per_step)
    return DataLoader(
        Subset(data, range(first * per_step, end * per_step)),
        batch_size=size,
        collate_fn=task.collate,
        num_workers=recipe.hardware.workers,
        pin_memory=accelerator.device.type == "cuda",
        persistent_workers=recipe.hardware.workers > 0,
    )


def report(
    accelerator: Accelerator,
    recipe: Recipe,
    step: int,
    window: list[dict[str, float]],
    pace: float,
    log: Log,
) -> None:
    """Log the means of the parts of the loss since the last report."""
    names = list(dict.fromkeys(name for parts in window for name in parts))
    means = {name: float(np.mean([w[name] for w in window if name in w])) for name in names}
    rate = learning_rate(recipe, step - 1)
    accelerator.log({f"loss/{name}": value for name, value in means.items()} | {"rate": rate}, step=step)
    if accelerator.is_main_process:
        shown = {name: round(value, 4) for name, value in means.items()}
        log(json.dumps({"step": step, **shown, "seconds_per_step": round(pace, 3)}))


def _out_of_time(accelerator: Accelerator, spent: float, seconds: float) -> bool:
    """Whether the main process is out of time: all must stop at the same step."""
    if math.isinf(seconds):
        return False
    late = torch.tensor([float(spent >= seconds)], device=accelerator.device)
    return bool(accelerator.reduce(late, "sum").item() > 0)


def _installed(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None

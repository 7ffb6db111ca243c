"""All that a run resumes from: weights, their EMA, the optimizer's moments and the step; in one file.

Where every process holds all weights (one process, DDP) the main one writes the file. Where they are divided
(FSDP, DeepSpeed) accelerate writes a folder, in which each process has its part.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedType
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..boundary.files import written
from .config import Optimizer, Recipe
from .upgrade import read_run

CHECKPOINT = "checkpoint.safetensors"
FOLDER = "checkpoint"
"""Of accelerate's files, where weights are divided."""
DIVIDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def parameter_groups(system: nn.Module, settings: Optimizer) -> list[dict[str, Any]]:
    """Return AdamW's groups: by learning-rate multiplier, and with or without weight decay."""
    multipliers = (
        ("portrait.refiner.", settings.refiner_multiplier),
        ("portrait.hifi_net.", settings.hifi_net_multiplier),
        ("portrait.identity_attention.", settings.attention_multiplier),
        ("", settings.base_multiplier),
    )
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in system.named_parameters():
        if parameter.requires_grad:
            multiplier = next(value for prefix, value in multipliers if name.startswith(prefix))
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((multiplier, decay), []).append(parameter)
    return [
        {"params": found, "weight_decay": decay, "multiplier": multiplier}
        for (multiplier, decay), found in groups.items()
    ]


class Checkpoints:
    """What changes in a run, and how it is kept.

    Parameters
    ----------
    accelerator
        Its processes take part.
    folder
        Of the run.
    recipe
        Written into the file's metadata.
    objective, optimizer
        As ``accelerator.prepare`` returned them.
    constants
        Tensors that do not change but belong to the run, such as the tiny model's codec.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        folder: Path,
        recipe: Recipe,
        objective: nn.Module,
        optimizer: Any,
        constants: Mapping[str, Tensor],
    ) -> None:
        self.accelerator, self.folder, self.recipe = accelerator, folder, recipe
        self.objective, self.optimizer, self.constants = objective, optimizer, constants
        system: Any = accelerator.unwrap_model(objective).system
        trained = [(n, p) for n, p in system.named_parameters() if p.requires_grad]
        self.names = [name for name, _ in trained]
        self.parameters = [parameter for _, parameter in trained]
        self.ema = EMAModel(self.parameters, decay=recipe.optimizer.ema, foreach=True)
        self.step = 0
        self.divided = accelerator.distributed_type in DIVIDED

    def advance(self) -> None:
        """Note that an optimizer step was taken, and average."""
        self.step += 1
        self.ema.step(self.parameters)

    @contextlib.contextmanager
    def ema_weights(self) -> Iterator[None]:
        """Use the EMA weights for a while."""
        self.ema.store(self.parameters)
        self.ema.copy_to(self.parameters)
        try:
            yield
        finally:
            self.ema.restore(self.parameters)

    def ema_state(self) -> dict[str, Tensor]:
        """Return the EMA weights by name in the system, on the CPU; every process must call it."""
        if not self.divided:
            pairs = zip(self.names, self.ema.shadow_params, strict=True)
            return {name: value.detach().float().cpu() for name, value in pairs}
        with self.ema_weights():
            state = self.accelerator.get_state_dict(self.objective)
        return {n: state[f"system.{n}"].detach().float().cpu() for n in self.names if f"system.{n}" in state}

    def save(self) -> None:
        """Write everything, atomically; every process must call it."""
        if self.divided:
            self._save_divided()
            return
        if self.accelerator.is_main_process:
            with written(self.folder / CHECKPOINT) as part:
                save_file(self._tensors(), part, {"step": str(self.step), "recipe": self.recipe.to_json()})
        self.accelerator.wait_for_everyone()

    def restore(self) -> bool:
        """Continue from what the folder holds; returns whether it holds anything.

        Raises
        ------
        ValueError
            It was made with other sizes.
        """
        if self.divided:
            return self._restore_divided()
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return False
        self.step, stored = read_run(path)
        for name, parameter, average in zip(self.names, self.parameters, self.ema.shadow_params, strict=True):
            if stored.get(f"weight/{name}", torch.empty(0)).shape != parameter.shape:
                raise ValueError(
                    f"{path}: made with other sizes ({name}); use another folder or the same recipe"
                )
            parameter.data.copy_(stored[f"weight/{name}"])
            average.copy_(stored[f"ema/{name}"])
        for name, value in self.constants.items():
            if name in stored:
                value.copy_(stored[name])
        self._restore_moments(stored)
        self.ema.optimization_step = self.step
        return True

    def _tensors(self) -> dict[str, Tensor]:
        state = self._optimizer().state
        found: dict[str, Tensor] = dict(self.constants)
        for name, parameter, average in zip(self.names, self.parameters, self.ema.shadow_params, strict=True):
            found |= {f"weight/{name}": parameter.detach(), f"ema/{name}": average}
            found |= {f"{key}/{name}": value for key, value in state.get(parameter, {}).items()}
        scaler = self.accelerator.scaler
        if scaler is not None:
            found |= {f"scaler/{k}": torch.tensor(float(v)) for k, v in scaler.state_dict().items()}
        return {key: value.detach().cpu().contiguous() for key, value in found.items()}

    def _restore_moments(self, stored: Mapping[str, Tensor]) -> None:
        state = self._optimizer().state
        for name, parameter in zip(self.names, self.parameters, strict=True):
            moments = {k: stored[f"{k}/{name}"] for k in MOMENTS if f"{k}/{name}" in stored}
            if moments:
                # The count of steps lies where AdamW puts it: fused, beside the weights.
                state[parameter] = {k: v.clone().to(parameter.device) for k, v in moments.items()}
        scaler = self.accelerator.scaler
        kept = {k[7:]: float(v) for k, v in stored.items() if k.startswith("scaler/")}
        if scaler is not None and kept:
            scaler.load_state_dict(
                {k: int(v) if k in ("growth_interval", "_growth_tracker") else v for k, v in kept.items()}
            )

    def _optimizer(self) -> Any:
        return getattr(self.optimizer, "optimizer", self.optimizer)

    def _averages(self, folder: Path) -> Path:
        return folder / f"ema-{self.accelerator.process_index:04d}.safetensors"

    def _save_divided(self) -> None:
        new, old = self.folder / f"{FOLDER}.new", self.folder / f"{FOLDER}.old"
        self.accelerator.save_state(str(new))
        local = [getattr(t, "_local_tensor", t).detach().cpu().clone() for t in self.ema.shadow_params]
        save_file({str(i): t for i, t in enumerate(local)}, self._averages(new), {"step": str(self.step)})
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            shutil.rmtree(old, ignore_errors=True)
            if (self.folder / FOLDER).is_dir():
                (self.folder / FOLDER).rename(old)
            new.rename(self.folder / FOLDER)
            shutil.rmtree(old, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    def _restore_divided(self) -> bool:
        folder = next((f for f in (self.folder / FOLDER, self.folder / f"{FOLDER}.old") if f.is_dir()), None)
        if folder is None:
            return False
        averages = self._averages(folder)
        if not averages.is_file():
            raise ValueError(f"{folder}: made by another number of processes; go on with as many")
        self.accelerator.load_state(str(folder))
        stored = load_file(averages)
        for i, average in enumerate(self.ema.shadow_params):
            getattr(average, "_local_tensor", average).copy_(stored[str(i)])
        from safetensors import safe_open

        with safe_open(averages, "pt") as opened:
            self.step = int(opened.metadata()["step"])
        self.ema.optimization_step = self.step
        return True

"""All that a training run resumes from: weights, their EMA, the optimizer's moments and the step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..boundary.files import written
from .config import Optimizer
from .system import TinySystem
from .upgrade import read_run

CHECKPOINT = "checkpoint.safetensors"


class TrainingState:
    """What changes in a run.

    Parameters
    ----------
    system : TinySystem
        Its parameters that require gradients are trained.
    settings : Optimizer
        Of AdamW and EMA.
    """

    def __init__(self, system: TinySystem, settings: Optimizer) -> None:
        self.system, self.settings = system, settings
        self.names = [n for n, p in system.named_parameters() if p.requires_grad]
        parameters = dict(system.named_parameters())
        self.parameters = [parameters[n] for n in self.names]
        groups = [
            {
                "params": [
                    p
                    for n, p in zip(self.names, self.parameters, strict=True)
                    if (p.ndim > 1) == decays and n.startswith("portrait.") == new
                ],
                "weight_decay": settings.weight_decay if decays else 0.0,
                "multiplier": 1.0 if new else settings.base_multiplier,
            }
            for decays in (True, False)
            for new in (True, False)
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)
        self.ema = {n: p.detach().clone() for n, p in zip(self.names, self.parameters, strict=True)}
        self.step = 0

    def apply(self, loss: Tensor, learning_rate: float) -> None:
        """Take one optimizer step down a loss, and average."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group["multiplier"]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        moved = [p for p in self.parameters if p.grad is not None]
        torch.nn.utils.clip_grad_norm_(moved, self.settings.clip)
        self.optimizer.step()
        self.step += 1
        decay = min(self.settings.ema, self.step / (self.step + 20))
        with torch.no_grad():
            torch._foreach_lerp_([self.ema[n] for n in self.names], list[Tensor](self.parameters), 1 - decay)

    def swap_ema(self) -> None:
        """Exchange weights and EMA weights; doing it twice restores."""
        for name, parameter in zip(self.names, self.parameters, strict=True):
            before = parameter.detach().clone()
            parameter.data.copy_(self.ema[name])
            self.ema[name].copy_(before)

    @contextlib.contextmanager
    def ema_weights(self) -> Iterator[None]:
        """Use the EMA weights for a while."""
        self.swap_ema()
        try:
            yield
        finally:
            self.swap_ema()

    def save(self, folder: Path, recipe: str) -> None:
        """Write everything, and the codec, atomically; ``recipe`` is JSON for the metadata."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in zip(self.names, self.parameters, strict=True):
            tensors[f"weight/{name}"] = parameter.detach()
            tensors[f"ema/{name}"] = self.ema[name]
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{key}/{name}"] = value
        for name, value in self.system.codec.state_dict().items():
            tensors[f"codec/{name}"] = value
        tensors = {k: v.contiguous() for k, v in tensors.items()}
        with written(folder / CHECKPOINT) as part:
            save_file(tensors, part, {"step": str(self.step), "recipe": recipe})

    def restore(self, folder: Path) -> None:
        """Continue from a checkpoint; the codec is read with it.

        Raises
        ------
        ValueError
            If it was made with other sizes.
        """
        path = folder / CHECKPOINT
        self.step, stored = read_run(path)
        self.system.codec.load_state_dict({k[6:]: v for k, v in stored.items() if k.startswith("codec/")})
        for name, parameter in zip(self.names, self.parameters, strict=True):
            if stored.get(f"weight/{name}", torch.empty(0)).shape != parameter.shape:
                raise ValueError(
                    f"{path}: made with other sizes ({name}); use another folder or the same recipe"
                )
            parameter.data.copy_(stored[f"weight/{name}"])
            self.ema[name].copy_(stored[f"ema/{name}"])
            moments = {
                k: stored[f"{k}/{name}"] for k in ("step", "exp_avg", "exp_avg_sq") if f"{k}/{name}" in stored
            }
            if moments:
                self.optimizer.state[parameter] = {k: v.clone() for k, v in moments.items()}

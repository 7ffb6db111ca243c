"""Files of runs that were made under earlier names: recipes with flat fields, checkpoints with other keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from ..models.checkpoint import renamed_weight
from ..tiny.base_file import upgrade_codec

NEVER = 100_000
"""Earlier recipes wrote a step beyond every run where they meant never."""
FIELDS = {
    "learning_rate": ("optimizer", "learning_rate"),
    "base_rate": ("optimizer", "base_multiplier"),
    "weight_decay": ("optimizer", "weight_decay"),
    "clip": ("optimizer", "clip"),
    "ema": ("optimizer", "ema"),
    "steps": ("schedule", "steps"),
    "warmup": ("schedule", "warmup"),
    "hold": ("schedule", "hold"),
    "final_rate": ("schedule", "final"),
    "checkpoint_every": ("schedule", "checkpoint_every"),
    "sheet_every": ("schedule", "sheet_every"),
    "batch": ("data", "batch"),
    "reference_counts": ("data", "reference_counts"),
    "word_dropout": ("data", "word_dropout"),
    "base_only": ("data", "identity_dropout"),
    "noisy_end": ("data", "noise_power"),
    "alignment": ("data", "alignment"),
    "base_steps": ("stage", "identity_from"),
    "draft_steps": ("stage", "denoising_from"),
    "freeze_base": ("stage", "freeze_base"),
    "base_alone": ("stage", "transfer"),
    "zero_start": ("stage", "zero_layer_scale"),
    "face_weight": ("losses", "face_weight"),
    "channel_power": ("losses", "channel_power"),
    "snr_limit": ("losses", "min_snr_gamma"),
    "identity_loss": ("losses", "identity"),
    "landmark_loss": ("losses", "landmarks"),
    "identity_share": ("losses", "picture_share"),
    "identity_max_noise": ("losses", "picture_max_noise"),
    "extra_losses_from": ("losses", "pictures_from"),
    "texture_loss": ("losses", "texture"),
    "draft_loss": ("losses", "coarse_x0"),
    "draft_identities": ("losses", "coarse_x0_identities"),
    "own_pictures": ("rollout", "people"),
    "own_every": ("rollout", "every"),
    "own_cfg": ("rollout", "cfg"),
    "own_weight": ("rollout", "weight"),
    "shipped_pull": ("export", "x0_guidance"),
}
"""Flat fields of earlier recipes, and group and field that took their place."""


def upgrade_recipe(content: dict[str, Any]) -> dict[str, Any]:
    """Return an earlier recipe's content in groups; what has groups already is returned as it is."""
    if not set(content) & set(FIELDS):
        return content
    found: dict[str, Any] = {}
    for key, value in content.items():
        if key not in FIELDS:
            found[key] = value
            continue
        group, name = FIELDS[key]
        found.setdefault(group, {})[name] = _upgrade_value(name, value)
    return found


def _upgrade_value(name: str, value: Any) -> Any:
    if name == "transfer":
        return "base" if value else "all"
    if name in ("sheet_every", "identity_from", "denoising_from", "pictures_from"):
        return None if value >= NEVER else value
    return value


def read_run(path: Path) -> tuple[int, dict[str, Tensor]]:
    """Step and tensors of a run's checkpoint, under today's names."""
    with safe_open(str(path), "pt") as file:
        step = int((file.metadata() or {}).get("step", 0))
        stored = {_upgrade_key(k): file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a mapping
    return step, stored


def _upgrade_key(key: str) -> str:
    part, name = key.split("/", 1)
    part = {"average": "ema"}.get(part, part)
    return f"{part}/{upgrade_codec(name) if part == 'codec' else renamed_weight(name)}"

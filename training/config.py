"""Everything that decides a training run, in one JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..models.config import HiFiNetConfig

RECIPES = Path(__file__).parent / "recipes"
DRAFT_PICTURES = 4


@dataclass(frozen=True)
class Recipe:
    """A training run of the tiny model; equal recipes on equal data give equal weights on one machine.

    ``steps`` are optimiser steps of ``batch`` people each. ``base_only`` is the share of samples that the
    base must paint without references; ``base_rate`` is a factor on the base's learning rate; ``base_steps``
    steps at the start train the base alone; ``freeze_base`` keeps it as it is afterwards. ``noisy_end`` above
    1 prefers noisy time steps.
    ``reference_counts`` are the odds of 1, 2, ... references. ``channel_power``: a latent channel weighs as
    its share in the picture to that power. ``zero_start``: layers that start at zero, so that an untrained
    network changes nothing, start at this fraction of the usual random start instead; right when base and
    network learn together from nothing. ``identity_loss`` and ``landmark_loss`` act on clean pictures
    predicted from ``identity_share`` of the batch, where the noise is below ``identity_max_noise``,
    from step ``extra_losses_from`` on; every ``own_every`` steps they act instead on what the model
    predicts on its way of painting ``own_pictures`` of the batch from noise alone, with guidance ``own_cfg``:
    there all likeness comes from the references. Gradients are larger there, so ``own_weight`` is a factor.
    ``texture_loss`` and ``draft_loss`` act on the fused unwrapped heads and on the drafts of
    ``DRAFT_PICTURES`` people of each batch, and the identity loss on ``draft_identities`` drafts where it
    does not act on own pictures; for the first ``draft_steps`` nothing else is trained, on all of the batch.
    ``shipped_pull`` is the network's ``x0_guidance_gain`` when it is evaluated or shipped, not in training.
    ``base_alone``: what another run gives to start from is its base; the identity parts start anew.
    ``alignment`` false takes all canonical coordinates away, for ablations. ``network`` changes fields of the
    tiny `HiFiNetConfig`.
    """

    name: str = "tiny"
    seed: int = 0
    steps: int = 5000
    batch: int = 12
    learning_rate: float = 8e-4
    base_rate: float = 1.0
    final_rate: float = 0.02
    warmup: int = 100
    hold: float = 0.5
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.998
    base_steps: int = 0
    freeze_base: bool = False
    base_only: float = 0.125
    noisy_end: float = 1.6
    snr_limit: float = 20.0
    face_weight: float = 2.0
    channel_power: float = 0.7
    zero_start: float = 0.0
    base_alone: bool = False
    word_dropout: float = 0.12
    reference_counts: tuple[float, ...] = (0.3, 0.25, 0.2, 0.2, 0.05)
    identity_loss: float = 0.0
    identity_share: float = 0.25
    identity_max_noise: float = 0.5
    landmark_loss: float = 0.0
    texture_loss: float = 0.0
    draft_loss: float = 0.0
    draft_steps: int = 0
    draft_identities: int = 0
    shipped_pull: float = 1.0
    extra_losses_from: int = 0
    own_pictures: int = 0
    own_every: int = 1
    own_cfg: float = 2.5
    own_weight: float = 0.2
    alignment: bool = True
    checkpoint_every: int = 200
    sheet_every: int = 800
    network: tuple[tuple[str, Any], ...] = ()

    def trained_network(self) -> HiFiNetConfig:
        """Sizes of the network in training."""
        return replace(HiFiNetConfig.tiny(), **dict(self.network))

    def shipped_network(self) -> HiFiNetConfig:
        """Sizes of the network that is evaluated or shipped."""
        return replace(self.trained_network(), x0_guidance_gain=self.shipped_pull)

    @classmethod
    def load(cls, path: Path | str) -> Recipe:
        """Read a recipe; a bare name is one of the recipes that come with the project.

        Raises
        ------
        ValueError
            If the file is missing, no JSON object, or has unknown fields.
        """
        file = Path(path)
        if not file.is_file() and (RECIPES / f"{path}.json").is_file():
            file = RECIPES / f"{path}.json"
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: not a recipe ({error}); recipes are in training/recipes") from None
        unknown = sorted(set(data) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"{file.name}: unknown fields {', '.join(unknown)}")
        data["network"] = tuple(sorted((data.get("network") or {}).items()))
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**values)

    def to_json(self) -> str:
        """JSON with sorted keys, readable by `load`."""
        return json.dumps(asdict(self) | {"network": dict(self.network)}, sort_keys=True, indent=2)

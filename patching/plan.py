"""What a step is, and what the patches do in it: data that is made before the UNet runs and read within."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from .masks import MaskPyramid
from .patch import HiFiPatch
from .regions import Region

if TYPE_CHECKING:
    from ..models.hifi_net import Prepared
    from ..models.portrait import HiFiPortrait

KEY = "hifi_portrait"
"""Key of everything that Apply HiFi-Net registers with a MODEL."""
RUN_KEY = "hifi_portrait_run"
"""Where the `run_state.SamplingRun` lies in ``transformer_options``."""
CALL_KEY = "hifi_portrait_call"
"""Where the `Call` lies in ``transformer_options``."""

LayerKey = tuple[str, int, int]
"""Block (``input``, ``middle``, ``output``), its number, and the transformer block within."""
BlockReplacements = Mapping[tuple[str, int], Callable[..., Tensor]]
"""Attention replacements that others registered for whole blocks."""


class Row(NamedTuple):
    """What one row of the UNet's batch is."""

    positive: bool
    """False for the unconditional half."""
    latent: int
    """Index of the picture in the whole batch."""
    region: Region | None
    """Where in the picture the row lies; None when it cannot be told."""


@dataclass(frozen=True)
class StepContext:
    """What all parts of a plan need to know of one call of the UNet."""

    sigma: float
    size: tuple[int, int]
    """Height and width of the whole latent."""
    device: torch.device
    dtype: torch.dtype
    """Type that the UNet computes in."""
    percent_to_sigma: Callable[[float], float]
    """The MODEL's schedule."""
    network: Callable[[HiFiPatch], HiFiPortrait]
    """The networks of a patch that compute where the UNet does."""
    prediction_type: str
    """What the base predicts: ``v``, ``eps``, or ``other``."""
    block_replacements: BlockReplacements

    @property
    def place(self) -> tuple[torch.device, torch.dtype]:
        """Where and in what type the networks compute; part of the keys of what is kept."""
        return self.device, self.dtype


class LayerEntry(NamedTuple):
    """What one attention layer adds for one patch."""

    keys: Tensor
    """``(R, K, width)`` of the identity tokens."""
    values: Tensor
    """``(R, K, width)``."""
    gain: float
    """Factor on the layer's output."""
    bias: Tensor | None = None
    """``(1, K)`` added to the logits of the tokens."""


@dataclass(frozen=True)
class Injection:
    """One patch's part in the attention of one call."""

    rows: slice | Tensor | None
    """Rows of the batch that it acts on; None for all."""
    layers: Mapping[LayerKey, LayerEntry]
    masks: MaskPyramid | None


@dataclass(frozen=True)
class ResidualJob:
    """One run of HiFi-Net within one call."""

    network: HiFiPortrait
    rows: slice | Tensor | None
    """Rows of the batch that it acts on; None for all."""
    prepared: Prepared
    """What of HiFi-Net is constant over the run; batch R, or 1 where all rows see the same."""
    fusion: float
    """Strength of fusion and texture."""
    gains: tuple[float, ...]
    """Factor on each down residual, then on the middle one."""
    guidance: float
    """Factor on the x0 guidance weight."""
    masks: MaskPyramid | None


@dataclass(frozen=True)
class Call:
    """What all patches do in one call of the UNet."""

    sigma: float
    prediction_type: str
    """What the base predicts: ``v``, ``eps``, or ``other``."""
    injections: Mapping[str, Injection]
    """By the uid of the patch."""
    jobs: tuple[ResidualJob, ...]
    block_replacements: BlockReplacements
    add_residuals: Callable[..., Any]
    """`residuals.add_residuals`, kept out of compilation where there is any."""
    guide: Callable[..., Tensor]
    """`residuals.guide_to_coarse_x0`, likewise."""


@dataclass(frozen=True)
class CondBatch:
    """What the host is about to compute in one step: the latents and the conditionings' lists."""

    x: Tensor
    positive: tuple[bool, ...]
    """For each list of conditionings, whether it is a positive one."""
    areas: Mapping[tuple[int, object], object]
    """Area of a conditioning, by the index of its list and its id."""

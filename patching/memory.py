"""What a run of the patches takes of the device's memory, told to the host before it loads models.

The host makes room for its UNet's activations and for what ControlNets ask for; additional models it loads
without a word on what they compute. HiFi-Net's own activations need no room of their own: it has done its
work in each step before the UNet begins, in the memory that is free for the UNet. What stays while the UNet
runs does: the residuals, and what the run computes once and keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from comfy.controlnet import ControlBase

from ..models.memory import prepared_bytes, residual_bytes
from .blocks import UNetLayout
from .host import compute_dtype
from .patch import HiFiPatch
from .plan import KEY
from .run_cache import PREPARED_BYTES

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher


class Reservation(ControlBase):  # type: ignore[misc]
    """Stands among the ControlNets while the host adds up what they ask for; computes nothing."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def inference_memory_requirements(self, dtype: torch.dtype) -> int:
        """Return what is reserved, bytes."""
        return self.size

    def deepclone_multigpu(self, load_device: torch.device, autoregister: bool = False) -> Reservation:
        """Return another one; hosts that split the work among devices ask for it."""
        made = Reservation(self.size)
        if autoregister:
            self.multigpu_clones[load_device] = made
        return made


@dataclass(frozen=True)
class PrepareSampling:
    """The host's hook around the loading of models: reserves what the patches of a MODEL take."""

    patches: tuple[HiFiPatch, ...]
    layout: UNetLayout

    def __call__(
        self,
        executor: Any,
        model: ModelPatcher,
        noise_shape: Any,
        conds: Mapping[str, list[Any]],
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Any, Any, Any]:
        """Have the models loaded with one more in the queue of those who ask for memory."""
        size = run_bytes(self.patches, self.layout, model, tuple(noise_shape))
        asked = {**conds, KEY: [{"control": Reservation(size)}]}
        loaded, _, models = executor(model, noise_shape, asked, *args, **kwargs)
        return loaded, conds, models


def run_bytes(
    patches: tuple[HiFiPatch, ...], layout: UNetLayout, model: ModelPatcher, noise_shape: tuple[int, ...]
) -> int:
    """Return what stays on the device while the UNet runs, bytes.

    Parameters
    ----------
    patches
        Applied to the MODEL.
    layout
        Of its UNet.
    model
        The MODEL.
    noise_shape
        ``(B, C, h, w)`` of the latents. The host computes the conditional and the unconditional half at once
        where they fit, and so it is taken to be here.
    """
    latents, (height, width) = noise_shape[0], noise_shape[-2:]
    itemsize = compute_dtype(model.model).itemsize
    size = sum(_kept_bytes(patch, layout, latents, (height, width), itemsize) for patch in patches)
    acting = [patch.hifi_net.config for patch in patches if patch.residuals_wanted]
    if acting:
        # Those of all patches are added up in one.
        size += residual_bytes(acting[0], 2 * latents, height, width, itemsize)
    return size


def _kept_bytes(
    patch: HiFiPatch, layout: UNetLayout, latents: int, size: tuple[int, int], itemsize: int
) -> int:
    identity, config = patch.identity, patch.hifi_net.config
    tokens, details = identity.tokens.shape[1], identity.detail.tokens.shape[1]
    halves = 2 if patch.both_halves else 1
    total = 0
    if patch.attention_wanted:
        # With both halves in one batch, each row has a copy beside the two that are kept.
        copies = 2 + 2 * latents if patch.both_halves else 1
        total += sum(2 * tokens * layer.width * copies * itemsize for layer in layout.layers)
    if patch.residuals_wanted and patch.landmarks is not None:
        # Latents that see the same landmarks share one row.
        rows = 1 if len(patch.landmarks) == 1 else latents
        fused = details if patch.settings.fusion_strength else 0
        for tokens_of_half in (fused, 0)[:halves]:
            made = prepared_bytes(config, rows, *size, itemsize, tokens, tokens_of_half)
            total += min(made, made // rows + PREPARED_BYTES)
    if patch.mask is not None:
        total += 2 * halves * latents * size[0] * size[1] * torch.float32.itemsize
    return total

"""The host's hooks around sampling, from the outermost to the UNet itself.

=====================  ====================================================================
``outer_sample``       creates the run's state and drops it, be it by an error
``calc_cond_batch``    notes the latents, which conditionings are positive, and their areas
``apply_model``        finds out what each row of the batch is, and plans the call
``diffusion_model``    runs HiFi-Net and adds its residuals to ``control``
=====================  ====================================================================

The identity attention reads the plan (`IdentityAttention`). Planning happens outside of the UNet's
forward, so that ``torch.compile`` never sees it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .attention import IdentityAttention
from .blocks import UNetLayout
from .patch import HiFiPatch
from .regions import REGIONS_KEY, Region, area_region, locate
from .residuals import add_residuals, guide_to_coarse_x0
from .run_state import CALL_KEY, RUN_KEY, CondBatch, Row, RunState

_NEGATIVE_NAMES = ("negative", "uncond")


@dataclass(frozen=True)
class OuterSample:
    """Creates the run's state for all patches of a MODEL, and drops it."""

    patches: tuple[HiFiPatch, ...]
    layout: UNetLayout

    def __call__(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the sampling within a state of its own."""
        guider = executor.class_obj
        options = guider.model_options["transformer_options"]
        state = RunState(self.patches, self.layout, guider)
        self._warn_of_lost_layers(state, options)
        options[RUN_KEY] = state
        try:
            return executor(*args, **kwargs)
        finally:
            options.pop(RUN_KEY, None)
            state.close()

    def _warn_of_lost_layers(self, state: RunState, options: dict[str, Any]) -> None:
        if not any(patch.attention_wanted for patch in self.patches):
            return
        replacements = options.get("patches_replace", {}).get("attn2", {})
        weights = [patch.settings.block_weights for patch in self.patches if patch.attention_wanted]
        lost = 0
        for layer in self.layout.layers:
            wanted = any(groups[layer.group] != 0.0 for groups in weights)
            found = replacements.get((layer.block, layer.number, layer.depth))
            lost += wanted and not isinstance(found, IdentityAttention)
        if lost:
            state.warn_once(
                f"Apply HiFi-Net: a node after it replaced the attention of {lost} of "
                f"{len(self.layout.layers)} layers; put Apply HiFi-Net after that node"
            )


def calc_cond_batch(
    executor: Any, model: Any, conds: list, x_in: Tensor, timestep: Tensor, model_options: dict[str, Any]
) -> Any:
    """Note the latents, which lists of conditionings are positive, and the conditionings' areas."""
    state: RunState | None = model_options.get("transformer_options", {}).get(RUN_KEY)
    if state is not None:
        areas = {
            (index, cond.get("uuid")): cond.get("area")
            for index, part in enumerate(conds)
            for cond in part or ()
        }
        state.batch = CondBatch(x_in, _positives(conds, getattr(state.guider, "conds", None)), areas)
    return executor(model, conds, x_in, timestep, model_options)


def _positives(conds: list, named: dict[str, list] | None) -> tuple[bool, ...]:
    """Return which lists of conditionings are positive.

    The host numbers them, but what a number means is up to the guider and to guidance nodes: perturbed
    attention computes the positive list alone, self-attention guidance the negative one alone, and the
    dual guider puts the negative first. So the lists are recognised by their conditionings' ids.
    """
    roles = [index == 0 for index in range(len(conds))]
    ids = {
        frozenset(cond.get("uuid") for cond in part): not any(word in name for word in _NEGATIVE_NAMES)
        for name, part in (named or {}).items()
    }
    for index, part in enumerate(conds):
        roles[index] = ids.get(frozenset(cond.get("uuid") for cond in part or ()), roles[index])
    return tuple(roles)


def apply_model(
    executor: Any,
    x: Tensor,
    t: Tensor,
    c_concat: Any = None,
    c_crossattn: Any = None,
    control: Any = None,
    transformer_options: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Find out what each row of the batch is, and plan what the patches do in this call."""
    options = {} if transformer_options is None else transformer_options
    state: RunState | None = options.get(RUN_KEY)
    if state is not None:
        _keep_out_of_compilation()
        model = executor.class_obj
        rows, size = batch_rows(state, x, options)
        attn2 = options.get("patches_replace", {}).get("attn2", {})
        options[CALL_KEY] = state.call(
            rows,
            size,
            state.sigma(options.get("sigmas", t)),
            model.model_sampling,
            x.device,
            model.manual_cast_dtype or model.get_dtype(),
            {key: replacement for key, replacement in attn2.items() if len(key) == 2},
        )
    try:
        return executor(x, t, c_concat, c_crossattn, control, options, **kwargs)
    finally:
        options.pop(CALL_KEY, None)


def batch_rows(
    state: RunState, x: Tensor, options: dict[str, Any]
) -> tuple[tuple[Row, ...], tuple[int, int]]:
    """Return what each row of ``x`` is, and the size of the whole latent.

    The batch holds, from the outermost: tiles (of packs that tile), conditionings, latents.
    """
    batch = state.batch
    chunks: list[int] = options.get("cond_or_uncond") or [0]
    uuids = options.get("uuids") or [None] * len(chunks)
    latents = max(1, x.shape[0] // len(chunks)) if batch is None else batch.x.shape[0]
    size = tuple(x.shape[-2:] if batch is None else batch.x.shape[-2:])
    tiles = max(1, x.shape[0] // (len(chunks) * latents))
    if tiles * len(chunks) * latents != x.shape[0]:
        tiles, latents = 1, max(1, x.shape[0] // len(chunks))
    indices = _latent_indices(options, latents)
    told = options.get(REGIONS_KEY)

    rows = []
    for row in range(x.shape[0]):
        tile, within = divmod(row, len(chunks) * latents)
        chunk, latent = divmod(within, latents)
        chunk = min(chunk, len(chunks) - 1)
        index = chunks[chunk]
        positive = index == 0 if batch is None or index >= len(batch.positive) else batch.positive[index]
        region: Region | None
        if told is not None and tile < len(told):
            region = Region(*told[tile])
        elif batch is None:
            region = Region(0, 0, *size)
        else:
            region = area_region(batch.areas.get((index, uuids[chunk])), *size)
            if (region.height, region.width) != tuple(x.shape[-2:]):
                found = locate(x[row], region.cut(batch.x[latent]))
                region = found and Region(found.y + region.y, found.x + region.x, found.height, found.width)
                if region is None:
                    state.warn_once(
                        "Apply HiFi-Net: a tile's place in the picture cannot be told; "
                        "it is sampled without landmarks and masked identities"
                    )
        rows.append(Row(positive, indices[latent], region))
    return tuple(rows), (size[0], size[1])


def _latent_indices(options: dict[str, Any], count: int) -> list[int]:
    """Return which pictures of the whole batch these are: the host's context windows show a part of it."""
    window = options.get("context_window")
    indices = getattr(window, "index_list", None)
    if getattr(window, "dim", 0) != 0:
        indices = None
    if indices is None:  # AnimateDiff-Evolved's sliding windows
        indices = (options.get("ad_params") or {}).get("sub_idxs")
    if indices is None or len(indices) != count:
        return list(range(count))
    return [int(index) for index in indices]


def diffusion_model(
    executor: Any,
    x: Tensor,
    timesteps: Tensor | None = None,
    context: Tensor | None = None,
    y: Tensor | None = None,
    control: Any = None,
    transformer_options: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Run HiFi-Net, add its residuals to ``control``, and guide the prediction towards its coarse x0."""
    options = {} if transformer_options is None else transformer_options
    call = options.get(CALL_KEY)
    if call is None or not call.jobs:
        return executor(x, timesteps, context, y, control, options, **kwargs)
    control = _residuals(call, x, timesteps, y, control)
    prediction = executor(x, timesteps, context, y, control, options, **kwargs)
    return _guide(call, x, prediction)


_residuals: Any = add_residuals
_guide: Any = guide_to_coarse_x0


def _keep_out_of_compilation() -> None:
    # HiFi-Net is no part of the module that TorchCompileModel compiles, and its inputs depend on the call;
    # without it the UNet stays one graph. torch._dynamo takes seconds to import, so it is asked only where
    # something else has imported it.
    global _residuals, _guide
    if _residuals is add_residuals and "torch._dynamo" in sys.modules:
        _residuals = torch.compiler.disable(add_residuals)
        _guide = torch.compiler.disable(guide_to_coarse_x0)

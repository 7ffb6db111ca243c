"""The host's hooks around sampling, from the outermost to the UNet itself.

=====================  ====================================================================
``outer_sample``       creates the run's state and drops it, be it by an error
``prepare_sampling``   reserves memory before the host loads models (`memory.PrepareSampling`)
``calc_cond_batch``    notes the latents, which conditionings are positive, and their areas
``apply_model``        finds out what each row of the batch is, and plans the call
``diffusion_model``    runs HiFi-Net and adds its residuals to ``control``
=====================  ====================================================================

The identity attention reads the plan (`IdentityAttention`). Planning happens outside of the UNet's
forward, so that ``torch.compile`` never sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .attention import IdentityAttention
from .blocks import UNetLayout
from .host import compute_dtype, module_beside, prediction_type, window_indices
from .patch import HiFiPatch
from .plan import CALL_KEY, KEY, RUN_KEY, Call, CondBatch, Row, StepContext
from .regions import REGIONS_KEY, Region, area_region, locate
from .run_state import SamplingRun

if TYPE_CHECKING:
    from ..models.portrait import HiFiPortrait

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
        run = SamplingRun(self.patches, self.layout, guider)
        self._warn_of_lost_layers(run, options)
        options[RUN_KEY] = run
        try:
            return executor(*args, **kwargs)
        finally:
            options.pop(RUN_KEY, None)
            run.close()

    def _warn_of_lost_layers(self, run: SamplingRun, options: dict[str, Any]) -> None:
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
            run.warnings.once(
                f"Apply HiFi-Net: a node after it replaced the attention of {lost} of "
                f"{len(self.layout.layers)} layers; put Apply HiFi-Net after that node"
            )


def calc_cond_batch(
    executor: Any, model: Any, conds: list[Any], x_in: Tensor, timestep: Tensor, model_options: dict[str, Any]
) -> Any:
    """Note the latents, which lists of conditionings are positive, and the conditionings' areas."""
    run: SamplingRun | None = model_options.get("transformer_options", {}).get(RUN_KEY)
    if run is not None:
        areas = {
            (index, cond.get("uuid")): cond.get("area")
            for index, part in enumerate(conds)
            for cond in part or ()
        }
        run.batch = CondBatch(x_in, _positives(conds, getattr(run.guider, "conds", None)), areas)
    return executor(model, conds, x_in, timestep, model_options)


def _positives(conds: list[Any], named: dict[str, list[Any]] | None) -> tuple[bool, ...]:
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
    run: SamplingRun | None = options.get(RUN_KEY)
    if run is not None:
        rows, size = batch_rows(run, x, options)
        step = step_context(run, executor.class_obj, x, t, options, size)
        options[CALL_KEY] = run.state(executor.class_obj).planner.plan(rows, step)
    try:
        return executor(x, t, c_concat, c_crossattn, control, options, **kwargs)
    finally:
        options.pop(CALL_KEY, None)


def step_context(
    run: SamplingRun, model: Any, x: Tensor, t: Tensor, options: dict[str, Any], size: tuple[int, int]
) -> StepContext:
    """Return what all parts of a plan need to know of this call of the host's ``model``."""
    state, sampling = run.state(model), model.model_sampling
    attn2 = options.get("patches_replace", {}).get("attn2", {})
    return StepContext(
        sigma=state.sigma(options.get("sigmas", t)),
        size=size,
        device=x.device,
        dtype=compute_dtype(model),
        percent_to_sigma=run.percent_to_sigma,
        network=partial(_network, model),
        prediction_type=state.cache.once("prediction type", (), lambda: prediction_type(sampling)),
        block_replacements={key: found for key, found in attn2.items() if len(key) == 2},
    )


def _network(model: Any, patch: HiFiPatch) -> HiFiPortrait:
    network: HiFiPortrait = module_beside(model, KEY, patch.hifi_net.patcher)
    return network


def batch_rows(
    run: SamplingRun, x: Tensor, options: dict[str, Any]
) -> tuple[tuple[Row, ...], tuple[int, int]]:
    """Return what each row of ``x`` is, and the size of the whole latent.

    The batch holds, from the outermost: tiles (of packs that tile), conditionings, latents.
    """
    batch = run.batch
    chunks: list[int] = options.get("cond_or_uncond") or [0]
    uuids = options.get("uuids") or [None] * len(chunks)
    latents = max(1, x.shape[0] // len(chunks)) if batch is None else batch.x.shape[0]
    size = tuple(x.shape[-2:] if batch is None else batch.x.shape[-2:])
    tiles = max(1, x.shape[0] // (len(chunks) * latents))
    if tiles * len(chunks) * latents != x.shape[0]:
        tiles, latents = 1, max(1, x.shape[0] // len(chunks))
    indices = window_indices(options, latents)
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
                    run.warnings.once(
                        "Apply HiFi-Net: a tile's place in the picture cannot be told; "
                        "it is sampled without landmarks and masked identities"
                    )
        rows.append(Row(positive, indices[latent], region))
    return tuple(rows), (size[0], size[1])


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
    call: Call | None = options.get(CALL_KEY)
    if call is None or not call.jobs:
        return executor(x, timesteps, context, y, control, options, **kwargs)
    control = call.add_residuals(call, x, timesteps, y, control)
    prediction = executor(x, timesteps, context, y, control, options, **kwargs)
    return call.guide(call, x, prediction)

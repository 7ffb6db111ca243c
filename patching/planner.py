"""Plans what each patch does in a call of the UNet: on which rows, how strongly, and where."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from .blocks import UNetLayout
from .host import outside_of_compilation
from .masks import MaskPyramid, fit_mask, row_masks
from .patch import HiFiPatch
from .plan import Call, Injection, LayerEntry, ResidualJob, Row, StepContext
from .preparation import NetworkInputs, SeenRow
from .regions import Region
from .residuals import add_residuals, guide_to_coarse_x0
from .run_cache import RunCache, RunWarnings
from .schedule import Schedule


class StepPlanner:
    """Plans the calls of one sampling run over all patches of a MODEL."""

    def __init__(
        self, patches: tuple[HiFiPatch, ...], layout: UNetLayout, cache: RunCache, warnings: RunWarnings
    ) -> None:
        self.patches = patches
        self.layout = layout
        self.cache = cache
        self.warnings = warnings
        self.inputs = NetworkInputs(layout, cache, warnings)

    def plan(self, rows: tuple[Row, ...], step: StepContext) -> Call:
        """Return what all patches do for these rows in this step."""
        injections: dict[str, Injection] = {}
        jobs: list[ResidualJob] = []
        for patch in self.patches:
            gain = self._schedule(patch, step).gain(step.sigma)
            if gain == 0.0:
                continue
            if patch.attention_wanted:
                injection = self._injection(patch, rows, gain, step)
                if injection is not None:
                    injections[patch.uid] = injection
            if patch.residuals_wanted:
                jobs += self._jobs(patch, rows, gain, step)
        if step.prediction_type == "other" and any(job.prepared.coarse_x0 is not None for job in jobs):
            self.warnings.once(
                "Apply HiFi-Net: this MODEL predicts neither noise nor v; the coarse x0 of the references "
                "does not guide it"
            )
        return Call(
            step.sigma,
            step.prediction_type,
            injections,
            tuple(jobs),
            step.block_replacements,
            outside_of_compilation(add_residuals),
            outside_of_compilation(guide_to_coarse_x0),
        )

    def _schedule(self, patch: HiFiPatch, step: StepContext) -> Schedule:
        s = patch.settings
        times = (s.start_percent, s.end_percent, s.fade_in, s.fade_out)
        return self.cache.once("schedule", (patch.uid,), partial(Schedule.of, *times, step.percent_to_sigma))

    def _injection(
        self, patch: HiFiPatch, rows: tuple[Row, ...], gain: float, step: StepContext
    ) -> Injection | None:
        # Without a mask, the place of a row does not matter to the attention.
        unmasked = patch.mask is None
        acting = [
            i for i, row in enumerate(rows) if _acts(patch, row) and (unmasked or row.region is not None)
        ]
        if not acting:
            return None
        strength = gain * patch.settings.identity_strength
        weights = patch.settings.block_weights
        positive = tuple(rows[i].positive for i in acting)
        # The strength is not part of what is kept: a fade would keep a copy for each of its steps.
        bias = self.inputs.identity(patch, step).bias
        layers = {
            (layer.block, layer.number, layer.depth): LayerEntry(
                keys, values, strength * weights[layer.group], bias
            )
            for layer, keys, values in self.inputs.row_keys_values(patch, positive, step)
        }
        masks = self._masks(patch, rows, acting, step)
        return Injection(_row_index(acting, len(rows), step.device), layers, masks)

    def _jobs(
        self, patch: HiFiPatch, rows: tuple[Row, ...], gain: float, step: StepContext
    ) -> list[ResidualJob]:
        weights = patch.settings.block_weights
        strength = gain * patch.settings.landmark_strength
        gains = tuple(strength * weights[group] for group in self.layout.residual_groups)
        network = step.network(patch)
        jobs = []
        for members, fusion in _fusion_groups(patch, rows):
            seen = tuple(SeenRow(rows[i].positive, *place) for i, place in _placed(rows, members))
            prepared = self.inputs.prepared(patch, fusion != 0.0, seen, step)
            masks = self._masks(patch, rows, members, step)
            row_index = _row_index(members, len(rows), step.device)
            # x0 guidance goes with the finest residual: both act on the base's last block.
            jobs.append(ResidualJob(network, row_index, prepared, fusion, gains, fusion * gains[0], masks))
        return jobs

    def _masks(
        self, patch: HiFiPatch, rows: tuple[Row, ...], acting: list[int], step: StepContext
    ) -> MaskPyramid | None:
        mask = patch.mask
        if mask is None:
            return None
        places = tuple(place for _, place in _placed(rows, acting))
        key = (patch.uid, step.size, step.device)

        def make() -> MaskPyramid:
            fitted = self.cache.once("mask", key, lambda: fit_mask(mask, *step.size).to(step.device))
            return MaskPyramid(row_masks(fitted, places))

        return self.cache.once("rows' masks", (*key, places), make)


def _acts(patch: HiFiPatch, row: Row) -> bool:
    return row.positive or patch.both_halves


def _fusion_groups(patch: HiFiPatch, rows: tuple[Row, ...]) -> list[tuple[list[int], float]]:
    """Return rows that HiFi-Net runs for, in groups of one strength of fusion; no group is empty."""
    acting = [i for i, row in enumerate(rows) if _acts(patch, row) and row.region is not None]
    fusion = patch.settings.fusion_strength if patch.identity.detail.tokens.shape[1] else 0.0
    groups = [(acting, fusion)]
    if fusion != 0.0:
        # The zero identity has no faces to look at: its rows run without fusion.
        groups = [
            ([i for i in acting if rows[i].positive], fusion),
            ([i for i in acting if not rows[i].positive], 0.0),
        ]
    return [group for group in groups if group[0]]


def _placed(rows: tuple[Row, ...], acting: list[int]) -> list[tuple[int, tuple[int, Region]]]:
    return [(i, (rows[i].latent, region)) for i in acting if (region := rows[i].region) is not None]


def _row_index(acting: list[int], count: int, device: torch.device) -> slice | Tensor | None:
    if len(acting) == count:
        return None
    if acting == list(range(acting[0], acting[-1] + 1)):
        return slice(acting[0], acting[-1] + 1)
    return torch.tensor(acting, device=device)

"""What exists only while a picture is sampled: caches of one run, and the plan of one call of the UNet.

A `RunState` is created when sampling starts and emptied when it ends, be it by an error. It travels in
the run's own copy of ``transformer_options``, so nothing outlives the run, nothing is global, and no
object that a MODEL holds is ever changed.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from .blocks import AttentionLayer, UNetLayout
from .masks import fit_mask, row_masks, scale_rows
from .patch import HiFiPatch
from .regions import Region
from .schedule import Schedule
from .target_maps import canvas_warning, picture_maps, row_maps

if TYPE_CHECKING:
    from ..models.hifi_net import Prepared
    from ..models.tokens import DetailTokens, TargetMaps

RUN_KEY = "hifi_portrait_run"
"""Where the `RunState` lies in ``transformer_options``."""
CALL_KEY = "hifi_portrait_call"
"""Where the `Call` lies in ``transformer_options``."""

_log = logging.getLogger(__name__)


class Row(NamedTuple):
    """What one row of the UNet's batch is."""

    positive: bool
    """False for the unconditional half."""
    latent: int
    """Index of the picture in the whole batch."""
    region: Region | None
    """Where in the picture the row lies; None when it cannot be told."""


class _Seen(NamedTuple):
    """What HiFi-Net's constant part depends on, for one row."""

    positive: bool
    latent: int
    region: Region


Places = tuple[tuple[int, Region], ...]

PREPARED_BYTES = 2**30
"""How much of HiFi-Net's constant part a run keeps beside what the current call needs.

A row takes about 100 MB with fusion on SDXL: enough for a batch and for most tiled pictures, and a bound on
memory for long videos in windows.
"""


class MaskPyramid:
    """The mask of some rows at the resolution of any layer, each size made once."""

    def __init__(self, masks: Tensor) -> None:
        self._sizes = {tuple(masks.shape[-2:]): masks}
        self._full = masks

    def at(self, height: int, width: int) -> Tensor:
        """Return ``(R, 1, height, width)``."""
        size = (height, width)
        if size not in self._sizes:
            self._sizes[size] = scale_rows(self._full, height, width)
        return self._sizes[size]


class LayerEntry(NamedTuple):
    """Keys and values ``(R, K, width)`` of the identity tokens at one layer, and the factor on its output."""

    keys: Tensor
    values: Tensor
    gain: float


@dataclass(frozen=True)
class Injection:
    """One patch's part in the attention of one call."""

    rows: slice | Tensor | None
    """Rows of the batch that it acts on; None for all."""
    layers: Mapping[tuple[str, int, int], LayerEntry]
    masks: MaskPyramid | None


@dataclass(frozen=True)
class ResidualJob:
    """One run of HiFi-Net within one call."""

    patch: HiFiPatch
    rows: slice | Tensor | None
    prepared: Prepared
    """What of HiFi-Net is constant over the run; batch R, or 1 where all rows see the same."""
    fusion: float
    gains: tuple[float, ...]
    """Factor on each down residual, then on the middle one."""
    guidance: float
    """Factor on the x0 guidance weight."""
    masks: MaskPyramid | None


@dataclass(frozen=True)
class Call:
    """What all patches do in one call of the UNet; made before it, only read within."""

    sigma: float
    kind: str
    """What the base predicts: ``v``, ``eps``, or ``other``."""
    injections: Mapping[str, Injection]
    jobs: tuple[ResidualJob, ...]
    block_replacements: Mapping[tuple[str, int], Callable[..., Tensor]]
    """Attention replacements that others registered for whole blocks."""


@dataclass(frozen=True)
class CondBatch:
    """What the host is about to compute in one step: the latents and the conditionings' lists."""

    x: Tensor
    positive: tuple[bool, ...]
    """For each list of conditionings, whether it is a positive one."""
    areas: Mapping[tuple[int, object], object]
    """Area of a conditioning, by the index of its list and its id."""


class PreparedIdentity(NamedTuple):
    """An identity on the run's device: its tokens, then the zero identity's where it is wanted."""

    tokens: Tensor
    detail: DetailTokens


class RunState:
    """Caches of one sampling run over all patches of a MODEL."""

    def __init__(self, patches: tuple[HiFiPatch, ...], layout: UNetLayout, guider: Any = None) -> None:
        self.patches = patches
        self.layout = layout
        self.guider = guider
        self.batch: CondBatch | None = None
        self.key_value_computations = 0
        """How often keys and values of a layer were computed; stays at the number of layers."""
        self.map_computations = 0
        """How often landmarks were drawn and mapped; once for each size and landmark."""
        self._sigma: tuple[Tensor, float] | None = None
        self._cache: dict[tuple, Any] = {}
        self._prepared_rows: OrderedDict[tuple, Prepared] = OrderedDict()

    def close(self) -> None:
        """Drop everything that the run made."""
        self._cache.clear()
        self._prepared_rows.clear()
        self._sigma = None
        self.batch = None
        self.guider = None

    def _cached(self, key: tuple, make: Callable[[], Any]) -> Any:
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]

    def warn_once(self, text: str) -> None:
        """Log a warning, once per run."""
        if ("warned", text) not in self._cache:
            self._cache["warned", text] = True
            _log.warning(text)

    def sigma(self, sigmas: Tensor) -> float:
        """Return the step's sigma; waits for the device once per step, not once per layer."""
        if self._sigma is None or self._sigma[0] is not sigmas:
            self._sigma = (sigmas, float(sigmas.flatten()[0]))
        return self._sigma[1]

    def call(
        self,
        rows: tuple[Row, ...],
        size: tuple[int, int],
        sigma: float,
        model_sampling: Any,
        device: torch.device,
        dtype: torch.dtype,
        block_replacements: Mapping[tuple[str, int], Callable[..., Tensor]],
    ) -> Call:
        """Return what all patches do for these rows at this sigma.

        Parameters
        ----------
        rows
            What each row of the batch is.
        size
            Height and width of the whole latent.
        """
        injections: dict[str, Injection] = {}
        jobs: list[ResidualJob] = []
        for patch in self.patches:
            to_sigma = model_sampling.percent_to_sigma
            schedule: Schedule = self._cached(("schedule", patch.uid), partial(_schedule, patch, to_sigma))
            gain = schedule.gain(sigma)
            if gain == 0.0:
                continue
            if patch.attention_wanted:
                injection = self._injection(patch, rows, size, gain, device, dtype)
                if injection is not None:
                    injections[patch.uid] = injection
            if patch.residuals_wanted:
                jobs += self._jobs(patch, rows, size, gain, device, dtype)
        kind = prediction_kind(model_sampling)
        if kind == "other" and any(job.prepared.coarse_x0 is not None for job in jobs):
            self.warn_once(
                "Apply HiFi-Net: this MODEL predicts neither noise nor v; the coarse x0 of the "
                "references does not guide it"
            )
        return Call(sigma, kind, injections, tuple(jobs), block_replacements)

    def _identity(self, patch: HiFiPatch, device: torch.device, dtype: torch.dtype) -> PreparedIdentity:
        def make() -> PreparedIdentity:
            tokens = patch.identity.tokens.to(device, dtype)
            if _both_halves(patch):
                tokens = torch.cat([tokens, patch.hifi_net.network.refiner.zero_tokens(tokens)])
            return PreparedIdentity(tokens, patch.identity.detail.to(device, dtype))

        return self._cached(("identity", patch.uid, device, dtype), make)

    def _keys_values(
        self, patch: HiFiPatch, device: torch.device, dtype: torch.dtype
    ) -> list[tuple[AttentionLayer, Tensor, Tensor]]:
        def make() -> list[tuple[AttentionLayer, Tensor, Tensor]]:
            tokens = self._identity(patch, device, dtype).tokens
            attention = patch.hifi_net.network.identity_attention
            made = []
            for layer in self.layout.layers:
                if patch.settings.block_weights[layer.group] != 0.0:
                    made.append((layer, *attention.keys_values(layer.index, tokens)))
                    self.key_value_computations += 1
            return made

        return self._cached(("keys and values", patch.uid, device, dtype), make)

    def _injection(
        self,
        patch: HiFiPatch,
        rows: tuple[Row, ...],
        size: tuple[int, int],
        gain: float,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Injection | None:
        # Without a mask, the place of a row does not matter to the attention.
        placed = patch.mask is None
        acting = [i for i, row in enumerate(rows) if _acts(patch, row) and (placed or row.region is not None)]
        if not acting:
            return None
        roles = tuple(rows[i].positive for i in acting)
        strength = gain * patch.settings.identity_strength

        def make() -> list[tuple[AttentionLayer, Tensor, Tensor]]:
            computed = self._keys_values(patch, device, dtype)
            return [
                (layer, _per_row(keys, roles), _per_row(values, roles)) for layer, keys, values in computed
            ]

        # The strength is not part of what is kept: a fade would keep a copy for each of its steps.
        layers = {
            (layer.block, layer.number, layer.depth): LayerEntry(
                keys, values, strength * patch.settings.block_weights[layer.group]
            )
            for layer, keys, values in self._cached(("rows", patch.uid, device, dtype, roles), make)
        }
        return Injection(
            _row_index(acting, len(rows), device), layers, self._masks(patch, rows, acting, size, device)
        )

    def _jobs(
        self,
        patch: HiFiPatch,
        rows: tuple[Row, ...],
        size: tuple[int, int],
        gain: float,
        device: torch.device,
        dtype: torch.dtype,
    ) -> list[ResidualJob]:
        weights = patch.settings.block_weights
        strength = gain * patch.settings.landmark_strength
        gains = tuple(strength * weights[group] for group in self.layout.residual_groups)
        acting = [i for i, row in enumerate(rows) if _acts(patch, row) and row.region is not None]
        fusion = patch.settings.fusion_strength if patch.identity.detail.tokens.shape[1] else 0.0
        groups = [(acting, fusion)]
        if fusion != 0.0:
            # The zero identity has no faces to look at: its rows run without fusion.
            groups = [
                ([i for i in acting if rows[i].positive], fusion),
                ([i for i in acting if not rows[i].positive], 0.0),
            ]
        jobs = []
        for members, scale in groups:
            if members:
                seen = tuple(_Seen(rows[i].positive, *place) for i, place in _placed(rows, members))
                prepared = self._prepared(patch, scale != 0.0, seen, size, device, dtype)
                masks = self._masks(patch, rows, members, size, device)
                row_index = _row_index(members, len(rows), device)
                # x0 guidance goes with the finest residual: both act on the base's last block.
                jobs.append(ResidualJob(patch, row_index, prepared, scale, gains, scale * gains[0], masks))
        return jobs

    def _prepared(
        self,
        patch: HiFiPatch,
        fuse: bool,
        rows: tuple[_Seen, ...],
        size: tuple[int, int],
        device: torch.device,
        dtype: torch.dtype,
    ) -> Prepared:
        """Return HiFi-Net's part that is constant over the run: drawing, keys and values."""
        landmarks = patch.landmarks
        assert landmarks is not None
        seen = tuple(row._replace(latent=row.latent % len(landmarks)) for row in rows)
        if len(set(seen)) == 1:
            seen = seen[:1]
        key = (patch.uid, fuse, seen, size, device, dtype)
        if key in self._prepared_rows:
            self._prepared_rows.move_to_end(key)
            return self._prepared_rows[key]

        config = patch.hifi_net.config
        textured = fuse and bool(config.texture_size) and patch.identity.detail.texture is not None

        def maps(index: int) -> TargetMaps:
            self.map_computations += 1
            scale = config.latent_downscale
            warning = canvas_warning(landmarks, size[1] * scale, size[0] * scale)
            if warning:
                self.warn_once(warning)
            made = picture_maps(landmarks, index, size, config, textured)
            # Kept off the device: a long video has many.
            return replace(made, hint=made.hint.to(dtype))

        whole = [
            self._cached(("maps", patch.uid, row.latent, size, dtype, textured), partial(maps, row.latent))
            for row in seen
        ]
        identity = self._identity(patch, device, dtype)
        roles = tuple(row.positive for row in seen)
        tokens = _per_row(identity.tokens, roles[:1] if len(set(roles)) == 1 else roles)

        target = row_maps(whole, [row.region for row in seen], config.latent_downscale)
        prepared = patch.hifi_net.network.hifi_net.prepare(
            target.each(lambda tensor: tensor.to(device)), tokens, identity.detail if fuse else None
        )
        self._prepared_rows[key] = prepared
        while len(self._prepared_rows) > 1 and _bytes([*self._prepared_rows.values()]) > PREPARED_BYTES:
            self._prepared_rows.popitem(last=False)
        return prepared

    def _masks(
        self,
        patch: HiFiPatch,
        rows: tuple[Row, ...],
        acting: list[int],
        size: tuple[int, int],
        device: torch.device,
    ) -> MaskPyramid | None:
        mask = patch.mask
        if mask is None:
            return None
        places = _places(rows, acting)

        def whole() -> Tensor:
            return fit_mask(mask, *size).to(device)

        def make() -> MaskPyramid:
            fitted = self._cached(("mask", patch.uid, size, device), whole)
            return MaskPyramid(row_masks(fitted, places))

        return self._cached(("rows' masks", patch.uid, places, size, device), make)


def prediction_kind(model_sampling: Any) -> str:
    """Return what the MODEL predicts: ``v``, ``eps``, or ``other``."""
    # Flow matching and EDM derive from the same classes and scale the latents in another way.
    names = [kind.__name__ for kind in type(model_sampling).__mro__]
    if "V_PREDICTION" in names and "EDM" not in names:
        return "v"
    return "eps" if "EPS" in names and not {"CONST", "EDM", "X0", "V_PREDICTION"} & set(names) else "other"


def _schedule(patch: HiFiPatch, percent_to_sigma: Callable[[float], float]) -> Schedule:
    s = patch.settings
    return Schedule.of(s.start_percent, s.end_percent, s.fade_in, s.fade_out, percent_to_sigma)


def _both_halves(patch: HiFiPatch) -> bool:
    return patch.settings.unconditional == "zero identity"


def _acts(patch: HiFiPatch, row: Row) -> bool:
    return row.positive or _both_halves(patch)


def _placed(rows: tuple[Row, ...], acting: list[int]) -> list[tuple[int, tuple[int, Region]]]:
    return [(i, (rows[i].latent, region)) for i in acting if (region := rows[i].region) is not None]


def _places(rows: tuple[Row, ...], acting: list[int]) -> Places:
    return tuple(place for _, place in _placed(rows, acting))


def _row_index(acting: list[int], count: int, device: torch.device) -> slice | Tensor | None:
    if len(acting) == count:
        return None
    if acting == list(range(acting[0], acting[-1] + 1)):
        return slice(acting[0], acting[-1] + 1)
    return torch.tensor(acting, device=device)


def _bytes(value: Any) -> int:
    """Return the memory of all tensors in nested data."""
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    if is_dataclass(value):
        return sum(_bytes(getattr(value, item.name)) for item in fields(value))
    return sum(map(_bytes, value)) if isinstance(value, (tuple, list)) else 0


def _per_row(tensor: Tensor, positive: tuple[bool, ...]) -> Tensor:
    """Return row 0 of ``tensor`` for each positive row, row 1 (the zero identity) for the others."""
    if all(positive):
        return tensor[:1].expand(len(positive), -1, -1)
    if not any(positive):
        return tensor[1:2].expand(len(positive), -1, -1)
    return tensor[[0 if p else 1 for p in positive]]

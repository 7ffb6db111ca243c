"""What the networks compute once for a run: identities, keys and values, and HiFi-Net's constant part."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .blocks import AttentionLayer, UNetLayout
from .patch import HiFiPatch
from .plan import StepContext
from .regions import Region
from .run_cache import RunCache, RunWarnings
from .target_maps import canvas_warning, picture_maps, row_maps

if TYPE_CHECKING:
    from ..models.hifi_net import Prepared
    from ..models.tokens import DetailTokens, TargetMaps


class PreparedIdentity(NamedTuple):
    """An identity on the run's device."""

    tokens: Tensor
    """``(1, K, context_dim)``; with ``(2, ...)`` the second is the zero identity's."""
    bias: Tensor | None
    """``(1, K)`` added to the logits of the tokens."""
    detail: DetailTokens


class SeenRow(NamedTuple):
    """What HiFi-Net's constant part depends on, for one row."""

    positive: bool
    latent: int
    region: Region


class NetworkInputs:
    """Runs the networks of the patches as far as the result is constant over a run, and keeps it."""

    def __init__(self, layout: UNetLayout, cache: RunCache, warnings: RunWarnings) -> None:
        self.layout = layout
        self.cache = cache
        self.warnings = warnings

    def identity(self, patch: HiFiPatch, step: StepContext) -> PreparedIdentity:
        """Return a patch's identity where and in what type the step computes."""

        def make() -> PreparedIdentity:
            tokens = patch.identity.tokens.to(step.device, step.dtype)
            if patch.both_halves:
                tokens = torch.cat([tokens, self._zero_identity(patch, tokens, step)])
            bias = patch.identity.token_bias
            return PreparedIdentity(
                tokens,
                None if bias is None else bias.to(step.device, step.dtype),
                patch.identity.detail.to(step.device, step.dtype),
            )

        return self.cache.once("identity", (patch.uid, *step.place), make)

    @staticmethod
    def _zero_identity(patch: HiFiPatch, tokens: Tensor, step: StepContext) -> Tensor:
        seed = zlib.crc32(patch.identity.fingerprint.encode())
        zero = step.network(patch).refiner.zero_tokens(tokens, patch.settings.identity_noise, seed)
        # As often as references stand side by side: attention to equal tokens is that to one of them.
        return zero.repeat(1, tokens.shape[1] // zero.shape[1], 1)

    def row_keys_values(
        self, patch: HiFiPatch, positive: tuple[bool, ...], step: StepContext
    ) -> list[tuple[AttentionLayer, Tensor, Tensor]]:
        """Return keys and values ``(R, K, width)`` of each layer whose weight is not 0, for rows."""

        def make() -> list[tuple[AttentionLayer, Tensor, Tensor]]:
            made = []
            for layer in self.layout.layers:
                if patch.settings.block_weights[layer.group] != 0.0:
                    keys, values = self._keys_values(patch, layer, step)
                    made.append((layer, per_row(keys, positive), per_row(values, positive)))
            return made

        return self.cache.once("rows' keys and values", (patch.uid, *step.place, positive), make)

    def _keys_values(
        self, patch: HiFiPatch, layer: AttentionLayer, step: StepContext
    ) -> tuple[Tensor, Tensor]:
        def make() -> tuple[Tensor, Tensor]:
            tokens = self.identity(patch, step).tokens
            return step.network(patch).identity_attention.keys_values(layer.index, tokens)

        return self.cache.once("keys and values", (patch.uid, *step.place, layer.index), make)

    def prepared(
        self, patch: HiFiPatch, fuse: bool, rows: tuple[SeenRow, ...], step: StepContext
    ) -> Prepared:
        """Return HiFi-Net's part that is constant over the run.

        Parameters
        ----------
        patch
            With landmarks.
        fuse
            Whether the rows look at the detail tokens.
        rows
            What each row sees; one row stands for all where they see the same.
        """
        assert patch.landmarks is not None
        count = len(patch.landmarks)
        rows = tuple(row._replace(latent=row.latent % count) for row in rows)
        if len(set(rows)) == 1:
            rows = rows[:1]
        make = partial(self._prepare, patch, fuse, rows, step)
        return self.cache.recent("prepared", (patch.uid, fuse, rows, step.size, *step.place), make)

    def _prepare(
        self, patch: HiFiPatch, fuse: bool, rows: tuple[SeenRow, ...], step: StepContext
    ) -> Prepared:
        config, identity = patch.hifi_net.config, self.identity(patch, step)
        with_uv = fuse and bool(config.texture_size) and patch.identity.detail.texture is not None
        whole = [self._picture_maps(patch, row.latent, with_uv, step) for row in rows]
        maps = row_maps(whole, [row.region for row in rows], config.latent_downscale)
        positive = tuple(row.positive for row in rows)
        tokens = per_row(identity.tokens, positive[:1] if len(set(positive)) == 1 else positive)
        return step.network(patch).hifi_net.prepare(
            maps.each(lambda tensor: tensor.to(step.device)),
            tokens,
            identity.detail if fuse else None,
            identity.bias,
        )

    def _picture_maps(self, patch: HiFiPatch, index: int, with_uv: bool, step: StepContext) -> TargetMaps:
        config, landmarks = patch.hifi_net.config, patch.landmarks
        assert landmarks is not None

        def make() -> TargetMaps:
            height, width = (side * config.latent_downscale for side in step.size)
            warning = canvas_warning(landmarks, width, height)
            if warning:
                self.warnings.once(warning)
            made = picture_maps(landmarks, index, step.size, config, with_uv)
            # Kept off the device: a long video has many.
            return replace(made, hint=made.hint.to(step.dtype))

        return self.cache.once("maps", (patch.uid, index, step.size, step.dtype, with_uv), make)


def per_row(tensor: Tensor, positive: tuple[bool, ...]) -> Tensor:
    """Return row 0 of ``tensor`` for each positive row, row 1 (the zero identity) for the others."""
    if all(positive):
        return tensor[:1].expand(len(positive), -1, -1)
    if not any(positive):
        return tensor[1:2].expand(len(positive), -1, -1)
    return tensor[[0 if p else 1 for p in positive]]

"""HiFi-Net: the network beside the base UNet that places the person's face on the landmarks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import HiFiNetConfig
from .fusion import FusionAttention, FusionKeys
from .layers import (
    Attention,
    FeedForward,
    Layer,
    Layers,
    ResnetBlock,
    TimeEmbedding,
    coordinate_features,
    shrink_coordinates,
    sinusoids,
)
from .texture import CoarseX0, TextureEncoder
from .tokens import DetailTokens, HiFiNetResiduals, TargetMaps

KeysValues = tuple[Tensor, Tensor]
BlockKeys = tuple[KeysValues, Tensor | None, FusionKeys | None]
"""What one transformer block attends to: identity tokens, the bias of their logits, and detail tokens where
it has fusion."""


@dataclass(frozen=True)
class Prepared:
    """What HiFi-Net computes once for a sampling run: it does not depend on the step."""

    hint: Tensor
    """``(B, C0, h, w)``: the encoded landmark drawing."""
    texture: Tensor | None
    """``(B, C0, h, w)``: the UV texture, warped onto the landmarks and encoded; None: there is none."""
    coarse_x0: CoarseX0 | None
    """Coarse prediction of the clean latents; None: there is no texture."""
    identity: tuple[KeysValues, ...]
    """Keys and values of the identity tokens, one pair for each transformer block."""
    bias: Tensor | None
    """``(B, K)`` added to the logits of the identity tokens; None: nothing."""
    fusion: tuple[FusionKeys | None, ...]
    """The same of the detail tokens; None where a block has no fusion or there are no tokens."""


class TransformerBlock(Layer):
    """SDXL's transformer block, with fusion attention between cross-attention and feed-forward.

    Parameters
    ----------
    dim
        Width.
    fusion
        Whether the block has fusion attention.
    """

    def __init__(self, dim: int, fusion: bool, config: HiFiNetConfig, layers: Layers) -> None:
        super().__init__()
        heads = dim // config.head_channels
        self.norm1 = layers.layer_norm(dim)
        self.attn1 = Attention(dim, dim, heads, layers)
        self.norm2 = layers.layer_norm(dim)
        self.attn2 = Attention(dim, config.context_dim, heads, layers)
        self.norm3 = layers.layer_norm(dim)
        self.ff = FeedForward(dim, layers)
        self.fusion: FusionAttention | None = None
        if fusion and config.detail_channels:
            self.fusion = FusionAttention(dim, config.detail_channels, config.coordinate_dim, heads, layers)

    def forward(
        self,
        x: Tensor,
        identity: KeysValues,
        bias: Tensor | None,
        fusion: FusionKeys | None,
        scale: float,
    ) -> Tensor:
        """Return ``(B, L, dim)``; ``bias`` is of the identity's logits, ``scale`` the strength of fusion."""
        y = self.norm1(x)
        x = x + self.attn1(y, self.attn1.keys_values(y))
        x = x + self.attn2(self.norm2(x), identity, bias)
        if self.fusion is not None and fusion is not None and scale != 0.0:
            x = x + self.fusion(x, fusion) * scale
        return x + self.ff(self.norm3(x))


class Transformer(Layer):
    """Transformer blocks on a feature map, ``(B, dim, h, w)`` to the same; diffusers' parameter names."""

    def __init__(self, dim: int, depth: int, fusion: bool, config: HiFiNetConfig, layers: Layers) -> None:
        super().__init__()
        self.norm = layers.group_norm(config.norm_groups, dim, eps=1e-6)
        self.proj_in = layers.linear(dim, dim)
        self.transformer_blocks = nn.ModuleList(
            [TransformerBlock(dim, fusion, config, layers) for _ in range(depth)]
        )
        self.proj_out = layers.linear(dim, dim)

    def forward(self, x: Tensor, blocks: Sequence[BlockKeys], scale: float) -> Tensor:
        """Return a map of the same size; ``blocks`` has one entry for each transformer block."""
        height, width = x.shape[-2:]
        y = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        for block, keys in zip(self.transformer_blocks, blocks, strict=True):
            y = block(y, *keys, scale)
        return x + self.proj_out(y).transpose(1, 2).reshape(len(x), -1, height, width)


class Downsampler(Layer):
    """Halves a feature map: ``(B, C, h, w)`` to ``(B, C, ceil(h / 2), ceil(w / 2))``."""

    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__()
        self.conv = layers.conv(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the smaller map."""
        return self.conv(x)


class DownBlock(nn.Module):
    """One level of the encoder."""

    def __init__(self, level: int, config: HiFiNetConfig, layers: Layers) -> None:
        super().__init__()
        widths = config.block_out_channels
        dim, before = widths[level], widths[max(level - 1, 0)]
        depth, count = config.transformer_depth[level], config.layers_per_block
        self.depth = depth
        """Transformer blocks in each attention; 0: the level has none."""
        self.resnets = nn.ModuleList(
            [
                ResnetBlock(before if i == 0 else dim, dim, 4 * widths[0], config.norm_groups, layers)
                for i in range(count)
            ]
        )
        if depth:
            fusion = config.fusion_levels[level]
            self.attentions = nn.ModuleList(
                [Transformer(dim, depth, fusion, config, layers) for _ in range(count)]
            )
        if level < len(widths) - 1:
            self.downsamplers = nn.ModuleList([Downsampler(dim, layers)])

    @property
    def transformer_count(self) -> int:
        """Number of transformer blocks of the level."""
        return self.depth * len(self.resnets)

    def forward(
        self, x: Tensor, time: Tensor, blocks: Sequence[BlockKeys], scale: float
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the level's output and the outputs of its layers.

        ``blocks`` has one entry for each of the level's `transformer_count` blocks.
        """
        skips = []
        for i, resnet in enumerate(self.resnets):
            x = resnet(x, time)
            if self.depth:
                x = self.attentions[i](x, blocks[i * self.depth : (i + 1) * self.depth], scale)
            skips.append(x)
        if hasattr(self, "downsamplers"):
            x = self.downsamplers[0](x)
            skips.append(x)
        return x, skips


class MidBlock(Layer):
    """Residual block, transformer, residual block."""

    def __init__(self, config: HiFiNetConfig, layers: Layers) -> None:
        super().__init__()
        dim, time_dim = config.block_out_channels[-1], 4 * config.block_out_channels[0]
        self.attentions = nn.ModuleList(
            [Transformer(dim, config.mid_depth, config.fusion_levels[-1], config, layers)]
        )
        self.resnets = nn.ModuleList(
            [ResnetBlock(dim, dim, time_dim, config.norm_groups, layers) for _ in range(2)]
        )

    def forward(self, x: Tensor, time: Tensor, blocks: Sequence[BlockKeys], scale: float) -> Tensor:
        """Return a map of the same size; ``blocks`` has one entry for each transformer block."""
        x = self.resnets[0](x, time)
        x = self.attentions[0](x, blocks, scale)
        out: Tensor = self.resnets[1](x, time)
        return out


class HintEncoder(Layer):
    """Encodes the landmark drawing, ``(B, 3, H, W)`` to ``(B, C0, h, w)``; names of ControlNet."""

    def __init__(self, config: HiFiNetConfig, layers: Layers) -> None:
        super().__init__()
        widths = config.hint_widths
        self.conv_in = layers.conv(config.hint_channels, widths[0], 3)
        self.blocks = nn.ModuleList()
        for before, after in itertools.pairwise(widths):
            self.blocks.append(layers.conv(before, before, 3))
            self.blocks.append(layers.conv(before, after, 3, stride=2))
        self.conv_out = layers.conv(widths[-1], config.block_out_channels[0], 3, zero=True)

    def forward(self, hint: Tensor) -> Tensor:
        """Return the encoded drawing."""
        x = F.silu(self.conv_in(hint))
        for block in self.blocks:
            x = F.silu(block(x))
        return self.conv_out(x)


class HiFiNet(nn.Module):
    """SDXL's encoder and middle block, with residuals out, identity tokens and detail tokens in.

    Parameter names are those of diffusers' ``ControlNetModel``; what ControlNet does not have is in
    submodules named ``fusion`` and ``texture_embedding``. Works on whole runs: `prepare` once, `step` at
    each step; calling it does both.

    Parameters
    ----------
    config
        Sizes.
    operations
        Namespace of layers: ``torch.nn`` or the host's.
    dtype, device
        Of the parameters.
    """

    def __init__(
        self,
        config: HiFiNetConfig,
        operations: object = nn,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        layers = Layers(operations, dtype, device)
        widths = config.block_out_channels
        self.conv_in = layers.conv(config.latent_channels, widths[0], 3)
        self.time_embedding = TimeEmbedding(widths[0], 4 * widths[0], layers)
        self.add_embedding = TimeEmbedding(config.vector_dim, 4 * widths[0], layers)
        self.controlnet_cond_embedding = HintEncoder(config, layers)
        self.texture_embedding: TextureEncoder | None = None
        if config.texture_size:
            self.texture_embedding = TextureEncoder(config, layers)
        self.down_blocks = nn.ModuleList()
        self.controlnet_down_blocks = nn.ModuleList([layers.conv(widths[0], widths[0], 1, zero=True)])
        for level, dim in enumerate(widths):
            self.down_blocks.append(DownBlock(level, config, layers))
            outputs = config.layers_per_block + (level < len(widths) - 1)
            for _ in range(outputs):
                self.controlnet_down_blocks.append(layers.conv(dim, dim, 1, zero=True))
        self.mid_block = MidBlock(config, layers)
        self.controlnet_mid_block = layers.conv(widths[-1], widths[-1], 1, zero=True)

    def transformer_blocks(self) -> list[tuple[int, TransformerBlock]]:
        """Return level (the last for the middle) and module of each transformer block, in running order."""
        found: list[tuple[int, TransformerBlock]] = []
        levels = [*enumerate(self.down_blocks), (len(self.down_blocks) - 1, self.mid_block)]
        for level, block in levels:
            for attention in getattr(block, "attentions", ()):
                found += [(level, cast(TransformerBlock, b)) for b in attention.transformer_blocks]
        return found

    def prepare(
        self,
        target: TargetMaps,
        context: Tensor,
        detail: DetailTokens | None = None,
        bias: Tensor | None = None,
    ) -> Prepared:
        """Compute what is constant over the steps of sampling.

        Parameters
        ----------
        target
            Drawing and coordinates of the target, batch B.
        context
            ``(B, K, context_dim)`` identity tokens.
        detail
            Detail tokens of all faces, batch B or 1; None or no tokens: no fusion.
        bias
            ``(B or 1, K)`` added to the logits of the identity tokens.

        Raises
        ------
        ValueError
            ``target`` lacks the coordinates that detail tokens or a UV texture need.
        """
        encoded = self.controlnet_cond_embedding(target.hint)
        blocks = self.transformer_blocks()
        identity = tuple(block.attn2.keys_values(context) for _, block in blocks)
        fusion: tuple[FusionKeys | None, ...] = (None,) * len(blocks)
        if detail is not None and detail.tokens.shape[1]:
            if target.coords is None:
                raise ValueError("HiFi-Net: fusion needs the canonical map of the target (coords)")
            fusion = self._fusion_keys(detail, target.coords, encoded)
        texture, coarse_x0 = None, None
        if self.texture_embedding is not None and detail is not None and detail.texture is not None:
            if target.uv_map is None:
                raise ValueError("HiFi-Net: a UV texture needs the UV coordinates of the target (uv_map)")
            texture, coarse_x0 = self.texture_embedding(
                detail.texture.to(encoded.dtype), target.uv_map, target.hint
            )
        return Prepared(encoded, texture, coarse_x0, identity, bias, fusion)

    def _fusion_keys(
        self, detail: DetailTokens, coords: Tensor, encoded: Tensor
    ) -> tuple[FusionKeys | None, ...]:
        """Return keys and values of the detail tokens for each transformer block that has fusion."""
        octaves = self.config.coordinate_frequencies
        token_features = coordinate_features(detail.coords, octaves)
        tokens = detail.tokens.to(encoded.dtype)
        by_level: dict[int, Tensor] = {}
        keys: list[FusionKeys | None] = []
        for level, block in self.transformer_blocks():
            if block.fusion is None:
                keys.append(None)
                continue
            if level not in by_level:
                size = [_halved(n, level) for n in encoded.shape[-2:]]
                small = shrink_coordinates(coords, *size).flatten(2).transpose(1, 2)
                by_level[level] = coordinate_features(small, octaves)
            keys.append(block.fusion.prepare(tokens, token_features, detail.bias, by_level[level]))
        return tuple(keys)

    def step(
        self, x: Tensor, timesteps: Tensor, y: Tensor, prepared: Prepared, fusion_scale: float = 1.0
    ) -> HiFiNetResiduals:
        """Return the residuals of one step.

        Parameters
        ----------
        x
            ``(B, latent_channels, h, w)`` noisy latents, as the base UNet gets them.
        timesteps
            ``(B,)``, as the base UNet gets them.
        y
            ``(B, vector_dim)``: pooled text and size embeddings, as the base UNet gets them.
        prepared
            From `prepare`, batch B or 1.
        fusion_scale
            Strength of fusion and texture; 0 leaves them out.
        """
        time = self.time_embedding(sinusoids(timesteps, self.config.block_out_channels[0]).to(x.dtype))
        time = time + self.add_embedding(y.to(x.dtype))
        h = self.conv_in(x) + prepared.hint
        if prepared.texture is not None and fusion_scale != 0.0:
            h = h + prepared.texture * fusion_scale
        keys = tuple((i, prepared.bias, f) for i, f in zip(prepared.identity, prepared.fusion, strict=True))
        skips, first = [h], 0
        for block in cast(list[DownBlock], self.down_blocks):
            last = first + block.transformer_count
            h, more = block(h, time, keys[first:last], fusion_scale)
            skips += more
            first = last
        h = self.mid_block(h, time, keys[first:], fusion_scale)
        down = tuple(conv(s) for conv, s in zip(self.controlnet_down_blocks, skips, strict=True))
        return HiFiNetResiduals(down, self.controlnet_mid_block(h))

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        y: Tensor,
        target: TargetMaps,
        context: Tensor,
        detail: DetailTokens | None = None,
        fusion_scale: float = 1.0,
    ) -> HiFiNetResiduals:
        """`prepare` and `step` in one; parameters as there."""
        wanted = detail if fusion_scale != 0.0 else None
        return self.step(x, timesteps, y, self.prepare(target, context, wanted), fusion_scale)


def _halved(n: int, times: int) -> int:
    for _ in range(times):
        n = (n + 1) // 2
    return n

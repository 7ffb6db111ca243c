"""The face refiner: several faces of one person become identity tokens and detail tokens."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import HiFiNetConfig
from .layers import Attention, FeedForward, Layer, Layers, attend, coordinate_features, shrink_coordinates
from .merge import MEAN, merged_tokens
from .texture import TextureFusion
from .tokens import DetailTokens, FaceBatch

CLIP_TOKENS = 257
"""Hidden states of CLIP ViT-H/14 and ViT-L/14 at 224 px: the class token and 16 x 16 patches."""


class PerceiverAttention(Layer):
    """Queries read an input and themselves: one attention of InstantID's image projection."""

    def __init__(self, dim: int, heads: int, head_channels: int, layers: Layers) -> None:
        super().__init__()
        inner = heads * head_channels
        self.heads = heads
        self.norm1 = layers.layer_norm(dim)
        self.norm2 = layers.layer_norm(dim)
        self.to_q = layers.linear(dim, inner, bias=False)
        self.to_kv = layers.linear(dim, 2 * inner, bias=False)
        self.to_out = layers.linear(inner, dim, bias=False)

    def forward(self, x: Tensor, queries: Tensor) -> Tensor:
        """Return ``(B, K, dim)`` for ``x (B, M, dim)`` and ``queries (B, K, dim)``."""
        x, queries = self.norm1(x), self.norm2(queries)
        k, v = self.to_kv(torch.cat([x, queries], 1)).chunk(2, dim=-1)
        return self.to_out(attend(self.to_q(queries), k, v, self.heads))


class ImageProjection(Layer):
    """Turns the fused face embedding into identity tokens; InstantID's ``image_proj``, names included.

    ``(B, E)`` to ``(B, K, context_dim)``.
    """

    def __init__(self, config: HiFiNetConfig, layers: Layers) -> None:
        super().__init__()
        dim, inner = config.resampler_dim, config.resampler_dim * config.resampler_ff_mult
        self.latents = layers.parameter(1, config.identity_tokens, dim)
        self.proj_in = layers.linear(config.embedding_dim, dim)
        self.proj_out = layers.linear(dim, config.context_dim)
        self.norm_out = layers.layer_norm(config.context_dim)
        self.layers = nn.ModuleList()
        for _ in range(config.resampler_depth):
            attention = PerceiverAttention(
                dim, config.resampler_heads, config.resampler_head_channels, layers
            )
            feed_forward = nn.Sequential(
                layers.layer_norm(dim),
                layers.linear(dim, inner, bias=False),
                nn.GELU(),
                layers.linear(inner, dim, bias=False),
            )
            self.layers.append(nn.ModuleList([attention, feed_forward]))

    def reset_own(self, generator: torch.Generator) -> None:
        """Fill the queries."""
        noise = torch.randn(self.latents.shape, generator=generator)
        self.latents.copy_(noise / math.sqrt(self.latents.shape[-1]))

    def forward(self, embedding: Tensor) -> Tensor:
        """Return identity tokens."""
        x = self.proj_in(embedding[:, None])
        queries = self.latents.to(x).expand(len(x), -1, -1)
        attention: nn.Module
        feed_forward: nn.Module
        for attention, feed_forward in self.layers:  # type: ignore[misc]
            queries = queries + attention(x, queries)
            queries = queries + feed_forward(queries)
        return self.norm_out(self.proj_out(queries))


class CropEncoder(nn.Module):
    """Convolutional pyramid on canonical crops and their canonical coordinates.

    ``(F, 3, S, S)`` twice to detail tokens ``(F, T, C)`` and their coordinates ``(F, T, 3)``.
    """

    def __init__(self, config: HiFiNetConfig, layers: Layers) -> None:
        super().__init__()
        self.levels = config.detail_levels
        widths = config.pyramid_widths[: max(self.levels) + 1]
        self.stem = nn.ModuleList()
        self.norms = nn.ModuleList()
        self.convs = nn.ModuleList()
        for before, after in zip((6, *widths[:-1]), widths, strict=True):
            self.stem.append(layers.conv(before, after, 3, stride=2))
            self.norms.append(layers.group_norm(_groups(after), after))
            self.convs.append(layers.conv(after, after, 3))
        self.out = nn.ModuleList(
            [layers.linear(widths[level], config.detail_channels) for level in self.levels]
        )

    def forward(self, crops: Tensor, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens, finer level first, and the coordinates of each."""
        x = torch.cat([crops, coords.to(crops.dtype)], 1)
        tokens, positions = [], []
        for level, (stem, norm, conv) in enumerate(zip(self.stem, self.norms, self.convs, strict=True)):
            x = F.silu(stem(x))
            x = x + conv(F.silu(norm(x)))
            if level in self.levels:
                tokens.append(self.out[self.levels.index(level)](x.flatten(2).transpose(1, 2)))
                small = shrink_coordinates(coords, *x.shape[-2:])
                positions.append(small.flatten(2).transpose(1, 2))
        return torch.cat(tokens, 1), torch.cat(positions, 1)


class ReadBlock(Layer):
    """Tokens read other tokens, then pass a feed-forward layer; ``(B, L, dim)`` to the same."""

    def __init__(self, dim: int, head_channels: int, layers: Layers, feed_forward: bool = True) -> None:
        super().__init__()
        self.norm = layers.layer_norm(dim)
        self.norm_context = layers.layer_norm(dim)
        self.attention = Attention(dim, dim, dim // head_channels, layers)
        self.norm_ff = layers.layer_norm(dim) if feed_forward else None
        self.ff = FeedForward(dim, layers) if feed_forward else None

    def forward(self, x: Tensor, context: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return ``x`` after reading ``context (B, M, dim)`` whose keys have ``bias (B, M)``."""
        kv = self.attention.keys_values(self.norm_context(context))
        x = x + self.attention(self.norm(x), kv, bias)
        if self.ff is not None and self.norm_ff is not None:
            x = x + self.ff(self.norm_ff(x))
        return x


class DetailReader(nn.Module):
    """Local branch of the refiner. *Ours*, in the paper's outline.

    Learned queries read each face's tokens; person queries read those of all faces, with the faces' weights
    as bias on the logits; each detail token then reads the person's summary. Cost grows linearly with N, and
    the order of faces does not matter.
    """

    def __init__(self, config: HiFiNetConfig, layers: Layers) -> None:
        super().__init__()
        dim, head = config.detail_channels, config.refiner_head_channels
        self.frequencies = config.coordinate_frequencies
        self.encoder = CropEncoder(config, layers)
        self.uv_in = layers.linear(config.coordinate_dim, dim)
        self.global_in = layers.linear(config.embedding_dim, dim)
        self.clip_in = layers.linear(config.clip_dim, dim) if config.clip_dim else None
        self.face_queries = layers.parameter(1, config.face_queries, dim)
        self.person_queries = layers.parameter(1, config.identity_tokens, dim)
        depth = range(config.refiner_depth)
        self.read_face = nn.ModuleList([ReadBlock(dim, head, layers) for _ in depth])
        self.read_faces = nn.ModuleList([ReadBlock(dim, head, layers) for _ in depth])
        # Detail tokens are many: a feed-forward layer on each would cost more than all else here.
        self.read_person = nn.ModuleList([ReadBlock(dim, head, layers, feed_forward=False) for _ in depth])
        # Starts at zero, so that identity tokens start as InstantID's.
        self.to_identity = layers.linear(dim, config.context_dim, bias=False, zero=True)

    def reset_own(self, generator: torch.Generator) -> None:
        """Fill the queries."""
        for queries in (self.face_queries, self.person_queries):
            queries.copy_(torch.randn(queries.shape, generator=generator))

    def forward(self, faces: FaceBatch, bias: Tensor) -> tuple[Tensor, DetailTokens]:
        """Return what is added to the identity tokens ``(B, K, context_dim)``, and the detail tokens.

        Parameters
        ----------
        faces
            Batched: ``(B, N, ...)``.
        bias
            ``(B, N)`` log share of each face.
        """
        batch, count = bias.shape
        tokens, positions = self.encoder(faces.crops.flatten(0, 1), faces.coords.flatten(0, 1))
        if self.clip_in is not None and faces.clip_hidden is not None:
            hidden = self.clip_in(faces.clip_hidden.flatten(0, 1).to(tokens.dtype))
            tokens = torch.cat([tokens, hidden], 1)
            positions = torch.cat(
                [positions, _clip_coordinates(faces.coords.flatten(0, 1), hidden.shape[1])], 1
            )
        tokens = tokens + self.uv_in(coordinate_features(positions, self.frequencies).to(tokens.dtype))
        whole = self.global_in(faces.embeddings.flatten(0, 1).to(tokens.dtype))[:, None]

        queries = self.face_queries.to(tokens).expand(batch * count, -1, -1)
        for block in self.read_face:
            queries = block(queries, torch.cat([tokens, whole], 1))
        per_face = queries.shape[1]
        queries = queries.reshape(batch, -1, queries.shape[-1])
        person = self.person_queries.to(tokens).expand(batch, -1, -1)
        for block in self.read_faces:
            person = block(person, queries, bias.repeat_interleave(per_face, 1))

        per_face = tokens.shape[1]
        tokens = tokens.reshape(batch, -1, tokens.shape[-1])
        for block in self.read_person:
            tokens = block(tokens, person)
        positions = positions.reshape(batch, -1, positions.shape[-1])
        detail = DetailTokens(tokens, positions, bias.repeat_interleave(per_face, 1))
        return self.to_identity(person), detail


class FaceRefiner(nn.Module):
    """N faces of one person to identity tokens and detail tokens.

    Global branch: weighted mean of the embeddings, through InstantID's image projection. Local branch:
    `DetailReader`. A face of weight 0 is exactly not there; only the ratios of weights matter.
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
        self.image_proj = ImageProjection(config, layers)
        self.detail: DetailReader | None = DetailReader(config, layers) if config.detail_channels else None
        self.texture: TextureFusion | None = TextureFusion(config, layers) if config.texture_size else None

    def zero_tokens(self, like: Tensor, noise: float = 0.0, seed: int = 0) -> Tensor:
        """Return the identity tokens of no identity, ``(1, K, context_dim)``; InstantID's zero embedding.

        Parameters
        ----------
        like : Tensor
            Gives device and dtype.
        noise : float
            0..1; above 0 the embedding is uniform noise of that height, as in InstantID's pack.
        seed : int
            Of the noise.
        """
        generator = torch.Generator().manual_seed(seed)
        embedding = noise * torch.rand(1, self.config.embedding_dim, generator=generator)
        return self.image_proj(embedding.to(like))

    def forward(self, faces: FaceBatch, merge: str = MEAN) -> tuple[Tensor, DetailTokens]:
        """Return identity tokens ``(B, K, context_dim)`` and detail tokens; B = 1 for an unbatched input.

        Parameters
        ----------
        faces : FaceBatch
            References of one person, or of B.
        merge : str
            One of `merge.MERGES`; ``concat`` gives ``(B, N * K, context_dim)``.

        Raises
        ------
        ValueError
            No face of a person has a weight above 0, or there is no such merge.
        """
        faces = faces.batched()
        weights = faces.weights
        if weights.device.type != "meta" and bool((weights.sum(1) <= 0).any()):
            raise ValueError("every reference face has weight 0; give at least one a weight above 0")
        tokens = merged_tokens(faces, merge, self.config.embedding_scale, self.image_proj)
        if self.detail is None:
            return tokens, DetailTokens.none(len(tokens), tokens)
        bias = faces.bias()
        scaled = replace(faces, embeddings=faces.embeddings * self.config.embedding_scale)
        more, detail = self.detail(scaled, bias)
        if self.texture is not None and faces.textures is not None:
            detail = replace(detail, texture=self.texture(faces.textures, bias))
        # What the local branch adds is the same for each reference's tokens.
        return tokens + more.repeat(1, tokens.shape[1] // more.shape[1], 1), detail


def _groups(channels: int) -> int:
    return math.gcd(channels, 8)


def _clip_coordinates(coords: Tensor, tokens: int) -> Tensor:
    side = math.isqrt(tokens - 1)
    small = shrink_coordinates(coords, side, side).flatten(2).transpose(1, 2)
    return torch.cat([small.new_zeros(len(small), 1, 3), small], 1)

"""Fusion attention: target pixels read the tokens with their UV coordinates in all references. *Ours*.

The paper has attention-based fusion layers and alignment layers and says no more. Here both are one
attention: queries carry the canonical coordinates of the target's landmarks, keys those of the references.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .layers import Layer, Layers, attend, split_heads


@dataclass(frozen=True)
class FusionKeys:
    """Keys and values of all detail tokens for one fusion layer; constant over a sampling run."""

    keys: Tensor
    """``(B, 1 + M, dim)``, the null token first."""
    values: Tensor
    """``(B, 1 + M, dim)``."""
    queries: Tensor
    """``(B, L, dim)``: the part of the queries that comes from UV coordinates."""
    bias: Tensor
    """``(B, 1 + M)``."""


class FusionAttention(Layer):
    """Attention of ``dim``-wide pixels to detail tokens, by content and by UV coordinates.

    A null token, whose value is zero, takes the attention of pixels that no token suits: background stays as
    it is. The output projection starts at zero and has no bias, so that an untrained layer changes nothing.
    The UV parts of queries and keys start equal: the layer starts as a soft look-up at the same coordinates.

    Parameters
    ----------
    dim
        Width of the transformer block.
    detail_dim
        Width of detail tokens.
    coordinate_dim
        Length of `coordinate_features`.
    """

    def __init__(self, dim: int, detail_dim: int, coordinate_dim: int, heads: int, layers: Layers) -> None:
        super().__init__()
        self.heads = heads
        self.norm = layers.layer_norm(dim)
        self.norm_detail = layers.layer_norm(detail_dim)
        self.to_q = layers.linear(dim, dim, bias=False)
        self.to_k = layers.linear(detail_dim, dim, bias=False)
        self.to_v = layers.linear(detail_dim, dim, bias=False)
        self.uv_query = layers.linear(coordinate_dim, dim, bias=False)
        self.uv_key = layers.linear(coordinate_dim, dim, bias=False)
        self.null_key = layers.parameter(1, 1, dim)
        self.to_out = layers.linear(dim, dim, bias=False, zero=True)

    def reset_own(self, generator: torch.Generator) -> None:
        """Fill the UV parts and the null token's key."""
        weight = self.uv_query.weight
        dim, features = weight.shape
        head = dim // self.heads
        # The logit of equal coordinates is then about 6 above that of distant ones.
        deviation = math.sqrt(6.0 * math.sqrt(head) / (head * features / 2))
        start = torch.randn(dim, features, generator=generator) * deviation
        weight.copy_(start)
        self.uv_key.weight.copy_(start)
        self.null_key.zero_()

    def prepare(
        self, detail: Tensor, token_features: Tensor, bias: Tensor, target_features: Tensor
    ) -> FusionKeys:
        """Compute what does not change over the steps of sampling.

        Parameters
        ----------
        detail
            ``(B, M, detail_dim)``.
        token_features, target_features
            ``(B, M, coordinate_dim)`` and ``(B, L, coordinate_dim)``, from `coordinate_features`.
        bias
            ``(B, M)`` log weights.
        """
        tokens = self.norm_detail(detail)
        keys = self.to_k(tokens) + self.uv_key(token_features.to(tokens.dtype))
        values = self.to_v(tokens)
        null = self.null_key.to(keys).expand(len(keys), -1, -1)
        return FusionKeys(
            keys=torch.cat([null, keys], 1),
            values=torch.cat([torch.zeros_like(null), values], 1),
            queries=self.uv_query(target_features.to(tokens.dtype)),
            bias=torch.cat([bias.new_zeros(len(bias), 1), bias], 1),
        )

    def forward(self, x: Tensor, prepared: FusionKeys) -> Tensor:
        """Return what is added to ``x (B, L, dim)``."""
        q = self.to_q(self.norm(x)) + prepared.queries
        return self.to_out(attend(q, prepared.keys, prepared.values, self.heads, prepared.bias))

    def attention_map(self, x: Tensor, prepared: FusionKeys) -> Tensor:
        """Return the attention weights, mean over heads: ``(B, L, 1 + M)``; for pictures and tests."""
        q = split_heads(self.to_q(self.norm(x)) + prepared.queries, self.heads)
        k = split_heads(prepared.keys, self.heads)
        logits = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + prepared.bias[:, None, None]
        return logits.softmax(-1).mean(1)

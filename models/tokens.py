"""What flows between the networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class FaceBatch:
    """N faces of one person, as the refiner reads them.

    In training, all tensors may have a batch dimension of persons in front; persons with fewer faces are
    filled up with faces of weight 0, which are exactly as if they were not there.
    """

    crops: Tensor
    """``(N, 3, S, S)`` in -1..1, S = ``config.crop_size``."""
    coords: Tensor
    """``(N, 3, S, S)``: canonical u, v and face flag of each pixel of the crop."""
    embeddings: Tensor
    """``(N, E)``: as the recognizer gives them for ``config.embedding_kind`` ``raw``, else of length one."""
    weights: Tensor
    """``(N,)`` >= 0; at least one > 0."""
    clip_hidden: Tensor | None = None
    """``(N, 257, d)`` hidden states of the CLIP image encoder, class token first."""
    textures: Tensor | None = None
    """``(N, 4, R, R)``, R = ``config.texture_size``: each head unwrapped; colours in -1..1, and how well each
    place is seen, 0..1."""

    def batched(self) -> FaceBatch:
        """Return the same with a batch dimension of persons: ``(B, N, ...)``."""
        if self.weights.ndim == 2:
            return self
        return self.each(lambda tensor: tensor[None])

    def bias(self) -> Tensor:
        """Return the log of each face's share of all weights, float32: ``(B, N)``, or ``(N,)`` unbatched."""
        weights = self.weights.float()
        return torch.log(weights / weights.sum(-1, keepdim=True))

    def each(self, change: Callable[[Tensor], Tensor]) -> FaceBatch:
        """Return the same with every tensor changed, such as cut or moved."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        changed: dict[str, Any] = {name: None if v is None else change(v) for name, v in given.items()}
        return FaceBatch(**changed)


@dataclass(frozen=True)
class DetailTokens:
    """Detail tokens of all faces of a person; M = N * T."""

    tokens: Tensor
    """``(B, M, C)``."""
    coords: Tensor
    """``(B, M, 3)``: canonical u, v and how much of the token is face, 0..1."""
    bias: Tensor
    """``(B, M)`` float32: log of the face's share of all weights; -inf: not there."""
    texture: Tensor | None = None
    """``(B, 4, R, R)``: the fused unwrapped head, colours and certainty; see ``texture.py``."""

    def to(self, device: torch.device | None = None, dtype: torch.dtype | None = None) -> DetailTokens:
        """Return the same on another device; coordinates and bias keep their precision."""
        return replace(
            self,
            tokens=self.tokens.to(device=device, dtype=dtype),
            coords=self.coords.to(device=device),
            bias=self.bias.to(device=device),
            texture=None if self.texture is None else self.texture.to(device=device, dtype=dtype),
        )

    @classmethod
    def none(cls, batch: int = 1, like: Tensor | None = None) -> DetailTokens:
        """Return no tokens at all, for networks without detail tokens."""
        zeros = torch.zeros(batch, 0, 0) if like is None else like.new_zeros(batch, 0, 0)
        return cls(zeros, zeros.new_zeros(batch, 0, 3), zeros.new_zeros(batch, 0))


@dataclass(frozen=True)
class HiFiNetResiduals:
    """What HiFi-Net adds to the base UNet."""

    down: tuple[Tensor, ...]
    """One for each skip connection, in the encoder's order."""
    mid: Tensor
    """For the middle block's output."""

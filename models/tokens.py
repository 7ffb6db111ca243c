"""What flows between the networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
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
    """``(N, 4, R, R)``, R = ``config.texture_size``: the UV texture of each head; colours in -1..1, and the
    visibility of each texel, 0..1."""

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
    """``(B, 4, R, R)``: the fused UV texture: colours times confidence, and confidence."""

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
class TargetMaps:
    """What HiFi-Net sees of the landmarks of B targets; made from ``landmarks.target_maps`` alone.

    ``H, W`` is the size of the picture in px, ``h, w`` that of the latents.
    """

    hint: Tensor
    """``(B, 3, H, W)`` landmark drawing in 0..1."""
    coords: Tensor | None = None
    """``(B, 3, h, w)``: canonical u, v in 0..1 and face flag; needed with detail tokens."""
    uv_map: Tensor | None = None
    """``(B, 3, H, W)``: UV coordinates of the head in 0..1 and head flag; needed with a UV texture."""

    def __len__(self) -> int:
        """Return the number of targets."""
        return len(self.hint)

    def __getitem__(self, rows: slice) -> TargetMaps:
        """Return the same of some targets."""
        return self.each(lambda tensor: tensor[rows])

    def each(self, change: Callable[[Tensor], Tensor]) -> TargetMaps:
        """Return the same with every tensor changed, such as cast or moved."""
        return TargetMaps(
            change(self.hint),
            None if self.coords is None else change(self.coords),
            None if self.uv_map is None else change(self.uv_map),
        )

    @classmethod
    def from_arrays(
        cls, hint: np.ndarray, coords: np.ndarray | None = None, uv_map: np.ndarray | None = None
    ) -> TargetMaps:
        """Take channels-last arrays as ``landmarks.target_maps`` makes them.

        Parameters
        ----------
        hint
            ``(B, H, W, 3)`` uint8.
        coords
            ``(B, h, w, 3)`` float: u, v and face flag.
        uv_map
            ``(B, H, W, 3)`` float: u, v and head flag.
        """

        def channels_first(array: np.ndarray | None) -> Tensor | None:
            if array is None:
                return None
            return torch.from_numpy(array.astype(np.float32)).movedim(-1, 1).contiguous()

        drawing = torch.from_numpy(np.ascontiguousarray(hint)).movedim(-1, 1).contiguous()
        return cls(drawing.to(torch.float32) / 255.0, channels_first(coords), channels_first(uv_map))


@dataclass(frozen=True)
class HiFiNetResiduals:
    """What HiFi-Net adds to the base UNet."""

    down: tuple[Tensor, ...]
    """One for each skip connection, in the encoder's order."""
    mid: Tensor
    """For the middle block's output."""

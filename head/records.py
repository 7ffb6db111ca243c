"""The photographic head and a picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ..boundary.licences import FileLicence
from .lids import ClosedLid, closed_lids
from .light import TERMS
from .model import HeadModel

TEXTURE_SIZES = (256, 512, 1024, 2048)


@dataclass(frozen=True, eq=False)
class Head:
    """One person's textured head.

    Attributes
    ----------
    geometry : np.ndarray
        (G, 3) float32 places of ``HeadModel``'s geometry for this person, neutral, head frame.
    shape : np.ndarray
        (K,) float32 identity coefficients, as landmarks have them.
    expression : np.ndarray
        (52,) float32 ARKit coefficients of the references' own mean expression.
    texture : np.ndarray
        (S, S, 3) uint8 sRGB in ``HeadModel``'s UV layout, in the photos' mean light.
    opacity : np.ndarray
        (S, S) uint8: 255 on the head, less in hair's outline, 0 where the photos show background.
    confidence : np.ndarray
        (S, S) uint8: how well the photos show a texel; low where it is mirrored or filled in.
    light : np.ndarray
        (9, 3) float32 harmonics of the light that is in the texture (``head/light.py``).
    sources : tuple of str
        Names of the pictures that have a weight.
    shares : tuple of float
        How much of the texture's face each of them gave; sum 1.
    notes : tuple of str
        What is guessed, one line each.
    licences : tuple of FileLicence
        What the files that read the photos may be used for.
    """

    geometry: np.ndarray
    shape: np.ndarray
    expression: np.ndarray
    texture: np.ndarray
    opacity: np.ndarray
    confidence: np.ndarray
    light: np.ndarray
    sources: tuple[str, ...]
    shares: tuple[float, ...]
    notes: tuple[str, ...] = ()
    licences: tuple[FileLicence, ...] = ()

    def __post_init__(self) -> None:
        """Check shapes, types and values; raises ValueError."""
        size = len(self.texture) if self.texture.ndim else 0
        if size not in TEXTURE_SIZES:
            raise ValueError(
                f"head: the texture must have {', '.join(map(str, TEXTURE_SIZES))} px, not {size}"
            )
        wanted = {
            "texture": ((size, size, 3), np.uint8),
            "opacity": ((size, size), np.uint8),
            "confidence": ((size, size), np.uint8),
            "geometry": ((len(self.geometry), 3), np.float32),
            "expression": ((52,), np.float32),
            "light": ((TERMS, 3), np.float32),
            "shape": ((self.shape.size,), np.float32),
        }
        for name, (shape, kind) in wanted.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != kind:
                raise ValueError(
                    f"head: {name} must be {shape} {np.dtype(kind)}, got {array.shape} {array.dtype}"
                )
            if kind is np.float32 and not np.isfinite(array).all():
                raise ValueError(f"head: {name} contains NaN or infinity")
        for name, most in {"geometry": 20.0, "shape": 20.0, "light": 20.0}.items():
            if np.abs(getattr(self, name)).max(initial=0) > most:
                raise ValueError(f"head: {name} has values beyond {most:g}")
        if ((self.expression < 0) | (self.expression > 1)).any():
            raise ValueError("head: expression has values outside 0..1")
        if len(self.shares) != len(self.sources) or not all(
            np.isfinite(s) and 0 <= s <= 1 for s in self.shares
        ):
            raise ValueError("head: shares must be one number in 0..1 for each source")

    @cached_property
    def closed_lids(self) -> tuple[ClosedLid, ...]:
        """What the texture shows where lids are closed, of the right eye and of the left."""
        return closed_lids(self.texture, HeadModel.load())


@dataclass(frozen=True, eq=False)
class HeadRender:
    """Pictures of a head; B of them, float32 on one device.

    Attributes
    ----------
    picture : torch.Tensor
        (B, H, W, 3) in 0..1 sRGB; not multiplied by alpha, black where the head is not.
    alpha : torch.Tensor
        (B, H, W) in 0..1, soft at the outline.
    confidence : torch.Tensor
        (B, H, W) in 0..1: confidence of each pixel.
    depth : torch.Tensor
        (B, H, W) in 0..1: 1 nearest, 0 farthest and behind the head.
    normals : torch.Tensor
        (B, H, W, 3) in 0..1: x to the right, y up, z towards the viewer, .5 is 0.
    """

    picture: torch.Tensor
    alpha: torch.Tensor
    confidence: torch.Tensor
    depth: torch.Tensor
    normals: torch.Tensor

    def over(self, background: torch.Tensor | float) -> torch.Tensor:
        """Composite over a background (B, H, W, 3) or a grey value; returns (B, H, W, 3)."""
        alpha = self.alpha[..., None]
        return self.picture * alpha + background * (1 - alpha)

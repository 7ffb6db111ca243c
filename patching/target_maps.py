"""What HiFi-Net sees of the landmarks: for the whole picture, and cut to the regions that rows show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..head.uv import head_uv_map
from ..landmarks.target_maps import target_arrays
from ..models.config import HEAD
from ..models.tokens import TargetMaps
from .regions import Region

if TYPE_CHECKING:
    from ..landmarks.landmarks import FaceLandmarks3D
    from ..models.config import HiFiNetConfig

_ASPECT_TOLERANCE = 0.02


def canvas_warning(landmarks: FaceLandmarks3D, width: int, height: int) -> str | None:
    """Return what to tell the user when the landmarks' canvas has another aspect than the picture."""
    aspect = (width / height) / (landmarks.width / landmarks.height)
    if abs(aspect - 1.0) <= _ASPECT_TOLERANCE:
        return None
    return (
        f"Apply HiFi-Net: the landmarks' canvas is {landmarks.width} x {landmarks.height}, the picture "
        f"{width} x {height}; the canvas is fitted inside. Give the landmarks node the picture's size to "
        "place the face exactly."
    )


def picture_maps(
    landmarks: FaceLandmarks3D, index: int, size: tuple[int, int], config: HiFiNetConfig, with_uv: bool
) -> TargetMaps:
    """Return what HiFi-Net sees of one set of landmarks, for the whole picture.

    Parameters
    ----------
    landmarks
        The batch that was applied.
    index
        Which of the batch.
    size
        Height and width of the whole latent.
    config
        Of the checkpoint: landmark style and latent downscale factor.
    with_uv
        Whether the UV map is wanted.

    Returns
    -------
    TargetMaps
        Batch 1, float32 on the CPU.
    """
    made = target_arrays(
        landmarks,
        index,
        size,
        config.latent_downscale,
        config.landmark_style,
        with_uv=with_uv,
        uv_map=head_uv_map if config.uv_layout == HEAD else None,
    )
    uv_map = None if made.uv_map is None else made.uv_map[None]
    return TargetMaps.from_arrays(made.hint[None], made.coords[None], uv_map)


def row_maps(whole: Sequence[TargetMaps], regions: Sequence[Region], downscale: int) -> TargetMaps:
    """Return the maps of rows that see parts of pictures.

    Parameters
    ----------
    whole
        For each row, the maps of its whole picture, batch 1.
    regions
        For each row, the part that it sees, in latent pixels; all of one size.
    downscale
        Pixels of the picture per latent pixel.
    """

    def cut(name: str, scale: int) -> Tensor | None:
        parts = [getattr(maps, name) for maps in whole]
        if parts[0] is None:
            return None
        return torch.cat([region.cut(part, scale) for region, part in zip(regions, parts, strict=True)])

    hint = cut("hint", downscale)
    assert hint is not None
    return TargetMaps(hint, cut("coords", 1), cut("uv_map", downscale))

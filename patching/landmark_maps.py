"""Landmarks as pictures at the size of the latent: the drawing and the map of canonical coordinates."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..landmarks.canonical import canonical_map
from ..landmarks.draw import draw
from ..landmarks.head import HeadSurface
from ..landmarks.landmarks import FaceLandmarks3D
from ..landmarks.model import FaceModel

LATENT_SCALE = 8
"""Picture pixels per latent pixel."""

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


def landmark_maps(
    landmarks: FaceLandmarks3D, index: int, height: int, width: int, style: str, places: bool = False
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return what HiFi-Net sees of one set of landmarks, for the whole picture.

    Parameters
    ----------
    index
        Which of the landmark batch.
    height, width
        Size of the whole latent.
    style
        A name of ``landmarks.draw.STYLES``: how the checkpoint's landmarks were drawn.
    places
        Whether the checkpoint reads unwrapped heads.

    Returns
    -------
    hint
        ``(3, 8 * height, 8 * width)`` float32 in 0..1.
    coordinates
        ``(3, height, width)`` float32: u, v, and 1 where there is a face.
    places
        ``(3, 8 * height, 8 * width)`` float32: the same of the unwrapped head; None if it is not wanted.
    """
    one = landmarks[index].resized(width * LATENT_SCALE, height * LATENT_SCALE)
    hint = torch.from_numpy(np.ascontiguousarray(draw(one, style)[0])).permute(2, 0, 1)
    points = one.points[0] / np.float32(LATENT_SCALE)
    model = FaceModel.load()
    coordinates = torch.from_numpy(canonical_map(points, width, height, model)).permute(2, 0, 1).contiguous()
    head = None
    if places:
        found = HeadSurface.of(model).place_map(one.points[0], one.width, one.height)
        head = torch.from_numpy(found).permute(2, 0, 1).contiguous()
    return hint.to(torch.float32) / 255.0, coordinates, head

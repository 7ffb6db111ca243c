"""The one builder of what the networks see of landmarks: a drawing and two maps of coordinates.

Inference, the preparation of training data and evaluation all call `target_arrays`, so that a network is
never shown a face in another way than it was trained with. ``models.tokens.TargetMaps`` holds the same as
tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .canonical import canonical_map
from .draw import draw
from .head import HeadSurface
from .landmarks import FaceLandmarks3D
from .model import FaceModel


class TargetArrays(NamedTuple):
    """One target as arrays; ``H, W`` is the picture's size in px, ``h, w`` the latents'."""

    hint: np.ndarray
    """(H, W, 3) uint8 RGB: the landmarks drawn on black."""
    coords: np.ndarray
    """(h, w, 3) float32: canonical u, v in 0..1 and 1 on the face; see `canonical.canonical_map`."""
    uv_map: np.ndarray | None
    """(H, W, 3) float32: UV coordinates of the head and 1 on it, see `head.HeadSurface.uv_map`; None where
    it was not asked for."""


def target_arrays(
    landmarks: FaceLandmarks3D,
    index: int,
    latent_size: tuple[int, int],
    downscale: int,
    style: str,
    *,
    with_uv: bool,
    model: FaceModel | None = None,
    uv_map: Callable[[FaceLandmarks3D], np.ndarray] | None = None,
) -> TargetArrays:
    """Draw and map one set of landmarks.

    Parameters
    ----------
    landmarks : FaceLandmarks3D
        On a canvas of any size; it is fitted inside the picture, scaled evenly and centred.
    index : int
        Which of the batch.
    latent_size : tuple[int, int]
        Height and width of the latents.
    downscale : int
        Pixels of the picture per latent pixel: `models.config.HiFiNetConfig.latent_downscale`.
    style : str
        A name of `draw.STYLES`: how the landmarks of the network were drawn in training.
    with_uv : bool
        Whether the network reads UV textures, and so needs `TargetArrays.uv_map`.
    model : FaceModel | None
        The 3D face; None is the one that ships with the pack.
    uv_map : callable | None
        Makes the (H, W, 3) UV map of one set of landmarks in another layout than `head.HeadSurface`'s.

    Returns
    -------
    TargetArrays

    Raises
    ------
    ValueError
        The style is unknown; one line names it.
    """
    model = model or FaceModel.load()
    height, width = latent_size
    one = landmarks[index].resized(width * downscale, height * downscale)
    uv_map = uv_map or (
        lambda shown: HeadSurface.of(model).uv_map(shown.points[0], shown.width, shown.height)
    )
    return TargetArrays(
        hint=draw(one, style)[0],
        coords=latent_coordinates(one.points[0], latent_size, downscale, model),
        uv_map=uv_map(one) if with_uv else None,
    )


def latent_coordinates(
    points: np.ndarray, latent_size: tuple[int, int], downscale: int, model: FaceModel
) -> np.ndarray:
    """Return the canonical map of a target at the size of the latents.

    Parameters
    ----------
    points : np.ndarray
        (72, 3) landmarks in px of the picture.
    latent_size, downscale, model
        As for `target_arrays`.

    Returns
    -------
    np.ndarray
        (h, w, 3) float32: u, v in 0..1 and face.
    """
    height, width = latent_size
    return canonical_map(points / points.dtype.type(downscale), width, height, model)

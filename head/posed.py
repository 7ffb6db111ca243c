"""A photo and how the person's head lies in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..faces.photo import HeadPhoto
from ..faces.records import FaceRecord


@dataclass(frozen=True, eq=False)
class Posed:
    """A photo and how the person's head lies in it.

    Attributes
    ----------
    face : FaceRecord
        The record.
    photo : HeadPhoto
        Its source pixels.
    vertices : np.ndarray
        (V, 3): x, y in px of ``photo.pixels``, z px towards the viewer.
    normals : np.ndarray
        (V, 3) unit, camera frame.
    moved : np.ndarray
        (V,) displacement by the photo's expression, interocular distances.
    alpha : np.ndarray
        (H, W) float32 in 0..1: how much of each px of ``photo.pixels`` is the person.
    grey : bool
        The photo is black and white.
    scale : float
        Px of the photo per interocular distance.
    """

    face: FaceRecord
    photo: HeadPhoto
    vertices: np.ndarray
    normals: np.ndarray
    moved: np.ndarray
    alpha: np.ndarray
    grey: bool
    scale: float

"""The head's UV layout for networks: textures of single references, and UV coordinates of a target."""

from __future__ import annotations

import cv2
import numpy as np

from ..faces.records import FaceRecord, ReferenceFaces
from ..landmarks.camera import project, rotation
from ..landmarks.generate import placement
from ..landmarks.landmarks import FaceLandmarks3D
from ..landmarks.model import FaceModel
from .expression import expressed
from .fuse import fuse_head
from .model import HeadModel
from .raster import interpolate, triangle_ids


def head_uv_map(landmarks: FaceLandmarks3D) -> np.ndarray:
    """Return the UV coordinates of the head at each pixel, as `landmarks.head.HeadSurface.uv_map` does.

    Parameters
    ----------
    landmarks : FaceLandmarks3D
        One set.

    Returns
    -------
    np.ndarray
        (H, W, 3) float32: u, v in 0..1 and 1 on the head; all three are 0 elsewhere.
    """
    model = HeadModel.load()
    positions, scales = placement(landmarks, FaceModel.load())
    neutral = model.geometry(landmarks.shape)
    geometry = neutral + expressed(model, neutral, landmarks.expression[0])
    posed = model.posed(geometry[model.source], rotation(*landmarks.pose[0]))
    points = project(posed, np.eye(3), float(scales[0]), positions[0])
    ids = triangle_ids(points, model.triangles, landmarks.width, landmarks.height)
    found = interpolate(ids, points, model.triangles, model.uv).clip(0, 1)
    return np.dstack([found, (ids >= 0).astype(np.float32)])


def head_textures(faces: list[FaceRecord], size: int) -> np.ndarray:
    """Return each reference's own texture in the head's layout.

    Parameters
    ----------
    faces : list of FaceRecord
        With source pixels.
    size : int
        Side of a texture, px.

    Returns
    -------
    np.ndarray
        (N, size, size, 4) uint8: colours, and the confidence of each texel.

    Raises
    ------
    ValueError
        A reference has no source pixels.
    """
    textures = []
    for face in faces:
        head = fuse_head(ReferenceFaces((face,), (), "", ""), 256 if size <= 256 else 1024)
        layers = np.dstack([head.texture, head.confidence])
        textures.append(cv2.resize(layers, (size, size), interpolation=cv2.INTER_AREA))
    return np.stack(textures)

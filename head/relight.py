"""The light of another picture, for a head. *Ours*."""

from __future__ import annotations

import cv2
import numpy as np

from ..landmarks.landmarks import FaceLandmarks3D
from .light import basis, fit_light, flat_light, unit
from .records import Head
from .render import render_head

_SIDE = 256
_ROUNDS = 4
_SIGMA = 0.3
"""Difference (log light) from which a pixel is taken for something else than this head in another light."""
_CONFIDENT = 0.3


def light_of_picture(picture: np.ndarray, landmarks: FaceLandmarks3D, head: Head) -> np.ndarray:
    """Find the light of a picture that shows a face at these landmarks.

    The head is rendered there in flat light, and the spherical harmonics between the two are fitted,
    robustly: the picture need not show the same person, its skin's colour becomes part of the light
    otherwise.

    Parameters
    ----------
    picture : np.ndarray
        (H, W, 3) uint8 RGB.
    landmarks : FaceLandmarks3D
        The first face counts; canvas of any size, fitted to the picture.
    head : Head
        The head to be lit.

    Returns
    -------
    np.ndarray
        (9, 3) float32, for `render_head`; flat where the picture does not show the face.
    """
    height, width = picture.shape[:2]
    zoom = min(1.0, _SIDE / max(width, height))
    size = max(round(width * zoom), 16), max(round(height * zoom), 16)
    output = render_head(head, landmarks[0].resized(*size), light=flat_light())
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    seen = (output.confidence[0].numpy() > _CONFIDENT) & (output.alpha[0].numpy() > 0.95)
    if seen.sum() < 100:
        return flat_light()
    normals = unit(output.normals[0].numpy()[seen] * 2.0 - 1.0)
    own = output.picture[0].numpy()[seen].astype(np.float64)
    # sRGB's code values to linear light, well enough for a logarithm.
    logs = 2.2 * (np.log(small[seen] / 255.0 + 0.02) - np.log(own + 0.02))
    weights = output.confidence[0].numpy()[seen].astype(np.float64)
    light = flat_light().astype(np.float64)
    robust = weights
    for _ in range(_ROUNDS):
        light = fit_light(logs, robust, normals)
        residual = np.abs(logs - basis(normals) @ light).max(1)
        robust = weights / (1 + (residual / _SIGMA) ** 2)
    return np.clip(light, -6, 6).astype(np.float32)

"""A head as one small file for the face widget in the browser (``web/src/head_person.js``)."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from safetensors.numpy import save

FORMAT = "hifi-portrait-widget-head/1"
SIZE = 512
"""Side of the texture, px: the widget is about 400 px wide."""
_QUALITY = 88


class Textured(Protocol):
    """What is read of a head."""

    @property
    def geometry(self) -> np.ndarray:
        """(G, 3) float32 neutral, head frame."""

    @property
    def texture(self) -> np.ndarray:
        """(S, S, 3) uint8 RGB."""

    @property
    def opacity(self) -> np.ndarray:
        """(S, S) uint8."""


def widget_file(head: Textured, size: int = SIZE) -> bytes:
    """Pack a head for the widget.

    Parameters
    ----------
    head : Head
        The person.
    size : int
        Side of the texture, px.

    Returns
    -------
    bytes
        A safetensors file: ``geometry`` (G, 3) int16 with the metadata's ``scale``, and ``texture``, a JPEG
        with the colours above and the opacity as grey below. About 150 kB.
    """
    scale = float(np.abs(head.geometry).max() / 32767) or 1.0
    colour, opacity = (
        cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA) for part in (head.texture, head.opacity)
    )
    both = np.concatenate([colour[..., ::-1], np.repeat(opacity[..., None], 3, 2)])
    done, jpeg = cv2.imencode(".jpg", both, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ValueError("the head's texture cannot be written as JPEG; reinstall opencv-python")
    geometry = np.round(head.geometry / scale).astype(np.int16)
    tensors: dict[str, np.ndarray] = {"geometry": geometry, "texture": np.asarray(jpeg).ravel()}
    return save(tensors, {"format": FORMAT, "scale": repr(scale)})

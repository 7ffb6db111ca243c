"""A head as one small file for the face widget in the browser (``web/src/head_person.js``)."""

from __future__ import annotations

import json
from typing import Protocol

import cv2
import numpy as np
from safetensors.numpy import save

from .expression import blink_of, blinks_of
from .lids import MIXED, closed_lids
from .model import HeadModel
from .mouth import SMILE, closing

FORMAT = "hifi-portrait-widget-head/2"
SIZE = 512
"""Side of the texture, px: the widget is about 400 px wide."""
_QUALITY = 88
_LEAST = 1e-4
"""Displacement that is left out, interocular distances."""


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
        A safetensors file: ``geometry`` (G, 3) int16, lips closed, with the metadata's ``scale``;
        ``texture``, a JPEG with the colours above, the opacity as grey below, and below that the colours'
        rows from ``lids_top`` on with both lids closed; and what the expressions named in ``own`` add to the
        mesh's: ``own_start``, ``own_place`` and ``own_delta`` (int16 with ``own_scale``), as the mesh's file
        has its expressions. ``lids_mixed``: coefficients between which closed lids are mixed in. 150 kB.
    """
    model = HeadModel.load()
    lids, top = _with_closed_lids(head.texture, model, size)
    colour, opacity = (
        cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA) for part in (head.texture, head.opacity)
    )
    parts = [colour[..., ::-1], np.repeat(opacity[..., None], 3, 2), lids[..., ::-1]]
    done, jpeg = cv2.imencode(".jpg", np.concatenate(parts), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ValueError("the head's texture cannot be written as JPEG; reinstall opencv-python")
    tensors: dict[str, np.ndarray] = {"texture": np.asarray(jpeg).ravel()}
    geometry, metadata = head.geometry, {"format": FORMAT}
    if len(geometry) == len(model.mean):
        # Another mesh's head is told by the widget.
        shut = closing(model, geometry)
        geometry = geometry + shut
        added = [
            (blink.row, blink.moved, blink_of(model, head.geometry, blink)) for blink in blinks_of(model)
        ]
        lips = np.nonzero(np.abs(shut).max(1) > _LEAST)[0]
        added += [(model.expression_names.index(name), lips, shut[lips] / -len(SMILE)) for name in SMILE]
        tensors["own_start"] = np.r_[0, np.cumsum([len(places) for _, places, _ in added])].astype(np.int32)
        tensors["own_place"] = np.concatenate([places for _, places, _ in added]).astype(np.uint16)
        tensors["own_delta"], own_scale = _sixteen_bit(np.concatenate([delta for _, _, delta in added]))
        metadata["own_scale"] = repr(own_scale)
        metadata["own"] = json.dumps([model.expression_names[row] for row, _, _ in added])
    tensors["geometry"], scale = _sixteen_bit(geometry)
    metadata |= {"scale": repr(scale), "lids_top": str(top), "lids_mixed": json.dumps(MIXED)}
    return save(tensors, metadata)


def _sixteen_bit(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Values as int16, and what one step is worth."""
    scale = float(np.abs(values).max() / 32767) or 1.0
    return np.round(values / scale).astype(np.int16), scale


def _with_closed_lids(texture: np.ndarray, model: HeadModel, size: int) -> tuple[np.ndarray, int]:
    """Rows of the texture at the widget's size, lids closed: (rows, size, 3) uint8, and the first."""
    closed = texture.astype(np.float32)
    lids = closed_lids(texture, model)
    for lid in lids:
        count = len(lid.share)
        part = closed[lid.top : lid.top + count, lid.left : lid.left + count]
        part += lid.share[..., None] * (lid.colour * 255 - part)
    small = cv2.resize(closed, (size, size), interpolation=cv2.INTER_AREA).clip(0, 255)
    each = len(texture) / size
    top = int(min(lid.top for lid in lids) / each)
    bottom = int(np.ceil(max(lid.top + len(lid.share) for lid in lids) / each))
    return (small[top:bottom] + 0.5).astype(np.uint8), top

"""What may come in through a socket.

The host compares the names of linked sockets, and takes whatever a prompt holds in place of a link.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..boundary.text import echoed
from ..faces.records import ReferenceFaces
from ..head.face_crop import FaceCrops
from ..head.records import Head
from ..identity.identity import Identity
from ..landmarks.landmarks import FaceLandmarks3D
from ..patching.loading import HiFiNetPatcher


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda value: all(hasattr(value, name) for name in names)


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _is_image(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim in (3, 4) and 1 <= value.shape[-1] <= 4


def _is_mask(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and 2 <= value.ndim <= 4 and value.numel() > 0


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "FACE_ANALYZER": (_has("analyze", "recognizer", "fingerprint"), "Load Face Analyzer"),
    "REFERENCE_FACES": (_is(ReferenceFaces), "Load Reference Faces"),
    "IDENTITY": (_is(Identity), "Refine Faces or Load Identity"),
    "FACE_LANDMARKS_3D": (_is(FaceLandmarks3D), "a node that makes landmarks"),
    "HEAD": (_is(Head), "a node that makes a head"),
    "FACE_CROPS": (_is(FaceCrops), "Crop to Face"),
    "HIFI_NET": (_is(HiFiNetPatcher), "Load HiFi-Net"),
    "MODEL": (_has("clone", "model_options"), "a node that loads a model"),
    "VAE": (_has("encode", "decode"), "a node that loads a VAE"),
    "CLIP_VISION": (_has("encode_image"), "Load CLIP Vision"),
    "IMAGE": (_is_image, "a node that gives pictures of 1 to 4 channels"),
    "MASK": (_is_mask, "a node that gives a mask"),
}
"""By the socket's type: whether a value is one, and where it comes from."""


def socket_problem(io_type: str, value: Any) -> str | None:
    """Return why a value does not fit a socket, half a line; None where it fits, or nothing is known."""
    if io_type not in _KINDS:
        return None
    fits, source = _KINDS[io_type]
    if fits(value):
        return None
    what = f"a tensor of the shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else echoed(value)
    return f"must come from {source}, it is {what}"

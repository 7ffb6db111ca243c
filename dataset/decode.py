"""Stage decode: a picture's bytes become pixels, or a reason why not."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import cv2
import numpy as np

from ..boundary.text import reason
from ..faces.picture_files import (
    AnimatedPictureError,
    TooLargePictureError,
    UnreadablePictureError,
    decode_picture,
)
from ..faces.pictures import to_rgb8
from .config import Decode
from .record import Location, PictureRecord
from .sources import read_bytes


def rejected(record: PictureRecord, stage: str, why: str, **numbers: float | int | str) -> PictureRecord:
    """Return the record as one that a stage rejected."""
    return replace(record, stage=stage, reason=why, numbers=dict(numbers))


def decode(record: PictureRecord, config: Decode) -> tuple[PictureRecord, np.ndarray | None]:
    """Read a picture.

    Returns
    -------
    tuple
        The record with hash and size, and (H, W, 3) uint8 RGB; None where it is rejected.
    """
    try:
        data = read_bytes(record.location)
    except OSError as error:
        return rejected(record, "decode", "cannot be read", detail=reason(error)), None
    record = replace(record, sha256=hashlib.sha256(data).hexdigest())
    return pixels_of(record, data, config)


def pixels_of(record: PictureRecord, data: bytes, config: Decode) -> tuple[PictureRecord, np.ndarray | None]:
    """Decode bytes that have been read; as `decode`."""
    if not data:
        return rejected(record, "decode", "empty file"), None
    megabytes = len(data) / 1e6
    if megabytes > config.most_megabytes:
        return rejected(record, "decode", "file too large", megabytes=round(megabytes, 3)), None
    try:
        pixels = to_rgb8(decode_picture(data, record.name, config.animated))
    except AnimatedPictureError:
        return rejected(record, "decode", "animated"), None
    except TooLargePictureError as error:
        return rejected(record, "decode", "too many pixels", detail=reason(error)), None
    except UnreadablePictureError as error:
        return rejected(record, "decode", "unreadable", detail=reason(error)), None
    pixels = reduced(pixels, config.longest_side)
    height, width = pixels.shape[:2]
    record = replace(record, width=width, height=height)
    if min(width, height) < config.shortest_side:
        return rejected(record, "decode", "too small", width=width, height=height), None
    return record, pixels


def reduced(pixels: np.ndarray, longest: int) -> np.ndarray:
    """Return (H, W, 3) pixels no longer than ``longest`` on a side; smaller ones as they are."""
    height, width = pixels.shape[:2]
    zoom = longest / max(height, width)
    if zoom >= 1.0:
        return pixels
    size = max(round(width * zoom), 1), max(round(height * zoom), 1)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def read_again(record: PictureRecord, config: Decode) -> tuple[PictureRecord, np.ndarray | None]:
    """Read a picture that was analysed before; one whose bytes changed since is rejected."""
    again, pixels = decode(replace(record, location=Location(*_place(record))), config)
    if pixels is not None and again.sha256 != record.sha256:
        return rejected(record, "shards", "changed while the data set was built"), None
    return again, pixels


def _place(record: PictureRecord) -> tuple[str, int, int]:
    return record.location.path, record.location.offset, record.location.size

"""Pictures as the analyzers want them: RGB, uint8, named, and recognised by their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""Names that count as pictures in a folder; everything else is passed over silently."""

_ROW = 4096


@dataclass(frozen=True, eq=False)
class NamedImage:
    """One picture with the name that messages call it by.

    Attributes
    ----------
    name : str
        File name, or "picture 3" for the third picture of a batch.
    pixels : np.ndarray
        (H, W, 3) uint8 RGB.
    """

    name: str
    pixels: np.ndarray

    @cached_property
    def digest(self) -> str:
        """Return the hash of the pixels and their shape (see `content_digest`)."""
        return content_digest(self.pixels)


@dataclass(frozen=True)
class UnreadableImage:
    """A picture that cannot be used at all, and why."""

    name: str
    reason: str


def to_rgb8(image: np.ndarray) -> np.ndarray:
    """Turn any picture array into RGB uint8.

    Parameters
    ----------
    image : np.ndarray
        (H, W) or (H, W, C) with C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; uint8 0..255, uint16 0..65535,
        bool, or float 0..1. NaN becomes black, values outside the range are clipped, alpha is laid over grey
        127.

    Returns
    -------
    np.ndarray
        (H, W, 3) uint8, C-contiguous.

    Raises
    ------
    ValueError
        The array is no picture: wrong number of dimensions or channels, or empty.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 2, 3, 4):
        raise ValueError(f"a picture has 1 to 4 channels; this array has the shape {image.shape}")
    if 0 in image.shape:
        raise ValueError("the picture is empty (0 pixels)")
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    elif image.dtype == bool:
        image = image.astype(np.uint8) * 255
    elif image.dtype != np.uint8:
        image = np.nan_to_num(image.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0)
        image = (image.clip(0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    channels = image.shape[2]
    if channels in (2, 4):
        alpha = image[..., -1:].astype(np.float32) / 255.0
        image = (image[..., :-1] * alpha + 127.0 * (1.0 - alpha) + 0.5).astype(np.uint8)
    if image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(image)


def read_image(path: Path) -> np.ndarray:
    """Read a picture file, turned upright as its EXIF data says.

    Raises
    ------
    ValueError
        The file is not a picture that can be decoded.
    OSError
        The file cannot be read.
    """
    # Through bytes: OpenCV's own reader cannot open paths with non-Latin characters on Windows.
    data = np.frombuffer(path.read_bytes(), np.uint8)
    decoded = None
    if data.size:
        try:
            # IMREAD_COLOR turns by EXIF; alpha needs UNCHANGED, which does not turn.
            decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        except cv2.error:
            decoded = None
    if decoded is None:
        raise ValueError(f"{path.name} is not a readable picture (corrupt, or not a picture at all)")
    if path.suffix.lower() in (".png", ".webp", ".tif", ".tiff"):
        full = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if full is not None and full.ndim == 3 and full.shape[2] == 4:
            return to_rgb8(cv2.cvtColor(full, cv2.COLOR_BGRA2RGBA))
    return to_rgb8(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def read_folder(folder: Path) -> tuple[list[NamedImage], list[UnreadableImage]]:
    """Read all pictures of a folder (not of its subfolders), by name.

    Returns
    -------
    tuple
        The pictures, and those files that have a picture's extension but cannot be read, with the reason.

    Raises
    ------
    ValueError
        The folder does not exist or holds no picture.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; give one that holds the person's photos")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in EXTENSIONS and p.is_file())
    if not files:
        raise ValueError(f"the folder {folder} holds no pictures ({', '.join(sorted(EXTENSIONS))})")
    images: list[NamedImage] = []
    unreadable: list[UnreadableImage] = []
    for path in files:
        try:
            images.append(NamedImage(path.name, read_image(path)))
        except (ValueError, OSError, MemoryError) as error:
            unreadable.append(UnreadableImage(path.name, f"unreadable: {error}"))
    return images, unreadable


def content_digest(pixels: np.ndarray) -> str:
    """Hash the pixels of a picture, fast enough for every re-queue (about 3 GB/s on one core).

    Rows of 32 kB are first reduced by universal hashing (random odd multipliers modulo 2**64, once over the
    words and once over their high halves, which the first loses most of); the sums are hashed with BLAKE2.
    Not meant to withstand somebody who constructs collisions: a wrong hit only shows the forger another
    picture's face.

    Parameters
    ----------
    pixels : np.ndarray
        (H, W, 3) uint8.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    flat = np.ascontiguousarray(pixels).reshape(-1)
    whole = flat.size // (8 * _ROW) * (8 * _ROW)
    state = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    if whole:
        words = flat[:whole].view(np.uint64).reshape(-1, _ROW)
        state.update(np.einsum("ij,j->i", words, _MULTIPLIERS[0]).tobytes())
        state.update(np.einsum("ij,j->i", words >> np.uint64(29), _MULTIPLIERS[1]).tobytes())
    state.update(flat[whole:].tobytes())
    return state.hexdigest()


_MULTIPLIERS = np.random.default_rng(72).integers(0, 2**63, (2, _ROW), dtype=np.uint64) * 2 + 1

"""Pictures as the analyzers want them: RGB, uint8, named, and recognised by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ..boundary.files import written
from ..boundary.text import name, printable, reason
from .picture_files import PictureFile, UnreadablePictureError, read_picture

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""Names that count as pictures in a folder; everything else is passed over silently."""

_ROW = 4096


class Picture(Protocol):
    """A picture of one of the references: `NamedImage` in memory, `PictureFile` on the disk."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def key(self) -> Hashable:
        """Changes with the picture; known without decoding it."""

    @property
    def pixels(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB; from a file it may raise `UnreadablePictureError`."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""

    @property
    def digest(self) -> str:
        """Hash of the pixels and their shape (see `content_digest`)."""


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
        """Hash of the pixels and their shape (see `content_digest`)."""
        return content_digest(self.pixels)

    @property
    def key(self) -> str:
        """The digest: what is in memory is told by its pixels."""
        return self.digest

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return self.pixels.shape[1], self.pixels.shape[0]


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
    """Read a picture file, turned upright as its EXIF data says; see `picture_files.read_picture`.

    Returns
    -------
    np.ndarray
        (H, W, 3) uint8 RGB, no side longer than `picture_files.LONGEST_SIDE`.

    Raises
    ------
    UnreadablePictureError
        The file is not a picture that can be decoded, or too large.
    """
    return to_rgb8(read_picture(path))


def read_folder(folder: Path, most: int | None = None) -> tuple[list[PictureFile], list[UnreadableImage]]:
    """Look at all pictures of a folder (not of its subfolders), by name; none is decoded yet.

    Parameters
    ----------
    folder : Path
        The folder.
    most : int, optional
        Refuse a folder with more pictures.

    Returns
    -------
    tuple
        The pictures, and those files that have a picture's extension but cannot be read, with the reason.

    Raises
    ------
    ValueError
        The folder does not exist, cannot be read, or holds no picture or too many.
    """
    shown = printable(folder, 160)
    try:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in EXTENSIONS and p.is_file())
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"there is no folder {shown}; give one that holds the person's photos") from None
    except OSError as error:
        raise ValueError(f"the folder {shown} cannot be read: {reason(error)}") from None
    if not files:
        raise ValueError(f"the folder {shown} holds no pictures ({', '.join(sorted(EXTENSIONS))})")
    if most is not None and len(files) > most:
        raise ValueError(
            f"the folder {shown} holds {len(files)} pictures; give at most {most} references, the best ones"
        )
    images: list[PictureFile] = []
    unreadable: list[UnreadableImage] = []
    for path in files:
        try:
            images.append(PictureFile(path))
        except UnreadablePictureError as error:
            unreadable.append(UnreadableImage(name(path.name), f"unreadable: {error}"))
    return images, unreadable


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write a picture file, whole or not at all.

    Parameters
    ----------
    path : Path
        Its suffix, one of `EXTENSIONS`, says the kind; none is PNG.
    pixels : np.ndarray
        (H, W, 3) uint8 RGB.

    Raises
    ------
    ValueError
        The suffix is none of them, or the file cannot be written.
    """
    suffix = path.suffix.lower() or ".png"
    if suffix not in EXTENSIONS:
        raise ValueError(
            f"{name(path.name)} is no name of a picture; end it in {', '.join(sorted(EXTENSIONS))}"
        )
    kind = Image.registered_extensions()[suffix]
    with written(path) as part, part.open("wb") as file:
        Image.fromarray(pixels).save(file, kind, quality=95)


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

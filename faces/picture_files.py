"""Picture files that others made: looked at before they are decoded, and decoded one at a time."""

from __future__ import annotations

import contextlib
import io
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from ..boundary import text
from ..boundary.files import stamp

MOST_PIXELS = 1 << 27
"""134 megapixels, *ours*, for JPEG, which is decoded at the scale that is needed. Others, which are decoded
whole, may have half as many: one stays below 0.3 GB and takes seconds."""
MOST_BYTES = 1 << 28
LONGEST_SIDE = 4096
"""px; larger pictures are reduced to it: a face that matters is cut out at 224 px."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
"""Pillow's names (phones' MPO is read as JPEG). Others are refused whatever the file is called: some of
Pillow's readers start programs."""

_KEPT_BYTES = 1 << 28
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF orientation."""


class UnreadablePictureError(ValueError):
    """A file that is no usable picture; one line that names it and says why."""


class TooLargePictureError(UnreadablePictureError):
    """One of more bytes or pixels than are read."""


class AnimatedPictureError(UnreadablePictureError):
    """One of several frames, where one is wanted."""


def read_picture(path: Path) -> np.ndarray:
    """Read a picture file, turned upright as its EXIF data says.

    Kind, size in bytes and size in pixels are checked first; then it is decoded, JPEG at the scale that is
    needed, and reduced to `LONGEST_SIDE`.

    Returns
    -------
    np.ndarray
        (H, W, 3) uint8 RGB, or (H, W, 4) RGBA; (H, W) float32 for TIFFs of such numbers.

    Raises
    ------
    UnreadablePictureError
        Not a picture of `FORMATS`, too large, or damaged. Nothing else is ever raised.
    """
    shown = text.name(path.name)
    return _read(lambda: _opened(path, shown), shown)


def decode_picture(data: bytes, name: str, animated: bool = False) -> np.ndarray:
    """Decode a picture file's bytes as `read_picture` does a file.

    Parameters
    ----------
    data : bytes
        The file's content.
    name : str
        What messages call it.
    animated : bool
        Whether the first frame of an animation is taken; otherwise it is refused.

    Raises
    ------
    TooLargePictureError, AnimatedPictureError, UnreadablePictureError
        As `read_picture`. Nothing else is ever raised.
    """
    shown = text.name(name)
    return _read(lambda: _checked(io.BytesIO(data), len(data), shown), shown, animated)


def _read(
    opened: Callable[[], contextlib.AbstractContextManager[Image.Image]], shown: str, animated: bool = True
) -> np.ndarray:
    try:
        with opened() as image:
            # Phones keep a depth map or a second view in an MPO: its first frame is the picture.
            if not animated and image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
                raise AnimatedPictureError(f"{shown} has several frames; save one of them")
            width, height = image.size
            zoom = min(1.0, LONGEST_SIDE / max(width, height))
            if zoom < 1.0:
                image.draft(None, (round(width * zoom), round(height * zoom)))
            plain = _plain(image)
            turn = _turn(image)  # after decoding: Pillow turns TIFFs itself
            if zoom < 1.0 and max(plain.size) > LONGEST_SIDE:
                plain.thumbnail((LONGEST_SIDE, LONGEST_SIDE), reducing_gap=2.0)
            return np.asarray(plain if turn is None else plain.transpose(turn))
    except UnreadablePictureError:
        raise
    except Exception as error:  # whatever Pillow raises: the file is somebody else's
        raise UnreadablePictureError(
            f"{shown} is not a readable picture ({text.reason(error)}); save it again as JPEG or PNG"
        ) from None


class PictureFile:
    """A picture that lies in a file, decoded when its pixels are asked for.

    Of the pixels of all such pictures the latest 256 MB are kept.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    UnreadablePictureError
        The file's header says that it cannot be used; only that is read.
    """

    def __init__(self, path: Path) -> None:
        self.name = text.name(path.name)
        """What messages call the picture."""
        self._path = path
        try:
            with _opened(path, self.name):
                self.key: Hashable = stamp(path)
        except OSError as error:
            raise UnreadablePictureError(f"{self.name} cannot be read: {text.reason(error)}") from None

    @property
    def pixels(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB.

        Raises
        ------
        UnreadablePictureError
            As `read_picture`.
        """
        from .pictures import to_rgb8

        kept = _kept.get(self.key)
        return kept if kept is not None else _kept.put(self.key, to_rgb8(read_picture(self._path)))

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        height, width = self.pixels.shape[:2]
        return width, height

    @cached_property
    def digest(self) -> str:
        """Hash of the pixels and their shape (see `pictures.content_digest`)."""
        from .pictures import content_digest

        return content_digest(self.pixels)


class _Pixels:
    """The pixels that were decoded last; safe to use from several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> np.ndarray | None:
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: Hashable, pixels: np.ndarray) -> np.ndarray:
        with self._lock:
            self._items[key] = pixels
            while sum(item.nbytes for item in self._items.values()) > self._most:
                self._items.popitem(last=False)
        return pixels

    def clear(self) -> None:
        with self._lock:
            self._items.clear()


_kept = _Pixels(_KEPT_BYTES)


def forget_pixels() -> None:
    """Free the pixels that are kept; called when a set of references is complete."""
    _kept.clear()


@contextlib.contextmanager
def _opened(path: Path, shown: str) -> Iterator[Image.Image]:
    # Pillow would map a file that it opens itself: one that shrinks meanwhile ends the process.
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UnreadablePictureError(f"{shown} is not a file")
    with path.open("rb") as file, _checked(file, found.st_size, shown) as image:
        yield image


@contextlib.contextmanager
def _checked(file: BinaryIO, size_bytes: int, shown: str) -> Iterator[Image.Image]:
    if not size_bytes:
        raise UnreadablePictureError(f"{shown} is empty; copy it again")
    if size_bytes > MOST_BYTES:
        raise TooLargePictureError(
            f"{shown} has {size_bytes >> 20} MB, a picture at most {MOST_BYTES >> 20}; save it smaller"
        )
    size, most = "", MOST_PIXELS
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        size = f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} megapixels"
    except Exception as error:  # whatever Pillow raises: the file is somebody else's
        detail = "" if isinstance(error, Image.UnidentifiedImageError) else f": {text.reason(error)}"
        raise UnreadablePictureError(
            f"{shown} is not a readable picture (corrupt, or not JPEG, PNG, WebP, BMP or TIFF{detail})"
        ) from None
    else:
        if image.format not in ("JPEG", "MPO"):
            most //= 2
        if image.width * image.height > most:
            size = f"{image.width} x {image.height} pixels"
    if size:
        raise TooLargePictureError(
            f"{shown} has {size}, at most {most // 10**6} megapixels are read; save it smaller"
        )
    with image:
        yield image


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return what turns the picture upright, None where nothing is to be done."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF data do not make the picture unusable
        return None


def _plain(image: Image.Image) -> Image.Image:
    """Decode to RGB, RGBA or F."""
    image.load()
    if image.mode in ("RGB", "RGBA", "F"):
        return image
    if image.mode.startswith("I"):  # 16 bits in one channel, which Pillow's own conversion would clip
        values = np.asarray(image)
        grey = values.clip(0, 65535).astype(np.uint16) >> 8
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    clear = image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info
    return image.convert("RGBA" if clear else "RGB")

"""Stage shards: WebDataset tar files with all that training needs; the same samples give the same bytes.

``shards/pictures-NNNNNN.tar`` holds a sample per picture, all pictures of a person one after the other, as
``training/data/shards.py`` reads them; ``people/people-NNNNNN.tar`` a sample per person. What each member
holds is told in docs/dataset.md.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
from PIL import Image

from ..boundary.files import PRIVATE, written

Members: TypeAlias = dict[str, bytes]
"""Of one sample: by ending, without ``__key__``."""
PICTURES, PEOPLE = "pictures", "people"
FOLDERS = {PICTURES: "shards", PEOPLE: "people"}
"""Of each kind of shard: training reads all of the first."""


def shard_path(out: Path, kind: str, index: int) -> Path:
    """Return the file of a shard; ``kind`` is `PICTURES` or `PEOPLE`."""
    return out / FOLDERS[kind] / f"{kind}-{index:06d}.tar"


def shard_files(out: Path, kind: str) -> list[Path]:
    """Return the shards of a data set, in order."""
    return sorted((out / FOLDERS[kind]).glob(f"{kind}-*.tar"))


class ShardWriter:
    """Writes samples into a tar file; see `shard_writer`."""

    def __init__(self, stream: Any) -> None:
        # Brings torch, which processes that only analyse do without.
        from webdataset import TarWriter

        # The time of every member is 0 and its owner nobody, so that equal samples give equal bytes.
        self._tar = TarWriter(stream, user="", group="", mode=0o600, mtime=0.0, encoder=False)

    def write(self, key: str, members: Mapping[str, bytes]) -> None:
        """Add a sample."""
        self._tar.write({"__key__": key, **dict(sorted(members.items()))})

    def close(self) -> None:
        """Write the end of the file."""
        self._tar.close()


@contextmanager
def shard_writer(path: Path) -> Iterator[ShardWriter]:
    """Write a shard whole or not at all; only its owner may read it.

    Raises
    ------
    SaveError
        It cannot be written.
    """
    with written(path, PRIVATE) as part, part.open("wb") as stream:
        writer = ShardWriter(stream)
        yield writer
        writer.close()


def read_shard(path: Path, endings: Collection[str] | None = None) -> Iterator[tuple[str, Members]]:
    """Read the samples of a shard that this module wrote, in order.

    Parameters
    ----------
    path : Path
        The shard.
    endings : collection of str, optional
        Members that are wanted; others are passed over, not read. None: all.

    Raises
    ------
    ValueError
        The file is damaged.
    """
    from webdataset.tariterators import base_plus_ext

    key, members = "", Members()
    try:
        with tarfile.open(path, "r:") as opened:
            for member in opened:
                cast(Any, opened).members = []  # tarfile keeps every header it has read
                base, ending = base_plus_ext(member.name)
                if base is None or not member.isfile():
                    continue
                if base != key and key:
                    yield key, members
                    members = Members()
                key = base
                file = opened.extractfile(member) if endings is None or ending in endings else None
                if file is not None:
                    members[ending] = file.read()
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"{path.name} is damaged ({error}); build or copy it again") from None
    if key:
        yield key, members


def encode_json(values: Mapping[str, Any]) -> bytes:
    """Encode plain values, their keys sorted."""
    return json.dumps(values, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")


def encode_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Encode arrays as .npz: bytes as they are, other numbers as float32."""
    plain = {
        key: np.ascontiguousarray(value, np.uint8 if value.dtype == np.uint8 else np.float32)
        for key, value in sorted(arrays.items())
    }
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **plain)
    return stream.getvalue()


def decode_arrays(data: bytes) -> Mapping[str, np.ndarray]:
    """Decode a .npz, each array when it is asked for; never a pickle."""
    arrays: Mapping[str, np.ndarray] = np.load(io.BytesIO(data), allow_pickle=False)
    return arrays


def encode_picture(pixels: np.ndarray, kind: str, quality: int = 95) -> bytes:
    """Encode (H, W), (H, W, 3) or (H, W, 4) uint8 without any metadata; ``kind`` is jpg or png."""
    if kind == "jpg":
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=0)
        return stream.getvalue()
    codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    ordered = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, codes[pixels.shape[2]])
    return bytes(cv2.imencode(".png", ordered)[1].tobytes())


def decode_png(data: bytes) -> np.ndarray:
    """Decode what `encode_picture` wrote, RGB or RGBA or grey."""
    return np.asarray(Image.open(io.BytesIO(data), formats=("PNG", "JPEG")))

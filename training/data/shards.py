"""WebDataset shards of identities, read at random: the trainer's data.

A shard is a tar file with three members for each picture: ``KEY.jpg`` (or ``.png``), ``KEY.json``
(``person``, ``caption``) and ``KEY.npz`` (`ARRAYS`). `ShardIndex` notes once where each member lies, so that
any picture is one seek away. A stream through a shuffle buffer would depend on the number of readers and
could only be resumed by reading everything again; with the index, the n-th example of a run is a function
of the seed and of n alone, for any number of processes and workers.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from ...boundary.files import written
from ...boundary.text import name as shown

ARRAYS = {
    "points": (72, 3),
    "embedding": (None,),
    "crop": (None, None, 3),
    "crop_matrix": (2, 3),
    "mask": (None, None),
}
"""Arrays of a picture and their shapes: landmarks of the fitted 3D face in px of the picture, unit embedding,
canonical crop (uint8, background grey), picture px to crop px, the person in the crop (uint8, 0..255)."""
PICTURES = (".jpg", ".jpeg", ".png")
INDEX = "shards.index.npz"


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a shard with what is known of it."""

    key: str
    person: str
    caption: str
    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    arrays: Mapping[str, np.ndarray]
    """See `ARRAYS`; ``embedding_norm`` () too where the embedding is not of unit length by nature."""


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """Where the members of all shards of a folder lie; one row for each picture, people together.

    Attributes
    ----------
    files : tuple of str
        Names of the shards.
    shard : np.ndarray
        (N,) which file.
    place : np.ndarray
        (N, 3, 2) int64: first byte and number of bytes of picture, JSON and arrays.
    person : np.ndarray
        (N,) number of the person.
    first, count : np.ndarray
        (P,) first row and number of rows of each person.
    keys, people : tuple of str
        Name of each row and of each person.
    """

    folder: Path
    files: tuple[str, ...]
    shard: np.ndarray
    place: np.ndarray
    person: np.ndarray
    first: np.ndarray
    count: np.ndarray
    keys: tuple[str, ...]
    people: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.shard)

    @classmethod
    def open(cls, folder: Path) -> ShardIndex:
        """Read the index of a folder's shards; it is made, and kept beside them, where it is missing or old.

        Raises
        ------
        FileNotFoundError
            There are no shards.
        ValueError
            A shard is damaged or lacks a member; one line names it.
        """
        files = sorted(folder.glob("*.tar"))
        if not files:
            raise FileNotFoundError(
                f"{folder}: no shards (*.tar); make them with 'hifi-portrait dataset build'"
            )
        stamp = json.dumps([[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files])
        kept = folder / INDEX
        if kept.is_file():
            with np.load(kept) as stored:
                if str(stored["stamp"]) == stamp:
                    return cls._of(folder, {k: stored[k] for k in stored.files})
        rows = [row for number, file in enumerate(files) for row in _members(file, number)]
        rows.sort(key=lambda row: (row[0], row[1]))
        found = {
            "stamp": np.array(stamp),
            "files": np.array([f.name for f in files]),
            "names": np.array([row[0] for row in rows]),
            "keys": np.array([row[1] for row in rows]),
            "shard": np.array([row[2] for row in rows], np.int32),
            "place": np.array([row[3] for row in rows], np.int64),
        }
        with written(kept) as part, part.open("wb") as file:
            np.savez_compressed(file, **found)  # type: ignore[arg-type]
        return cls._of(folder, found)

    @classmethod
    def _of(cls, folder: Path, found: Mapping[str, np.ndarray]) -> ShardIndex:
        people, first, person, count = np.unique(
            found["names"], return_index=True, return_inverse=True, return_counts=True
        )
        return cls(
            folder,
            tuple(found["files"].tolist()),
            found["shard"],
            found["place"],
            person,
            first,
            count,
            tuple(found["keys"].tolist()),
            tuple(people.tolist()),
        )

    def without(self, people: Iterable[int]) -> np.ndarray:
        """Return the rows that can be targets: of people with two pictures or more who are not ``people``."""
        usable = self.count >= 2
        usable[list(people)] = False
        return np.flatnonzero(usable[self.person])

    def read(self, row: int, image: bool = True) -> Picture:
        """Read one picture; without ``image`` its pixels are left out ((0, 0, 3)).

        Raises
        ------
        ValueError
            A member is damaged; one line names shard and picture.
        """
        where = f"{self.files[self.shard[row]]}: {shown(self.keys[row])}"
        try:
            pixels = _decoded(self._bytes(row, 0)) if image else np.zeros((0, 0, 3), np.uint8)
            facts = json.loads(self._bytes(row, 1))
            with np.load(io.BytesIO(self._bytes(row, 2)), allow_pickle=False) as stored:
                arrays = {key: stored[key] for key in stored.files}
        except (OSError, ValueError, KeyError, cv2.error) as error:
            raise ValueError(f"{where} is damaged ({error}); build the data set again") from None
        for key, shape in ARRAYS.items():
            found = arrays[key].shape if key in arrays else ()
            if len(found) != len(shape) or any(a not in (None, b) for a, b in zip(shape, found, strict=True)):
                raise ValueError(f"{where} has {key} of shape {found}; build the data set again")
        return Picture(self.keys[row], str(facts["person"]), str(facts.get("caption", "")), pixels, arrays)

    def _bytes(self, row: int, member: int) -> bytes:
        start, size = self.place[row, member]
        file = _opened(str(self.folder / self.files[self.shard[row]]))
        file.seek(int(start))
        return file.read(int(size))


@lru_cache(maxsize=64)
def _opened(path: str) -> IO[bytes]:
    return Path(path).open("rb")


def _decoded(data: bytes) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise ValueError("no picture")
    return np.asarray(pixels)


def _members(file: Path, number: int) -> Iterator[tuple[str, str, int, list[tuple[int, int]]]]:
    """Yield person, key, shard and places of each picture of one shard."""
    members: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(file) as tar:
            for member in tar:
                key, dot, suffix = member.name.partition(".")
                if member.isfile():
                    members.setdefault(key, {})[dot + suffix.lower()] = (member.offset_data, member.size)
    except tarfile.TarError as error:
        raise ValueError(f"{file.name}: damaged ({error}); build the data set again") from None
    with file.open("rb") as opened:
        for key, found in members.items():
            picture = next((found[kind] for kind in PICTURES if kind in found), None)
            if picture is None or ".json" not in found or ".npz" not in found:
                raise ValueError(
                    f"{file.name}: {shown(key)} lacks its picture, .json or .npz; build it again"
                )
            opened.seek(found[".json"][0])
            facts = json.loads(opened.read(found[".json"][1]))
            yield str(facts["person"]), key, number, [picture, found[".json"], found[".npz"]]


def write_shard(path: Path, pictures: Iterable[Picture]) -> None:
    """Write pictures as one shard, as JPEG of quality 95; equal pictures give equal bytes."""
    with written(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for one in pictures:
            arrays = io.BytesIO()
            np.savez(arrays, **one.arrays)  # type: ignore[arg-type]
            facts: dict[str, Any] = {"person": one.person, "caption": one.caption}
            done, jpeg = cv2.imencode(".jpg", one.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
            assert done
            for suffix, data in (
                ("jpg", jpeg.tobytes()),
                ("json", json.dumps(facts, sort_keys=True).encode()),
                ("npz", arrays.getvalue()),
            ):
                info = tarfile.TarInfo(f"{one.key}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))

"""Shards of people, as 'dataset build' writes them (docs/dataset.md), read at random: the trainer's data.

Of each picture's members training reads the picture itself (``jpg`` or ``png``), ``json`` (``person``,
``crop_matrix``, ``embedding_norm``), ``txt`` (caption), ``crop.png`` (canonical crop, the person as its
alpha), ``points.npy`` (72 landmarks of the fitted 3D face, px of the picture) and ``embedding.npy``.

`ShardIndex` notes once where each member lies, so that any picture is one seek away. A stream through a
shuffle buffer would depend on the number of readers and could only be resumed by reading everything again;
with the index, the n-th example of a run is a function of the seed and of n alone, for any number of
processes and workers.
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

MEMBERS = ("picture", "json", "txt", "crop.png", "points.npy", "embedding.npy")
"""What is read of each picture, in the order of `ShardIndex.place`."""
PICTURES = ("jpg", "png")
INDEX = "shards.index.npz"


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a shard with what is known of it."""

    key: str
    person: str
    caption: str
    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    points: np.ndarray
    """(72, 3) landmarks of the fitted 3D face, px of the picture."""
    embedding: np.ndarray
    """(E,) float32 of unit length."""
    embedding_norm: float
    """As the recognizer gave it."""
    crop: np.ndarray
    """(224, 224, 4) uint8: the canonical crop, and the person."""
    crop_matrix: np.ndarray
    """(2, 3) px of the picture to px of the crop."""


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """Where the members of all shards of a folder lie; one row for each picture, people together.

    Attributes
    ----------
    files : tuple of str
        Names of the shards, relative to the folder.
    shard : np.ndarray
        (N,) which file.
    place : np.ndarray
        (N, 6, 2) int64: first byte and number of bytes of each of `MEMBERS`.
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
        files = sorted([*folder.glob("shards/pictures-*.tar"), *folder.glob("pictures-*.tar")])
        if not files:
            raise FileNotFoundError(
                f"{folder}: no shards (pictures-*.tar); make them with 'hifi-portrait dataset build'"
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
            "files": np.array([f.relative_to(folder).as_posix() for f in files]),
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
            pixels = (
                _decoded(self._bytes(row, "picture"))[..., :3] if image else np.zeros((0, 0, 3), np.uint8)
            )
            facts = json.loads(self._bytes(row, "json"))
            one = Picture(
                self.keys[row],
                str(facts["person"]),
                self._bytes(row, "txt").decode(),
                pixels,
                _array(self._bytes(row, "points.npy")),
                _array(self._bytes(row, "embedding.npy")),
                float(facts["embedding_norm"]),
                _decoded(self._bytes(row, "crop.png")),
                np.array(facts["crop_matrix"], np.float32),
            )
        except (OSError, ValueError, KeyError, TypeError, cv2.error) as error:
            raise ValueError(f"{where} is damaged ({error}); build the data set again") from None
        shapes = (one.points.shape, one.crop.shape[2:], one.crop_matrix.shape, one.embedding.ndim)
        if shapes != ((72, 3), (4,), (2, 3), 1):
            raise ValueError(f"{where} has members of other shapes; build the data set again")
        return one

    def _bytes(self, row: int, member: str) -> bytes:
        start, size = self.place[row, MEMBERS.index(member)]
        file = _opened(str(self.folder / self.files[self.shard[row]]))
        file.seek(int(start))
        return file.read(int(size))


@lru_cache(maxsize=64)
def _opened(path: str) -> IO[bytes]:
    return Path(path).open("rb")


def _decoded(data: bytes) -> np.ndarray:
    """Decode a picture, with its alpha where it has one; RGB, never turned by what a camera noted."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3:
        raise ValueError("no colour picture")
    code = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(pixels, code))


def _array(data: bytes) -> np.ndarray:
    return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))


Row = tuple[str, str, int, list[tuple[int, int]]]


def _members(file: Path, number: int) -> Iterator[Row]:
    """Yield person, key, shard and places of each picture of one shard."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(file) as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                if member.isfile():
                    found.setdefault(key, {})[ending] = (member.offset_data, member.size)
    except tarfile.TarError as error:
        raise ValueError(f"{file.name}: damaged ({error}); build the data set again") from None
    with file.open("rb") as opened:
        for key, places in found.items():
            picture = next((places[kind] for kind in PICTURES if kind in places), None)
            missing = [name for name in MEMBERS[1:] if name not in places]
            if picture is None or missing:
                lacks = "a picture" if picture is None else missing[0]
                raise ValueError(f"{file.name}: {shown(key)} lacks {lacks}; build the data set again")
            opened.seek(places["json"][0])
            person = str(json.loads(opened.read(places["json"][1]))["person"])
            yield person, key, number, [picture, *(places[name] for name in MEMBERS[1:])]


def write_shard(path: Path, pictures: Iterable[Picture]) -> None:
    """Write pictures as one shard with the members that training reads; equal pictures give equal bytes."""
    with written(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for one in pictures:
            facts: dict[str, Any] = {
                "person": one.person,
                "embedding_norm": one.embedding_norm,
                "crop_matrix": np.asarray(one.crop_matrix, np.float64).round(6).tolist(),
            }
            members = {
                "jpg": _encoded(".jpg", cv2.cvtColor(one.image, cv2.COLOR_RGB2BGR)),
                "crop.png": _encoded(".png", cv2.cvtColor(one.crop, cv2.COLOR_RGBA2BGRA)),
                "points.npy": _saved(one.points),
                "embedding.npy": _saved(one.embedding),
                "txt": one.caption.encode(),
                "json": json.dumps(facts, sort_keys=True).encode(),
            }
            for ending, data in members.items():
                info = tarfile.TarInfo(f"{one.key}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def _encoded(kind: str, pixels: np.ndarray) -> bytes:
    settings = [cv2.IMWRITE_JPEG_QUALITY, 95] if kind == ".jpg" else []
    return bytes(cv2.imencode(kind, pixels, settings)[1].tobytes())


def _saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array, np.float32), allow_pickle=False)
    return stream.getvalue()

"""What is known of one picture on its way through the pipeline: a row of the tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

STAGES = (
    "source", "decode", "detect", "filter", "group", "purify", "duplicates", "matte", "fit", "texture",
    "caption", "shards",
)  # fmt: skip
"""In the order in which a picture goes through them."""
ACCEPTED = "shards"
"""Stage of a picture that nothing rejected."""


@dataclass(frozen=True)
class Location:
    """Where a picture's bytes lie: a file, or a part of one (a member of a tar file).

    Attributes
    ----------
    path : str
        The file.
    offset : int
        Where in the file the picture begins, bytes.
    size : int
        Bytes; -1 is all of the file.
    """

    path: str
    offset: int = 0
    size: int = -1


@dataclass(frozen=True, eq=False)
class PictureRecord:
    """One picture.

    Attributes
    ----------
    key : str
        Of its place in the source: unique, and the same in every run.
    name : str
        Of the file or member, relative to the source, for messages.
    location : Location
        Where its bytes lie.
    sha256 : str
        Of these bytes, hexadecimal.
    width, height : int
        px, as analysed (turned upright, reduced to ``decode.longest_side``).
    label : str
        Person that the source says it shows; "" where it says none.
    caption : str
        That the source gives; "" where there is none.
    faces : int
        Found that count.
    box : np.ndarray
        (4,) float32 x0, y0, x1, y1 of the largest face, px.
    score : float
        The detector's confidence, 0..1.
    size_px, sharpness, exposure, completeness, quality : float
        As in ``faces/records.py: Quality``; `quality` is its score.
    pose : np.ndarray
        (3,) float32 yaw, pitch, roll, degrees.
    keypoints : np.ndarray
        (5, 2) float32, px.
    landmarks : np.ndarray
        (468 or 68, 3) float32, px.
    embedding : np.ndarray
        (D,) float32 of unit length.
    embedding_norm : float
        As the recognizer gave it.
    hashes : np.ndarray
        (2,) uint64: perceptual hashes of the aligned face and of its mirror image.
    view : bytes
        The aligned face as PNG, for the comparison of copies; empty where there is no face.
    stage : str
        One of `STAGES`: the one that rejected it, or `ACCEPTED`.
    reason : str
        Why it was rejected, a few words that are the same for all such pictures; "" where it was not.
    numbers : dict
        Numbers or texts that the reason rests on.
    person : str
        The person's id once it is known; "" before.
    """

    key: str
    name: str
    location: Location
    sha256: str = ""
    width: int = 0
    height: int = 0
    label: str = ""
    caption: str = ""
    faces: int = 0
    box: np.ndarray = field(default_factory=lambda: np.zeros(4, np.float32))
    score: float = 0.0
    size_px: float = 0.0
    sharpness: float = 0.0
    exposure: float = 0.0
    completeness: float = 0.0
    quality: float = 0.0
    pose: np.ndarray = field(default_factory=lambda: np.zeros(3, np.float32))
    keypoints: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    landmarks: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    embedding: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    embedding_norm: float = 1.0
    hashes: np.ndarray = field(default_factory=lambda: np.zeros(2, np.uint64))
    view: bytes = b""
    stage: str = ACCEPTED
    reason: str = ""
    numbers: dict[str, float | int | str] = field(default_factory=dict)
    person: str = ""

    @property
    def rejected(self) -> bool:
        """Whether a stage rejected it."""
        return bool(self.reason)

    def to_row(self) -> dict[str, Any]:
        """Return plain values for a table: arrays as lists, numbers as JSON."""
        row: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Location):
                row |= {"path": value.path, "offset": value.offset, "bytes": value.size}
            elif isinstance(value, np.ndarray):
                row[item.name] = value.reshape(-1)
            elif isinstance(value, dict):
                row[item.name] = json.dumps(value, sort_keys=True)
            else:
                row[item.name] = value
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> PictureRecord:
        """Make a record of what `to_row` returned; fields that the row lacks are empty."""
        values: dict[str, Any] = {"location": Location(row["path"], row["offset"], row["bytes"])}
        for item in fields(cls):
            if item.name in row and item.name != "location":
                values[item.name] = _value(item.name, row[item.name])
        return cls(**values)


_ARRAYS: dict[str, tuple[type, tuple[int, ...]]] = {
    "box": (np.float32, (4,)),
    "pose": (np.float32, (3,)),
    "keypoints": (np.float32, (-1, 2)),
    "landmarks": (np.float32, (-1, 3)),
    "embedding": (np.float32, (-1,)),
    "hashes": (np.uint64, (2,)),
}


def _value(name: str, value: Any) -> Any:
    if name in _ARRAYS:
        kind, shape = _ARRAYS[name]
        return np.asarray(value, kind).reshape(shape)
    return json.loads(value) if name == "numbers" else value


def counted(records: Iterable[PictureRecord]) -> dict[str, dict[str, int]]:
    """Count rejected records by stage and reason, in the order of `STAGES`."""
    found: dict[str, dict[str, int]] = {}
    for record in records:
        if record.rejected:
            reasons = found.setdefault(record.stage, {})
            reasons[record.reason] = reasons.get(record.reason, 0) + 1
    return {stage: dict(sorted(found[stage].items())) for stage in STAGES if stage in found}

"""Who is who: all faces that passed the filter are grouped, purified, and rid of duplicates.

The only stage that needs all pictures at once, and of each only its embedding, hashes, size and label.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from .config import PipelineConfig
from .duplicates import Duplicates, find_duplicates
from .grouping import group
from .purify import MIXED, NOBODY, OUTLIER, Purified, PurifyConfig, purify
from .record import PictureRecord

UNSHARDED = -1
"""Shard of a rejected picture."""
COLUMNS = ("sha256", "label", "embedding", "hashes", "size_px", "quality", "reason", "stage")
"""Of the records that this stage reads."""
_REASONS = {
    OUTLIER: "unlike the other pictures of the person",
    MIXED: "another person under the same label",
    NOBODY: "no other picture of the person",
}


@dataclass(frozen=True, eq=False)
class Faces:
    """Columns of the N faces that passed the filter, in the order of the source."""

    keys: list[str]
    sha256: list[str]
    labels: list[str]
    embeddings: np.ndarray
    """(N, D) float32."""
    hashes: np.ndarray
    """(N, 2) uint64."""
    sizes: np.ndarray
    """(N,) px."""
    quality: np.ndarray
    """(N,) 0..1."""

    @classmethod
    def of(cls, records: Iterable[PictureRecord]) -> Faces:
        """Collect what passed the filter."""
        keys, sha256, labels, vectors, hashes, numbers = [], [], [], [], [], []
        for record in records:
            if record.rejected:
                continue
            keys.append(record.key)
            sha256.append(record.sha256)
            labels.append(record.label)
            vectors.append(record.embedding)
            hashes.append(record.hashes)
            numbers.append((record.size_px, record.quality))
        table = np.array(numbers, np.float64).reshape(-1, 2)
        embeddings = np.stack(vectors) if vectors else np.zeros((0, 1), np.float32)
        stacked = np.stack(hashes) if hashes else np.zeros((0, 2), np.uint64)
        return cls(keys, sha256, labels, embeddings, stacked, table[:, 0], table[:, 1])


@dataclass(frozen=True)
class Place:
    """What was decided for one picture: its person and shard, or a reason.

    Attributes
    ----------
    key : str
        Of the picture.
    person : str
        Id; "" where it belongs to nobody.
    shard : int
        Number, `UNSHARDED` where it is rejected.
    stage, reason : str
        As in a record.
    numbers : tuple of (str, float or str)
        The same.
    """

    key: str
    person: str
    shard: int = UNSHARDED
    stage: str = ""
    reason: str = ""
    numbers: tuple[tuple[str, float | int | str], ...] = ()


def assign(
    faces: Faces,
    config: PipelineConfig,
    recognizer: str,
    seed: int,
    view: Callable[[int], np.ndarray] | None = None,
) -> list[Place]:
    """Give each face its person and shard.

    Parameters
    ----------
    faces : Faces
        All that passed the filter.
    config : PipelineConfig
        Settings.
    recognizer : str
        Id of the embeddings' space.
    seed : int
        Of the order of people.
    view : callable, optional
        Returns the aligned view of a face by its number.

    Returns
    -------
    list of Place
        One for each face: those with a shard first, in the shards' order; then the rejected.
    """
    settings = _settings(config.purify, recognizer)
    names = sorted({label for label in faces.labels if label})
    number = {label: index for index, label in enumerate(names)}
    given = np.array([number.get(label, -1) for label in faces.labels], np.int64)
    labels = group(faces.embeddings, settings.grouping) if (given < 0).any() else np.full(len(given), -1)
    purified = purify(faces.embeddings, labels, given if names else None, settings)
    # Of copies of one size the one that somebody named rightly stays.
    sizes = np.round(faces.sizes) + 0.25 * ((given >= 0) & (given == purified.labels))
    copies = find_duplicates(faces.hashes, faces.embeddings, sizes, purified.labels, config.duplicates, view)
    places, members = _judged(faces, purified, copies)
    kept: list[tuple[str, list[int]]] = []
    for indices in members.values():
        person = person_id(faces.sha256[i] for i in indices)
        kept += _counted(person, indices, faces, config, places)
    order = sorted(kept, key=lambda item: _shuffled(item[0], seed))
    return [*_packed(order, faces, config.shards.pictures), *sorted(places, key=lambda place: place.key)]


def person_id(sha256: Iterable[str]) -> str:
    """Return a person's id: it follows from the pictures alone, so that data sets can be put together."""
    return "p" + min(sha256)[:16]


def _settings(config: PurifyConfig, recognizer: str) -> PurifyConfig:
    similarity = replace(config.grouping.similarity, recognizer=recognizer)
    return replace(config, grouping=replace(config.grouping, similarity=similarity))


def _judged(faces: Faces, purified: Purified, copies: Duplicates) -> tuple[list[Place], dict[int, list[int]]]:
    """Return rejected pictures, and the indices of the others by label."""
    places: list[Place] = []
    members: dict[int, list[int]] = {}
    owner: dict[int, str] = {}
    for label in np.unique(purified.labels[purified.labels >= 0]).tolist():
        inside = np.flatnonzero((purified.labels == label) & copies.keep)
        if len(inside):
            owner[label] = person_id(faces.sha256[i] for i in inside)
    for index, key in enumerate(faces.keys):
        label = int(purified.labels[index])
        person = owner.get(label, "")
        if not copies.keep[index]:
            double = int(copies.double_of[index])
            numbers: list[tuple[str, float | int | str]] = [
                ("of", faces.keys[double]),
                ("bits", int(copies.bits[index])),
                ("similarity", round(float(copies.similarity[index]), 4)),
                ("mirrored", int(copies.mirrored[index])),
            ]
            person = person or owner.get(int(purified.labels[double]), "")
            places.append(Place(key, person, UNSHARDED, "duplicates", "duplicate", tuple(numbers)))
        elif label < 0:
            reason = str(purified.reason[index])
            stage = "group" if reason == NOBODY else "purify"
            near = owner.get(int(purified.rival[index]), "")
            values = [("own_share", purified.own[index]), ("rival_share", purified.rival_similarity[index])]
            shown = [(name, round(float(v), 4)) for name, v in values if np.isfinite(v)]
            numbers = [*shown, *([("nearest", near)] if near else [])]
            places.append(Place(key, "", UNSHARDED, stage, _REASONS.get(reason, reason), tuple(numbers)))
        else:
            members.setdefault(label, []).append(index)
    return places, members


def _counted(
    person: str, indices: list[int], faces: Faces, config: PipelineConfig, places: list[Place]
) -> list[tuple[str, list[int]]]:
    """Reject people with too few pictures, and what goes beyond the most."""
    fewest, most = config.people.fewest_pictures, config.people.most_pictures
    if len(indices) < fewest:
        numbers = (("pictures", len(indices)), ("limit", fewest))
        why = "too few pictures of the person"
        places += [Place(faces.keys[i], person, UNSHARDED, "purify", why, numbers) for i in indices]
        return []
    if most is not None and len(indices) > most:
        ranked = sorted(indices, key=lambda i: (-faces.quality[i], faces.keys[i]))
        over = (("pictures", len(indices)), ("limit", most))
        why = "more pictures of the person than asked for"
        places += [Place(faces.keys[i], person, UNSHARDED, "purify", why, over) for i in ranked[most:]]
        indices = sorted(ranked[:most])
    return [(person, indices)]


def _shuffled(person: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}:{person}".encode(), digest_size=16).digest()


def _packed(order: list[tuple[str, list[int]]], faces: Faces, size: int) -> list[Place]:
    """Fill shards with whole people."""
    places: list[Place] = []
    shard, filled = 0, 0
    for person, indices in order:
        if filled and filled + len(indices) > size:
            shard, filled = shard + 1, 0
        places += [Place(faces.keys[i], person, shard) for i in sorted(indices, key=lambda i: faces.keys[i])]
        filled += len(indices)
    return places

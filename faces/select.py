"""Which face of each picture is the person, and which pictures show somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .analyzer import DetectedFace

PICKS = ("common person", "largest", "nearest the centre", "index, left to right")
"""How one face of several in a picture can be picked."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Faces by person.

    Attributes
    ----------
    members : tuple of tuple of int
        Indices of the faces, largest group first.
    similarity : np.ndarray
        (N,) mean similarity of every face to the first group (itself not counted); NaN for a lone face.
    """

    members: tuple[tuple[int, ...], ...]
    similarity: np.ndarray

    @property
    def undecided(self) -> bool:
        """Whether no group is larger than all others."""
        return len(self.members) > 1 and len(self.members[0]) == len(self.members[1])


def pick_single(faces: Sequence[DetectedFace], width: int, height: int, pick: str, index: int) -> int | None:
    """Pick a face of one picture without looking at others.

    Parameters
    ----------
    faces : sequence of DetectedFace
        Of the picture, largest first.
    width, height : int
        Of the picture, px.
    pick : str
        One of `PICKS`; "common person" of a lone picture is its largest face.
    index : int
        For "index, left to right": 0 is the leftmost face; negative counts from the right.

    Returns
    -------
    int or None
        Index into `faces`; None where there is no such face.
    """
    if not faces:
        return None
    centres = np.array([(face.box[:2] + face.box[2:]) / 2 for face in faces])
    if pick == "nearest the centre":
        return int(np.argmin(((centres - (width / 2, height / 2)) ** 2).sum(1)))
    if pick == "index, left to right":
        order = np.argsort(centres[:, 0], kind="stable")
        return int(order[index]) if -len(faces) <= index < len(faces) else None
    return 0


def pick_common(
    pictures: Sequence[Sequence[DetectedFace]], same: float
) -> tuple[list[int | None], str | None]:
    """Pick in every picture the person who is common to most of them.

    Every face collects the pictures that hold a face like it (similarity of at least `same`). The one with
    the most pictures is the person; where two people are in equally many, the one shown larger, and a note
    says so. Then each picture's face most like the mean of that person's faces is picked; a picture without
    one gives its largest face, which the grouping afterwards will tell apart.

    Parameters
    ----------
    pictures : sequence of sequences of DetectedFace
        In an order that does not depend on the input's (sorted by content).
    same : float
        The recognizer's threshold.

    Returns
    -------
    tuple
        Per picture an index or None, and a note for the artist or None.
    """
    owner = np.array([i for i, faces in enumerate(pictures) for _ in faces])
    if not len(owner):
        return [None] * len(pictures), None
    vectors = np.stack([face.embedding for faces in pictures for face in faces])
    sizes = np.array([face.size for faces in pictures for face in faces])
    similarity = vectors @ vectors.T
    best = np.stack([similarity[:, owner == i].max(1) for i in sorted(set(owner.tolist()))], axis=1)
    support = (best >= same).sum(1)
    if support.max() == 1:
        return [0 if faces else None for faces in pictures], None
    leaders = np.flatnonzero(support == support.max())
    # Of one picture's faces each that has this support is another person.
    shown = {int(i): float(sizes[_likeliest(similarity[i], owner, same)].mean()) for i in leaders}
    seed = max(leaders.tolist(), key=lambda i: (shown[i], float(best[i].sum())))
    person = vectors[_likeliest(similarity[seed], owner, same)].mean(0)
    rivals = [i for i in leaders if owner[i] == owner[seed] and i != seed]
    note = None
    if rivals:
        note = (
            f"{len(rivals) + 1} people are in all of {int(support.max())} pictures: the largest was "
            'picked; to take another, set pick to "index, left to right"'
        )
    picked: list[int | None] = []
    start = 0
    for faces in pictures:
        values = vectors[start : start + len(faces)] @ (person / np.linalg.norm(person))
        start += len(faces)
        if not faces:
            picked.append(None)
        else:
            picked.append(int(values.argmax()) if values.max() >= same else 0)
    return picked, note


def group_people(vectors: np.ndarray, same: float) -> Groups:
    """Group faces by person: agglomerative clustering by average similarity.

    Average rather than nearest: one in-between face must not chain two people together.

    Parameters
    ----------
    vectors : np.ndarray
        (N, D) unit embeddings, N >= 1.
    same : float
        Two groups join while the mean similarity between them is at least this.
    """
    similarity = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    groups: list[tuple[int, ...]] = [(i,) for i in range(len(vectors))]
    while len(groups) > 1:
        links = np.array([[similarity[np.ix_(a, b)].mean() for b in groups] for a in groups])
        np.fill_diagonal(links, -np.inf)
        first, second = np.unravel_index(links.argmax(), links.shape)
        if links[first, second] < same:
            break
        joined = tuple(sorted(groups[first] + groups[second]))
        groups = [g for k, g in enumerate(groups) if k not in (first, second)] + [joined]
    groups.sort(key=lambda g: (-len(g), g))
    main = np.array(groups[0])
    to_main = np.full(len(vectors), np.nan)
    for i in range(len(vectors)):
        others = main[main != i]
        if len(others):
            to_main[i] = similarity[i, others].mean()
    return Groups(tuple(groups), to_main)


def _likeliest(row: np.ndarray, owner: np.ndarray, same: float) -> list[int]:
    """Per picture the face most similar to a given one, where it is similar enough."""
    chosen = []
    for picture in np.unique(owner):
        candidates = np.flatnonzero(owner == picture)
        top = int(candidates[row[candidates].argmax()])
        if row[top] >= same:
            chosen.append(top)
    return chosen

"""People are cleaned: faces that do not belong, two people under one name, one person under two names.

The paper's third contribution filters by face similarity and gives no numbers; procedure and thresholds are
*ours*.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .averages import average_linkage, group_sums, index_of, neighbours
from .grouping import GroupConfig, learned_space, without_small
from .similarity import SimilaritySpace, calibrated_space, fit_space

KEPT, MOVED, MERGED = "kept", "moved", "merged"
OUTLIER, MIXED, NOBODY = "outlier", "mixed people", "nobody"
REASONS = (KEPT, MOVED, MERGED, OUTLIER, MIXED, NOBODY)
"""What `Purified.reason` may hold: the picture stays; its label was wrong and is now right; its person had a
second label; dropped, unlike its person and everybody else; its label held two people, and the lesser one has
a label of its own now; dropped, it had no label and is like nobody."""
_PASSES = 2


@dataclass(frozen=True)
class PurifyConfig:
    """Thresholds of purification, as scores: 0 strangers, 1 the boundary of one person.

    Attributes
    ----------
    grouping : GroupConfig
        Recognizer, and what joins groups.
    keep : float
        Least average similarity of a picture to the others of its person. Below `GroupConfig.join`: that
        somebody named it so, or that it was grouped so, is evidence too.
    move : float
        Least average similarity to another person to be given that person's label.
    margin : float
        By how much another person must be more similar than its own.
    merge : float
        Average similarity of two people's pictures from which they are one.
    """

    grouping: GroupConfig = field(default_factory=GroupConfig)
    keep: float = 0.7
    move: float = 1.0
    margin: float = 0.2
    merge: float = 1.2


@dataclass(frozen=True, eq=False)
class Purified:
    """What became of each picture.

    Attributes
    ----------
    labels : np.ndarray
        (N,) int64 person; -1: dropped. Numbers are those that went in, new people have new ones.
    reason : np.ndarray
        (N,) texts of `REASONS`.
    own : np.ndarray
        (N,) float32 average similarity, as a score, to the other pictures of the label that it came with; NaN
        where there are none.
    rival : np.ndarray
        (N,) int64 the most similar other person, -1: none.
    rival_similarity : np.ndarray
        (N,) float32 average similarity to that one, as a share; NaN where there is none.
    merged : dict of int to int
        Labels that are no longer used, and the one that took their place.
    space : SimilaritySpace
        What the similarities are measured in.
    """

    labels: np.ndarray
    reason: np.ndarray
    own: np.ndarray
    rival: np.ndarray
    rival_similarity: np.ndarray
    merged: dict[int, int]
    space: SimilaritySpace


def purify(
    embeddings: np.ndarray,
    labels: np.ndarray,
    given_labels: np.ndarray | None = None,
    config: PurifyConfig | None = None,
) -> Purified:
    """Clean people that were grouped or named.

    Parameters
    ----------
    embeddings : np.ndarray
        (N, D) float32 of unit length.
    labels : np.ndarray
        (N,) int as `grouping.group` returns them, -1: nobody.
    given_labels : np.ndarray, optional
        (N,) int person by somebody's word, -1: not named. Where given they are verified, and `labels` serves
        for pictures without a name alone.
    config : PurifyConfig, optional
        Thresholds.
    """
    config = config or PurifyConfig()
    start = _together(labels, given_labels)
    if not len(embeddings):
        return _nothing(calibrated_space(embeddings.shape[-1], config.grouping.similarity))
    space = _space(embeddings, start, config)
    for _ in range(_PASSES):
        vectors = space(embeddings)
        people, merged, cleaned = _clean(vectors, start, space, config)
        refined = fit_space(embeddings, cleaned, config.grouping.similarity)
        if not refined.adapted:
            break
        space = refined
    own = space.score(_to_own(vectors, start, start))
    rival, similarity = _rivals(vectors, cleaned, np.where(people >= 0, _renamed(start, merged), -1))
    return Purified(
        cleaned,
        _reasons(start, cleaned, merged),
        own.astype(np.float32),
        rival,
        space.score(similarity).astype(np.float32),
        merged,
        space,
    )


def _nothing(space: SimilaritySpace) -> Purified:
    none, empty = np.zeros(0, np.int64), np.zeros(0, np.float32)
    return Purified(none, np.zeros(0, object), empty, none, empty, {}, space)


def _together(labels: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """Return given labels, and grouped ones under numbers of their own where none is given."""
    if given is None:
        return labels.astype(np.int64)
    first = int(given.max(initial=-1)) + 1
    started: np.ndarray = np.where(given >= 0, given, np.where(labels >= 0, labels + first, -1)).astype(
        np.int64
    )
    return started


def _space(embeddings: np.ndarray, start: np.ndarray, config: PurifyConfig) -> SimilaritySpace:
    space = fit_space(embeddings, start, config.grouping.similarity)
    return space if space.adapted else learned_space(embeddings, config.grouping)


def _clean(
    vectors: np.ndarray, start: np.ndarray, space: SimilaritySpace, config: PurifyConfig
) -> tuple[np.ndarray, dict[int, int], np.ndarray]:
    """Return main people (label, -1 where a picture is not of its label's), merged labels, new labels."""
    keep = space.cosine(config.keep)
    people = _main_groups(vectors, start, space.cosine(config.grouping.join), keep)
    merged = _same_people(vectors, people, space.cosine(config.merge))
    main = _renamed(people, merged)
    rival, similarity = _rivals(vectors, main, main)
    own = _to_own(vectors, _renamed(start, merged), main)
    move = (rival >= 0) & (similarity >= space.cosine(config.move))
    move &= np.nan_to_num(similarity - own, nan=np.inf) >= config.margin * (space.boundary - space.strangers)
    stays = (start >= 0) & (main >= 0) & ~move
    cleaned = np.where(stays, main, np.where(move, rival, -1))
    # Who is left over may be a person whom nobody named, or the second one under a name.
    left = np.flatnonzero(cleaned < 0)
    if len(left):
        found = average_linkage(vectors[left], space.cosine(config.grouping.join))
        found = without_small(found, config.grouping.least_pictures)
        first = int(max(start.max(initial=-1), main.max(initial=-1))) + 1
        named = start[left] >= 0
        # One unknown person's pictures under many names are there by mistake, not a person of the collection.
        whole = np.array([g >= 0 and _one_source(start[left][found == g], named[found == g]) for g in found])
        cleaned[left] = np.where(whole, found + first, -1)
    return people, merged, cleaned


def _one_source(sources: np.ndarray, named: np.ndarray) -> bool:
    """Whether pictures had no name, or mostly one."""
    if not named.any():
        return True
    return bool(np.unique(sources, return_counts=True)[1].max() * 2 > len(sources))


def _main_groups(vectors: np.ndarray, start: np.ndarray, join: float, keep: float) -> np.ndarray:
    """Return (N,) the label where a picture is among its label's main person, -1 elsewhere.

    The main person is the largest group within the label; others of the label are judged by their average
    similarity to it.
    """
    people = np.full(len(start), -1, np.int64)
    order = np.argsort(start, kind="stable")
    order = order[start[order] >= 0]
    for rows in np.split(order, np.flatnonzero(np.diff(start[order])) + 1):
        if not len(rows):
            continue
        inside = average_linkage(vectors[rows], join)
        sizes = np.bincount(inside)
        core = inside == sizes.argmax()
        total = vectors[rows][core].astype(np.float64).sum(0)
        similarity = vectors[rows] @ total
        count = core.sum() - core
        similarity = np.where(count > 0, (similarity - core) / np.maximum(count, 1), 1.0)
        people[rows[similarity >= keep]] = start[rows[0]]
    return people


def _same_people(vectors: np.ndarray, people: np.ndarray, merge: float) -> dict[int, int]:
    """Return labels whose person has another label too, and that one, the smaller number."""
    names, number = np.unique(people[people >= 0], return_inverse=True)
    if len(names) < 2:
        return {}
    pictures = average_linkage(vectors[people >= 0], merge, number)
    found = pictures[np.unique(number, return_index=True)[1]]
    lowest = {int(group): int(names[found == group].min()) for group in np.unique(found)}
    return {int(n): lowest[int(f)] for n, f in zip(names, found, strict=True) if lowest[int(f)] != int(n)}


def _renamed(labels: np.ndarray, merged: dict[int, int]) -> np.ndarray:
    if not merged:
        return labels
    renamed: np.ndarray = labels.copy()
    for old, new in merged.items():
        renamed[labels == old] = new
    return renamed


def _to_own(vectors: np.ndarray, labels: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Return (N,) average cosine of each picture to others of its label that `people` counts."""
    groups = int(max(labels.max(initial=-1), people.max(initial=-1))) + 1
    sums, sizes = group_sums(vectors, people, groups)
    own = np.full(len(vectors), np.nan)
    rows = np.flatnonzero(labels >= 0)
    inside = (people[rows] == labels[rows]).astype(np.float64)
    count = sizes[labels[rows]] - inside
    total = np.einsum("ij,ij->i", vectors[rows].astype(np.float64), sums[labels[rows]]) - inside
    own[rows] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return own


def _rivals(vectors: np.ndarray, people: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) the most similar person other than a picture's own, -1 for none, and its average cosine."""
    names, number = np.unique(people[people >= 0], return_inverse=True)
    rival, similarity = np.full(len(vectors), -1, np.int64), np.full(len(vectors), np.nan)
    if not len(names):
        return rival, similarity
    sums, sizes = group_sums(vectors[people >= 0], number, len(names))
    value, found = neighbours(index_of(sums / sizes[:, None]), vectors, min(2, len(names)))
    name = np.where(found >= 0, names[found], -1)
    value = np.where((name < 0) | (name == own[:, None]), -np.inf, value)
    best, rows = value.argmax(1), np.arange(len(vectors))
    some = np.isfinite(value[rows, best])
    rival[some], similarity[some] = name[rows, best][some], value[rows, best][some]
    return rival, similarity


def _reasons(start: np.ndarray, cleaned: np.ndarray, merged: dict[int, int]) -> np.ndarray:
    reason = np.full(len(start), KEPT, object)
    reason[np.isin(start, list(merged)) & (cleaned == _renamed(start, merged))] = MERGED
    reason[(start >= 0) & (cleaned >= 0) & (cleaned != _renamed(start, merged))] = MOVED
    # Several pictures that left one label together are a second person under it.
    reason[(start >= 0) & (cleaned > start.max(initial=-1))] = MIXED
    reason[cleaned < 0] = OUTLIER
    reason[(start < 0) & (cleaned < 0)] = NOBODY
    return reason

"""Average linkage in near-linear time: who is nearest to whom by faiss, sums of vectors instead of pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

_CANDIDATES = 8
_EXACT = 20_000
"""Vectors up to which every pair is looked at; beyond, lists of an inverted file."""
_PROBES = 24
_TRAINED_ON = 64
"""Vectors for each list that its centre is learned from."""
_TIE = 1e-6
_FEW = 3
"""Vectors from which a group is large."""


def faiss_module() -> Any:
    """Import faiss, an optional dependency.

    Raises
    ------
    MissingPackageError
        It is not installed.
    """
    try:
        import faiss
    except ImportError:
        from ..faces.runtime import missing_package

        raise missing_package("faiss-cpu", "grouping pictures by person") from None
    return faiss


def index_of(vectors: np.ndarray) -> Any:
    """Build a faiss index by inner product: exact up to 20 000 vectors, inverted lists beyond.

    Inverted lists rather than a graph: built by all cores they are the same in every run. With lists in the
    number of four square roots of N, a query looks at 6 square roots of N vectors.
    """
    faiss = faiss_module()
    vectors = np.ascontiguousarray(vectors, np.float32)
    dimensions = vectors.shape[1]
    if len(vectors) <= _EXACT:
        index = faiss.IndexFlatIP(dimensions)
        index.add(vectors)
        return index
    lists = int(4 * np.sqrt(len(vectors)))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimensions), dimensions, lists, faiss.METRIC_INNER_PRODUCT)
    chosen = np.linspace(0, len(vectors) - 1, min(len(vectors), lists * _TRAINED_ON)).astype(np.int64)
    index.train(vectors[chosen])
    index.add(vectors)
    index.nprobe = _PROBES
    return index


def neighbours(index: Any, vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, count) similarities and numbers of the nearest of an index; -1 where there are fewer."""
    similarity, number = index.search(np.ascontiguousarray(vectors, np.float32), count)
    return similarity, number


def group_sums(vectors: np.ndarray, labels: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (G, D) float64 sums and (G,) sizes of the groups 0..G-1; rows with label -1 are left out."""
    used = np.flatnonzero(labels >= 0)
    order = used[np.argsort(labels[used], kind="stable")]
    sizes = np.bincount(labels[used], minlength=groups)
    sums = np.zeros((groups, vectors.shape[1]))
    full = np.flatnonzero(sizes)
    if len(full):
        starts = np.concatenate([[0], np.cumsum(sizes[full])[:-1]])
        sums[full] = np.add.reduceat(vectors[order].astype(np.float64), starts, axis=0)
    return sums, sizes


def average_linkage(
    vectors: np.ndarray, least: float, start: np.ndarray | None = None, firm: float | None = None
) -> np.ndarray:
    """Join the two most similar groups while pictures of both are on average at least so similar.

    The inner product of two groups' means is the average over all pairs of their vectors, so that groups are
    joined by looking for nearest means. All pairs that are each other's nearest are joined at once, which
    gives the same tree as one after the other (reciprocal nearest neighbours: de Rham 1980, Murtagh 1983), in
    about log N rounds.

    Parameters
    ----------
    vectors : np.ndarray
        (N, D) of unit length.
    least : float
        Least average cosine between two groups that are joined.
    start : np.ndarray, optional
        (N,) int groups 0..G-1 to start from; without, each vector is one.
    firm : float, optional
        `least` for two groups of three vectors and more: their average has less spread.

    Returns
    -------
    np.ndarray
        (N,) int64 groups, numbered in the order of those that they started from.
    """
    labels = np.arange(len(vectors)) if start is None else start
    groups = int(labels.max(initial=-1)) + 1
    sums, sizes = group_sums(vectors, labels, groups)
    nearest, similarity, stale = np.full(groups, -1), np.full(groups, -np.inf), np.ones(groups, bool)
    while len(sums) > 1:
        means = sums / sizes[:, None]
        rows = np.flatnonzero(stale)
        nearest[rows], similarity[rows] = _nearest(means, rows)
        small = np.minimum(sizes, sizes[nearest]) < _FEW
        first, second = _pairs(nearest, similarity, np.where(small, least, least if firm is None else firm))
        if not len(first):
            break
        target = np.arange(len(sums))
        target[second] = first
        # Who pointed at a group that was joined must look again, and so must the joined.
        joined = np.zeros(len(sums), bool)
        joined[first] = joined[second] = True
        stale = (joined | joined[nearest]) & (similarity >= least)
        kept = np.flatnonzero(target == np.arange(len(sums)))
        number = np.full(len(sums), -1)
        number[kept] = np.arange(len(kept))
        labels = number[target][labels]
        sums[first] += sums[second]
        sizes[first] += sizes[second]
        nearest = number[target[nearest]][kept]
        sums, sizes, similarity, stale = sums[kept], sizes[kept], similarity[kept], stale[kept]
    return labels


def _nearest(means: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest other group of some groups, of equals the first, and its similarity."""
    similarity, number = neighbours(index_of(means), means[rows], min(_CANDIDATES, len(means)))
    similarity = np.where((number == rows[:, None]) | (number < 0), -np.inf, similarity)
    best = similarity.max(1)
    ties = similarity >= best[:, None] - _TIE
    nearest = np.where(ties, number, len(means)).min(1)
    # A group that found nobody but itself points at itself, and joins nobody.
    lost = ~np.isfinite(best)
    return np.where(lost, rows, nearest), np.where(lost, -np.inf, best)


def _pairs(nearest: np.ndarray, similarity: np.ndarray, least: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of groups that are each other's nearest, no group twice; of equals those that come first."""
    mutual = (similarity >= least) & (similarity[nearest] <= similarity + _TIE)
    rows = np.flatnonzero(mutual)
    taken: set[int] = set()
    first, second = [], []
    for row in rows[np.lexsort((rows, -similarity[rows]))].tolist():
        other = int(nearest[row])
        if row == other or row in taken or other in taken:
            continue
        taken.update((row, other))
        first.append(min(row, other))
        second.append(max(row, other))
    return np.array(first, np.int64), np.array(second, np.int64)

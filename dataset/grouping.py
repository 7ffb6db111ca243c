"""Which pictures show one person, without labels.

*Ours*; the paper groups by celebrity names and face similarity.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .averages import average_linkage
from .similarity import SimilarityConfig, SimilaritySpace, calibrated_space, fit_space


@dataclass(frozen=True)
class GroupConfig:
    """Thresholds of grouping, as scores: 0 strangers, 1 the boundary of one person.

    Attributes
    ----------
    similarity : SimilarityConfig
        Recognizer, and whether the collection's own spread is measured.
    join : float
        Two groups are joined while the average of their pictures' similarities is at least this.
    firm : float
        The same for two groups of three pictures and more: of one person's they are more alike on average
        than any two pictures, while two people's chance likeness is in all of their pictures.
    careful : tuple of float
        The same for the groupings from which a collection's own spread is measured: two people in one group
        do more harm to it than one person in two.
    least_pictures : int
        Groups of fewer pictures are nobody.
    """

    similarity: SimilarityConfig = field(default_factory=SimilarityConfig)
    join: float = 0.85
    firm: float = 1.06
    careful: tuple[float, ...] = (1.9, 1.0, 1.0)
    least_pictures: int = 2


def group(embeddings: np.ndarray, config: GroupConfig | None = None) -> np.ndarray:
    """Group faces by person.

    Average linkage: one face between two people must not chain them together. Time and memory are near-linear
    in N, see `averages`.

    Parameters
    ----------
    embeddings : np.ndarray
        (N, D) float32 of unit length.
    config : GroupConfig, optional
        Thresholds.

    Returns
    -------
    np.ndarray
        (N,) int64 people, numbered from 0 in the order of their first picture; -1: nobody.
    """
    config = config or GroupConfig()
    if not len(embeddings):
        return np.zeros(0, np.int64)
    space = learned_space(embeddings, config)
    return without_small(linked(embeddings, space, config.join, config), config.least_pictures)


def linked(embeddings: np.ndarray, space: SimilaritySpace, join: float, config: GroupConfig) -> np.ndarray:
    """Return (N,) groups by average linkage in a space; large ones join at `firm` where that is more."""
    firm = space.cosine(max(join, config.firm))
    return average_linkage(space(embeddings), space.cosine(join), firm=firm)


def learned_space(embeddings: np.ndarray, config: GroupConfig) -> SimilaritySpace:
    """Measure a collection's own spread without labels: by groupings, each in the space the last gave."""
    space = calibrated_space(embeddings.shape[1], config.similarity)
    for join in config.careful:
        labels = linked(embeddings, space, join, config)
        space = fit_space(embeddings, labels, config.similarity)
        if not space.adapted:
            break
    return space


def without_small(labels: np.ndarray, least: int) -> np.ndarray:
    """Set groups of fewer pictures to -1 and number the others by their first picture."""
    names, first, number, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    keep = (sizes >= least) & (names >= 0)
    order = np.argsort(np.where(keep, first, len(labels)), kind="stable")
    new = np.full(len(names), -1, np.int64)
    new[order[: keep.sum()]] = np.arange(keep.sum())
    anew: np.ndarray = new[number]
    return anew

"""One scale for how alike two faces are, whatever the recognizer and whatever the pictures.

A recognizer's cosine similarities are calibrated on photos (``faces/thresholds.py``). A collection of its own
kind (renders, one age, one camera) moves them: all of its strangers look alike to the network. Where a
collection has enough people, its own spread is measured and taken out, by linear discriminant analysis of
unit embeddings as in speaker verification: the mean of its people is subtracted, directions in which pictures
of one person differ are scaled down (within-class covariance normalization, Hatch et al. 2006), and those in
which people do not differ more than that too. A similarity is then expressed as a *score*: 0 is the median of
strangers, 1 the boundary of one person. Thresholds are scores. The procedure is *ours*.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ..faces.thresholds import threshold_for
from .averages import group_sums

_BOUNDARY = 0.58
"""Where the boundary lies between strangers and what is typical of one person, on the recognizer's own
calibration. For SFace that is a cosine of .48, where both kinds of error are equal in
``tools/calibration/sface.json``."""
_STRANGERS_LIMIT = 0.75
"""On the same way: groups whose median is beyond are no different people but one person's pictures in several
groups, and nothing can be learned from what lies between them."""
_MISTAKEN, _BELOW = 0.02, 2.5
"""The boundary measured in a collection lies half way between the similarity that so many strangers of a
person reach (it rises with the number of people), and the point as many deviations above strangers as below
what is typical of one person; and at least so many below that."""
_FREEDOM = 2
"""Pictures, less people, for each dimension of the embedding, from which directions are told apart: of fewer,
each picture would shape the very space that it is judged in. With fewer the mean alone is subtracted."""
_PAIRS = 200_000
"""How many pairs of groups the spread of strangers is measured on."""
_NORMAL = 1.4826
"""Standard deviation over median absolute deviation, of a normal distribution."""


@dataclass(frozen=True)
class SimilarityConfig:
    """How similarities become scores.

    Attributes
    ----------
    recognizer : str
        Id of the embedding space; its calibration is looked up by it.
    adapt : bool
        Measure the collection's own spread where it has enough people.
    least_people : int
        Groups of two pictures or more that are needed to do so.
    ridge : float
        Part of the mean variance that is added to every direction of the covariance within people; more is
        added where there are few pictures for each of the embedding's dimensions.
    """

    recognizer: str = "sface"
    adapt: bool = True
    least_people: int = 20
    ridge: float = 0.25


@dataclass(frozen=True, eq=False)
class SimilaritySpace:
    """Where cosines are taken, and what they mean.

    Attributes
    ----------
    mean : np.ndarray
        (D,) float32 subtracted from embeddings.
    matrix : np.ndarray or None
        (D, D) float32 that embeddings are multiplied with afterwards; None: as they are.
    strangers, boundary : float
        Cosine of score 0 and of score 1.
    adapted : bool
        Whether the collection's own spread was measured.
    """

    mean: np.ndarray
    matrix: np.ndarray | None
    strangers: float
    boundary: float
    adapted: bool = False

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """(N, D) unit embeddings to (N, D) float32 unit vectors of this space."""
        vectors = embeddings.astype(np.float32) - self.mean
        if self.matrix is not None:
            vectors = vectors @ self.matrix
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: np.ndarray = vectors / np.maximum(length, 1e-9)
        return unit

    def score(self, cosine: np.ndarray) -> np.ndarray:
        """Cosines of this space as scores."""
        scores: np.ndarray = (np.asarray(cosine) - self.strangers) / (self.boundary - self.strangers)
        return scores

    def cosine(self, score: float) -> float:
        """Return the cosine of a score."""
        return self.strangers + score * (self.boundary - self.strangers)


def calibrated_space(dimensions: int, config: SimilarityConfig) -> SimilaritySpace:
    """Return the recognizer's own space: nothing is changed but the scale."""
    known = threshold_for(config.recognizer)
    boundary = known.different + _BOUNDARY * (known.typical - known.different)
    return SimilaritySpace(np.zeros(dimensions, np.float32), None, known.different, boundary)


def fit_space(embeddings: np.ndarray, labels: np.ndarray, config: SimilarityConfig) -> SimilaritySpace:
    """Measure the collection's own spread from groups that are mostly right.

    Parameters
    ----------
    embeddings : np.ndarray
        (N, D) float32 of unit length.
    labels : np.ndarray
        (N,) int group of each, -1: none. Those of one picture say nothing about one person and are left out.
    config : SimilarityConfig
        Settings.

    Returns
    -------
    SimilaritySpace
        The recognizer's own where there are too few groups, or where they are as alike as one person's
        pictures.
    """
    labels = _of_two_and_more(labels)
    groups = int(labels.max(initial=-1)) + 1
    if not config.adapt or groups < config.least_people:
        return calibrated_space(embeddings.shape[1], config)
    used = labels >= 0
    vectors, owner = embeddings[used].astype(np.float64), labels[used]
    sums, sizes = group_sums(vectors, owner, groups)
    means = sums / sizes[:, None]
    known = threshold_for(config.recognizer)
    limit = known.different + _STRANGERS_LIMIT * (known.typical - known.different)
    if np.median(_between(means)) > limit:
        return calibrated_space(embeddings.shape[1], config)
    matrix = None
    if len(vectors) - groups >= _FREEDOM * vectors.shape[1]:
        matrix = _discriminant(vectors - means[owner], means, config.ridge).astype(np.float32)
    space = SimilaritySpace(means.mean(0).astype(np.float32), matrix, 0.0, 1.0, True)
    unit = space(embeddings[used]).astype(np.float64)
    sums, sizes = group_sums(unit, owner, groups)
    # Of each picture to the others of its group.
    own = (np.einsum("ij,ij->i", unit, sums[owner]) - 1.0) / (sizes[owner] - 1)
    (typical, within), (strangers, between) = _spread(own), _spread(_between(sums / sizes[:, None]))
    middle = (strangers * within + typical * between) / max(within + between, 1e-9)
    rare = strangers + NormalDist().inv_cdf(1.0 - _MISTAKEN / groups) * between
    boundary = min((rare + middle) / 2, typical - _BELOW * within)
    boundary = max(boundary, strangers + 0.05)
    return SimilaritySpace(space.mean, space.matrix, strangers, boundary, True)


def _discriminant(differences: np.ndarray, means: np.ndarray, ridge: float) -> np.ndarray:
    """(D, D) matrix that embeddings are multiplied with; `differences` are those to the people's means."""
    groups, dimensions = means.shape
    freedom = len(differences) - groups
    within = differences.T @ differences / freedom
    added = ridge + (2.0 * dimensions / freedom) ** 2
    values, axes = np.linalg.eigh(within + added * np.trace(within) / dimensions * np.eye(dimensions))
    whitening = axes / np.sqrt(values)
    between, directions = np.linalg.eigh(np.cov(((means - means.mean(0)) @ whitening).T))
    # Shrunk to their mean where there are few people for each dimension.
    doubt = dimensions / (groups + dimensions)
    between = np.maximum(between, 0.0) * (1.0 - doubt) + doubt * between.mean()
    matrix: np.ndarray = whitening @ directions * np.sqrt(between / (between + 1.0))
    return matrix


def _spread(values: np.ndarray) -> tuple[float, float]:
    """Median, and the standard deviation that the median absolute deviation stands for: few are wrong."""
    middle = float(np.median(values))
    return middle, _NORMAL * float(np.median(np.abs(values - middle)))


def _between(means: np.ndarray) -> np.ndarray:
    """Average similarities of pictures of two groups, over pairs of groups."""
    count = len(means)
    shifts = range(1, max(2, min(count, _PAIRS // count + 1)))
    return np.concatenate([np.einsum("ij,ij->i", means, np.roll(means, s, axis=0)) for s in shifts])


def _of_two_and_more(labels: np.ndarray) -> np.ndarray:
    """Labels numbered from 0 anew, -1 where nobody or where the group has one picture."""
    names, number, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    keep = (sizes >= 2) & (names >= 0)
    anew: np.ndarray = np.where(keep, np.cumsum(keep) - 1, -1)[number]
    return anew

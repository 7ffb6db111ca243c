"""Pictures that are in a collection already: resized, recompressed, cropped or mirrored.

Candidates are pairs whose faces are nearly the same to the recognizer and whose perceptual hashes (pHash) of
the aligned face agree: aligned by all landmarks, so that a crop or another size of the picture changes
nothing; the mirrored face is hashed as well. Photos of one sitting pass both, so that candidates are then
registered onto each other and compared pixel by pixel where their views can be had.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from ..faces.crop import canonical_matrix
from ..faces.geometry import warp
from .averages import index_of, neighbours

VIEW = 96
"""Side of an aligned view, px."""
_WINDOW = (46.0, 56.0, 132.0)
"""px of the canonical crop: left and upper edge and side of what a view shows, brows to chin."""
_ECC_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)
_BORDER = 6


@dataclass(frozen=True)
class DuplicatesConfig:
    """When two pictures are one.

    Attributes
    ----------
    similarity : float
        Least cosine of the embeddings. A mirrored face is somewhat another one to a recognizer.
    bits : int
        Bits of 64 in which the hashes of candidates may differ.
    certain_bits : int
        The same where views cannot be compared.
    correlation : float
        Least correlation of the registered views (Evangelidis and Psarakis 2008).
    colour : float
        Largest mean difference of a colour channel between the registered views, 0..255.
    neighbours : int
        Most similar pictures that each is compared with.
    """

    similarity: float = 0.75
    bits: int = 16
    certain_bits: int = 8
    correlation: float = 0.97
    colour: float = 6.0
    neighbours: int = 24


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Which pictures stay.

    Attributes
    ----------
    keep : np.ndarray
        (N,) bool.
    double_of : np.ndarray
        (N,) int64 the kept picture that a dropped one doubles; -1 where kept.
    bits : np.ndarray
        (N,) int64 bits in which it differs from that one; -1 where kept.
    similarity : np.ndarray
        (N,) float32 its cosine to that one; NaN where kept.
    mirrored : np.ndarray
        (N,) bool: it is that one's mirror image.
    """

    keep: np.ndarray
    double_of: np.ndarray
    bits: np.ndarray
    similarity: np.ndarray
    mirrored: np.ndarray


def aligned_view(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Sample the face, upright and of one size, brows to chin.

    Parameters
    ----------
    image : np.ndarray
        (H, W, 3) uint8 RGB.
    landmarks : np.ndarray
        (468, 3) or (68, 3), px.

    Returns
    -------
    np.ndarray
        (VIEW, VIEW, 3) uint8.
    """
    left, top, side = _WINDOW
    matrix = canonical_matrix(landmarks).astype(np.float64)
    matrix[:, 2] -= left, top
    return warp(image, matrix * (VIEW / side), VIEW, border=None)


def view_hashes(view: np.ndarray) -> np.ndarray:
    """(2,) uint64 perceptual hashes of an aligned view and of its mirror image.

    Raises
    ------
    MissingPackageError
        The package imagehash is not installed.
    """
    try:
        import imagehash
    except ImportError:
        from ..faces.runtime import missing_package

        raise missing_package("imagehash", "finding duplicates") from None
    bits = [imagehash.phash(Image.fromarray(side)).hash for side in (view, view[:, ::-1])]
    hashes: np.ndarray = np.packbits(np.stack(bits).reshape(2, 64), axis=1).view(np.uint64)[:, 0]
    return hashes


def registered(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Compare two aligned views after an affine registration of the second onto the first.

    Returns
    -------
    tuple
        Correlation of their grey values, -1 where they cannot be registered, and the largest mean difference
        of a colour channel, 0..255.
    """
    grey = [
        cv2.GaussianBlur(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), (0, 0), 1.0).astype(np.float32)
        for view in (first, second)
    ]
    matrix, whole = np.eye(2, 3, dtype=np.float32), np.full((VIEW, VIEW), 255, np.uint8)
    try:
        _, moves = cv2.findTransformECC(grey[0], grey[1], matrix, cv2.MOTION_AFFINE, _ECC_STEPS, whole, 3)
    except cv2.error:  # it does not converge: the views have nothing in common
        return -1.0, 255.0
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(
        second, np.asarray(moves), (VIEW, VIEW), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    inside = (slice(_BORDER, -_BORDER), slice(_BORDER, -_BORDER))
    a, b = (
        cv2.GaussianBlur(view, (0, 0), 1.0)[inside].astype(np.float64).reshape(-1, 3)
        for view in (first, moved)
    )
    correlation = float(np.corrcoef(a.mean(1), b.mean(1))[0, 1])
    return (correlation if np.isfinite(correlation) else -1.0), float(np.abs((a - b).mean(0)).max())


def find_duplicates(
    hashes: np.ndarray,
    embeddings: np.ndarray,
    sizes: np.ndarray,
    labels: np.ndarray | None = None,
    config: DuplicatesConfig | None = None,
    view: Callable[[int], np.ndarray] | None = None,
) -> Duplicates:
    """Find copies; of each set the largest stays, of equals the first.

    Parameters
    ----------
    hashes : np.ndarray
        (N, 2) uint64 from `view_hashes`.
    embeddings : np.ndarray
        (N, D) float32 of unit length.
    sizes : np.ndarray
        (N,) sizes of the faces in px: what makes a copy the better one.
    labels : np.ndarray, optional
        (N,) int people; a copy with a person is kept before one with none (-1). Copies are found under
        different labels too.
    config : DuplicatesConfig, optional
        Thresholds.
    view : callable, optional
        Returns the `aligned_view` of a picture by its number; called for candidates alone. Without it, hashes
        decide.
    """
    config = config or DuplicatesConfig()
    count = len(embeddings)
    found = Duplicates(
        np.ones(count, bool), np.full(count, -1), np.full(count, -1),
        np.full(count, np.nan, np.float32), np.zeros(count, bool),
    )  # fmt: skip
    if count < 2:
        return found
    first, second, similarity = _candidates(embeddings, config)
    same = _differing(hashes[first, 0], hashes[second, 0])
    mirror = np.minimum(
        _differing(hashes[first, 0], hashes[second, 1]), _differing(hashes[first, 1], hashes[second, 0])
    )
    bits = np.minimum(same, mirror)
    copies = bits <= (config.certain_bits if view is None else config.bits)
    first, second, similarity = first[copies], second[copies], similarity[copies]
    bits, mirrored = bits[copies], (mirror < same)[copies]
    nobody = np.zeros(count) if labels is None else labels < 0
    rank = np.empty(count, np.int64)
    rank[np.lexsort((np.arange(count), -np.asarray(sizes), nobody))] = np.arange(count)
    better, worse = np.where(rank[first] < rank[second], (first, second), (second, first))
    # From the best on, so that what a picture doubles is itself kept.
    for k in np.lexsort((rank[better], bits, rank[worse])).tolist():
        a, b = int(better[k]), int(worse[k])
        if (
            found.keep[a]
            and found.keep[b]
            and (view is None or _copies(view(a), view(b), mirrored[k], config))
        ):
            found.keep[b], found.double_of[b] = False, a
            found.bits[b], found.similarity[b], found.mirrored[b] = bits[k], similarity[k], mirrored[k]
    return found


def _copies(first: np.ndarray, second: np.ndarray, mirrored: bool, config: DuplicatesConfig) -> bool:
    """Whether registered views are one; the likelier side of the second first."""
    flipped = np.ascontiguousarray(second[:, ::-1])
    for side in (flipped, second) if mirrored else (second, flipped):
        correlation, colour = registered(first, side)
        if correlation >= config.correlation and colour <= config.colour:
            return True
    return False


def _candidates(
    embeddings: np.ndarray, config: DuplicatesConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of pictures that are similar enough, each once, with their cosine."""
    similarity, number = neighbours(
        index_of(embeddings), embeddings, min(config.neighbours + 1, len(embeddings))
    )
    row = np.broadcast_to(np.arange(len(embeddings))[:, None], number.shape)
    close = (number >= 0) & (number != row) & (similarity >= config.similarity)
    pairs = np.sort(np.stack([row[close], number[close]], axis=1), axis=1)
    pairs, where = np.unique(pairs, axis=0, return_index=True)
    return pairs[:, 0], pairs[:, 1], similarity[close][where]


def _differing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bits in which (N,) uint64 hashes differ."""
    apart = np.bitwise_xor(a, b)[:, None].view(np.uint8)
    differing: np.ndarray = np.unpackbits(apart, axis=1).sum(1, dtype=np.int64)
    return differing

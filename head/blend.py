"""Several textures become one, band by band: Burt and Adelson 1983, with weights of our own for each band."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

LEVELS = 6
EXPONENTS = (3.0, 2.0, 1.5, 1.0, 1.0, 1.0)
"""Of the weights, from the finest band to the coarsest: pores come from the photo that shows them best,
colour from all."""
_UNSEEN = 0.02
"""Weight, relative to the best, below which a photo's own colours fade into the others' before it is
split."""


def blend(colours: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Blend textures.

    Parameters
    ----------
    colours : np.ndarray
        (N, S, S, 3) float32, perceptual (square root of linear light).
    weights : np.ndarray
        (N, S, S) float32 >= 0.

    Returns
    -------
    np.ndarray
        (S, S, 3) float32; where all weights are 0 it continues what lies around.
    """
    mean = weighted_mean(colours, weights)
    if len(colours) == 1:
        return mean
    best = weights.max(0) + 1e-9
    pyramids = []
    for colour, weight in zip(colours, weights, strict=True):
        own = np.clip(weight / best / _UNSEEN, 0, 1)
        beyond = _continued(colour, own)
        pyramids.append(_laplacian(beyond + own[..., None] * (colour - beyond)))
    says = [_gaussian(weight) for weight in weights]
    result = None
    for level in range(LEVELS - 1, -1, -1):
        share = np.stack([pyramid[level] for pyramid in says]) + 1e-7
        share = (share / share.max(0)) ** EXPONENTS[level]
        share /= share.sum(0)
        band = sum(s[..., None] * p[level] for s, p in zip(share, pyramids, strict=True))
        result = band if result is None else band + _up(result, band.shape)
    return np.asarray(result, np.float32)


def _continued(colour: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(S, S, 3) a photo's own colours where it shows any, continued smoothly, coarse."""
    size = len(own)
    small = max(size // 4, 1)
    weight = cv2.resize(own, (small, small), interpolation=cv2.INTER_AREA)
    mixed = cv2.resize(colour * own[..., None], (small, small), interpolation=cv2.INTER_AREA)
    filled = pull_push(mixed / np.maximum(weight, 1e-6)[..., None], np.clip(weight * 4, 0, 1))
    return np.asarray(cv2.resize(filled, (size, size), interpolation=cv2.INTER_LINEAR))


def weighted_mean(colours: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(S, S, 3) weighted mean, continued smoothly where nothing has weight."""
    total = weights.sum(0)
    colour = (colours * weights[..., None]).sum(0) / np.maximum(total, 1e-9)[..., None]
    return pull_push(colour, np.clip(total / 1e-3, 0, 1))


def pull_push(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Continue values smoothly into where they are not known (Gortler et al. 1996).

    Parameters
    ----------
    values : np.ndarray
        (S, S, C) float32.
    known : np.ndarray
        (S, S) float32 in 0..1.
    """
    height, width = known.shape
    if known.min() >= 1.0 or min(height, width) < 2:
        return values
    size = ((width + 1) // 2, (height + 1) // 2)
    weight = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
    mixed = cv2.resize(values * known[..., None], size, interpolation=cv2.INTER_AREA)
    mixed = mixed.reshape(size[1], size[0], -1) / np.maximum(weight, 1e-9)[..., None]
    coarse = pull_push(mixed.astype(np.float32), np.clip(weight * 4, 0, 1))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(values.shape)
    return smooth + known[..., None] * (values - smooth)


def _gaussian(image: np.ndarray) -> list[np.ndarray]:
    levels = [image]
    for _ in range(LEVELS - 1):
        levels.append(np.asarray(cv2.pyrDown(levels[-1])))
    return levels


def _laplacian(image: np.ndarray) -> list[np.ndarray]:
    levels = _gaussian(image)
    return [a - _up(b, a.shape) for a, b in itertools.pairwise(levels)] + [levels[-1]]


def _up(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(cv2.pyrUp(image, dstsize=(shape[1], shape[0])))

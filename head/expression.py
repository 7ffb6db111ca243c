"""Expressions of a person: the template's displacements, and lids that close on this person's eyes. *Ours*.

A blink moves the upper lid by what closes the template's eye. A person's eye is open by more or less, and the
lid would stop short of the lower one or cut through it. So what the two margins are farther apart than the
template's, place by place along the lid, is added to the blink, and fades over the lid with the blink itself.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .model import REGIONS, HeadModel

_MEETS = 0.035
"""Margins of closed lids are no farther apart than this, interocular distances."""
_ALONG = 0.05
"""Over how much of the lid a place's gap is averaged."""
_FARTHEST = 0.3


class Blink(NamedTuple):
    """How a blink of one eye is fitted to a person.

    ``row`` of the ARKit coefficient; ``upper`` and ``lower`` (M,) places that meet; ``moved`` (N,) places
    that the blink moves; ``follow`` (N, M) how far each follows what the margins lack.
    """

    row: int
    upper: np.ndarray
    lower: np.ndarray
    moved: np.ndarray
    follow: np.ndarray


@lru_cache(maxsize=2)
def blinks_of(model: HeadModel) -> tuple[Blink, ...]:
    """Return how the right eye blinks and how the left; see `Blink`."""
    result = []
    region = model.geometry_region
    for name, ball in (("eyeBlinkRight", "right_eye"), ("eyeBlinkLeft", "left_eye")):
        row = model.expression_names.index(name)
        motion = model.expression[row]
        closed = model.mean + motion
        eye = model.mean[region == REGIONS.index(ball)]
        near = np.linalg.norm(model.mean - eye.mean(0), axis=1) < 1.9 * np.ptp(eye[:, 0]) / 2
        lid = near & (region == REGIONS.index("lids"))
        sinks = -motion[:, 1]
        deep = sinks.max()
        falling = np.nonzero(lid & (sinks > 0.3 * deep))[0]
        resting = np.nonzero(lid & (sinks < 0.1 * deep) & (model.mean[:, 2] > eye[:, 2].max() - 0.25))[0]
        apart = np.linalg.norm(closed[falling][:, None] - closed[resting][None], axis=2)
        meets = apart.min(1) < _MEETS
        upper, lower = falling[meets], resting[apart[meets].argmin(1)]
        moved = np.nonzero((sinks > 0.02 * deep) & (region != REGIONS.index(ball)))[0]
        across = model.mean[moved, :1] - model.mean[upper, 0]
        share = np.exp(-((across / _ALONG) ** 2)) + 1e-12
        share /= share.sum(1, keepdims=True)
        strength = np.linalg.norm(motion, axis=1)
        follow = share * (strength[moved] / (share @ strength[upper])).clip(0, 1)[:, None]
        result.append(Blink(row, upper, lower, moved, follow))
    return tuple(result)


def expressed(model: HeadModel, neutral: np.ndarray, expression: np.ndarray) -> np.ndarray:
    """Displacement of a person's head by an expression.

    Parameters
    ----------
    model : HeadModel
        The template.
    neutral : np.ndarray
        (G, 3) the person's neutral head, head frame.
    expression : np.ndarray
        (52,) ARKit coefficients.

    Returns
    -------
    np.ndarray
        (G, 3) float32, interocular distances.
    """
    result = np.array(model.expressed(expression), np.float32)
    for blink in blinks_of(model):
        amount = float(np.asarray(expression)[blink.row])
        if amount:
            result[blink.moved] += amount * blink_of(model, neutral, blink)
    return result


def blink_of(model: HeadModel, neutral: np.ndarray, blink: Blink) -> np.ndarray:
    """(N, 3) float32 what a person's blink at 1 adds to the template's, at the places that it moves.

    Parameters
    ----------
    model : HeadModel
        The template.
    neutral : np.ndarray
        (G, 3) the person's neutral head, head frame.
    blink : Blink
        One of `blinks_of`.
    """
    gap, usual = (points[blink.lower] - points[blink.upper] for points in (neutral, model.mean))
    lacks = np.clip(gap - usual, -_FARTHEST, _FARTHEST)
    return np.asarray(blink.follow @ lacks, np.float32)

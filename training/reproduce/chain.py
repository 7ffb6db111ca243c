"""A named chain of stages: each is skipped when its settings, what it needs and its code are unchanged.

A chain is a JSON file in ``training/reproduce/chains``: ``{"stages": {NAME: {"kind": ...}}}``, in
the order in which they run. A stage that is out of time goes on where it stopped; `pack.pack` takes it to
another machine.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

from ...boundary.files import written
from .stages import KINDS
from .work import BEGUN, DONE, Log, Stage, Work

CHAINS = Path(__file__).parent / "chains"


def read_chain(name: str) -> list[Stage]:
    """Read a chain by its name, or by its path.

    Raises
    ------
    ValueError
        It does not exist, is no chain, or names a stage or a kind that there is not.
    """
    file = next((f for f in (CHAINS / f"{name}.json", Path(name)) if f.is_file()), None)
    if file is None:
        known = ", ".join(sorted(f.stem for f in CHAINS.glob("*.json")))
        raise ValueError(f"{name}: no such chain; there are {known}")
    stages: list[Stage] = []
    for stage, content in json.loads(file.read_text(encoding="utf-8"))["stages"].items():
        settings = dict(content)
        kind, needs = settings.pop("kind"), tuple(settings.pop("needs", ()))
        unknown = sorted(set(needs) - {s.name for s in stages})
        if kind not in KINDS or unknown:
            raise ValueError(f"{file.name}: {stage} has kind {kind!r}, needs unknown {unknown}")
        stages.append(Stage(stage, kind, needs, settings))
    return stages


def fingerprint(stage: Stage, known: dict[str, str]) -> str:
    """Hash of all that decides a stage's result: settings, what it needs, and the code of its kind."""
    text = json.dumps(
        [stage.kind, stage.settings, [known[n] for n in stage.needs], inspect.getsource(KINDS[stage.kind])],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def reproduce(
    name: str,
    folder: Path,
    face_models: Path,
    minutes: float = math.inf,
    device: str = "cpu",
    log: Log = print,
) -> bool:
    """Do what is left of a chain; returns whether all of it is done.

    Parameters
    ----------
    name
        Of the chain.
    folder
        Where everything goes.
    face_models
        Folder of the face model files.
    minutes
        Time for this call; what is not finished then goes on with the next one.
    device
        ``cpu`` or ``cuda``.
    """
    stages = read_chain(name)
    known: dict[str, str] = {}
    began = time.monotonic()
    for stage in stages:
        known[stage.name] = fingerprint(stage, known)
        done = folder / stage.name / DONE
        if done.is_file() and json.loads(done.read_text(encoding="utf-8"))["inputs"] == known[stage.name]:
            log(f"{stage.name}: done, nothing changed")
            continue
        left = 60 * minutes - (time.monotonic() - began)
        if left <= 0:
            log(f"{stage.name}: next time")
            return False
        _clear_if_changed(folder / stage.name, known[stage.name])
        log(f"{stage.name}: {stage.kind}")
        since = time.monotonic()
        if not KINDS[stage.kind](stage, Work(folder, face_models, left, device, log)):
            log(f"{stage.name}: out of time, goes on from here")
            return False
        seconds = round(time.monotonic() - since, 1)
        _note(done, {"inputs": known[stage.name], "seconds": seconds})
    return True


def _clear_if_changed(place: Path, inputs: str) -> None:
    """Empty a stage's folder unless it was begun with the same inputs."""
    begun = place / BEGUN
    if place.is_dir():
        same = begun.is_file() and json.loads(begun.read_text(encoding="utf-8"))["inputs"] == inputs
        if not same:
            shutil.rmtree(place)
    place.mkdir(parents=True, exist_ok=True)
    _note(begun, {"inputs": inputs})


def _note(file: Path, content: dict[str, Any]) -> None:
    with written(file) as part:
        part.write_text(json.dumps(content), encoding="utf-8")

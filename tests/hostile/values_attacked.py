"""Texts and numbers that workflows carry: face capture, coefficients, weights, names, paths, settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from hifi_portrait.boundary.saved import check_name
from hifi_portrait.identity.store import identity_path
from hifi_portrait.landmarks.capture import coefficients_from_json, target_from_capture
from hifi_portrait.landmarks.model import FaceModel
from hifi_portrait.landmarks.sequence import smooth
from hifi_portrait.landmarks.sliders import SliderTable
from hifi_portrait.landmarks.target import generate_for
from hifi_portrait.patching.settings import BLOCK_PRESETS, PatchSettings, parse_block_weights

from . import mutate, seeds
from .verdict import check_shown

Row = tuple[str, Callable[[Random], Any], Callable[[Any, Path], object], Callable[[], list[Any]], int]


def rows() -> Iterator[Row]:
    """Return name, make, attempt, good inputs and share of each target."""
    yield "capture csv", _csv, _capture, lambda: [seeds.CAPTURE_CSV], 6000
    yield "capture json", _json, _capture, lambda: [seeds.CAPTURE_JSON], 5000
    yield "arkit json", _arkit, _coefficients, lambda: ["", seeds.ARKIT_JSON], 4000
    yield "block weights", _weights, _block_weights, lambda: [*BLOCK_PRESETS, ",".join("1" * 12)], 2000
    yield "identity name", _name, _identity_name, lambda: ["Anna", "Zoë (2)", "名前.safetensors"], 3000
    yield "patch settings", _settings, _patch, lambda: [{}, {"fade_in": 0.5}], 2000
    yield "sliders", _sliders, _generate, lambda: [{}, {"yaw": 20.0}], 1500


def _csv(random: Random) -> str:
    if random.random() < 0.3:
        return mutate.data(random, seeds.CAPTURE_CSV.encode()).decode("utf-8", "replace")
    rows = [line.split(",") for line in seeds.CAPTURE_CSV.splitlines()]
    for _ in range(random.choice((1, 1, 3))):
        row = random.choice(rows)
        if not row:
            continue
        spot = random.randrange(len(row))
        change = random.randrange(5)
        if change == 0:
            del row[spot]
        elif change == 1:
            row[spot] = str(random.choice(mutate.FLOATS))
        elif change == 2:
            row[spot] = random.choice((*mutate.TEXTS, "x" * 200_000, '"', '"open'))
        elif change == 3:
            row[spot] = mutate.text(random, row[spot])
        else:
            rows.append(list(row) * random.choice((1, 2, 50)))
    return "\n".join(",".join(row) for row in rows)


def _json(random: Random) -> str:
    return _json_text(random, seeds.CAPTURE_JSON)


def _arkit(random: Random) -> str:
    return _json_text(random, seeds.ARKIT_JSON)


def _json_text(random: Random, good: str) -> str:
    kind = random.random()
    if kind < 0.2:
        return mutate.data(random, good.encode()).decode("utf-8", "replace")
    if kind < 0.25:
        return random.choice(
            ("[" * 100_000, '{"a":' * 100_000, '[{"jawOpen":' + "9" * 5000 + "}]", "9" * 400)
        )
    text = json.dumps(mutate.tree(random, json.loads(good)))
    return mutate.text(random, text) if random.random() < 0.1 else text


def _capture(text: str, folder: Path) -> None:
    model = FaceModel.load()
    target, notes = target_from_capture(text, model)
    target = smooth(target, 0.3)
    landmarks = generate_for(model, {}, 256, 256, target=_first(target))
    assert np.isfinite(landmarks.points).all(), "points that are not finite"
    for note in notes:
        check_shown(note)


def _first(target: Any) -> Any:
    from dataclasses import replace

    return replace(target, pose=target.pose[:3], expression=target.expression[:3])


def _coefficients(text: str, folder: Path) -> None:
    values = coefficients_from_json(text, FaceModel.load())
    landmarks = generate_for(FaceModel.load(), {}, 256, 256, raw_expression=values)
    assert np.isfinite(landmarks.points).all(), "points that are not finite"


def _weights(random: Random) -> str:
    if random.random() < 0.5:
        parts = [str(random.choice((*mutate.FLOATS, 1, *mutate.INTEGERS))) for _ in range(12)]
        return random.choice((",", ";", " , ")).join(parts)
    return mutate.text(random, random.choice(("1,1,1,1,1,1,1,1,1,1,1,1", *BLOCK_PRESETS)))


def _block_weights(text: str, folder: Path) -> None:
    weights = PatchSettings(block_weights=parse_block_weights(text)).block_weights
    assert all(abs(weight) < 1e6 for weight in weights), f"accepted {weights}"


def _name(random: Random) -> str:
    good = random.choice(("Anna", "Zoë (2)", "名前", "a.b", "con", "x" * 99))
    return mutate.text(random, good) if random.random() < 0.9 else random.choice(mutate.TEXTS)


def _identity_name(name: str, folder: Path) -> None:
    check_name(name, "an identity")
    path = identity_path(folder, name)
    assert path.parent == folder and path.name != ".safetensors", f"{path} leaves {folder}"
    path.touch()  # a name that is accepted can be written
    path.unlink()


def _settings(random: Random) -> dict[str, Any]:
    # Numbers and texts of any size: what the host lets through to an input of that type.
    names = ("identity_strength", "landmark_strength", "start_percent", "end_percent", "fade_in", "fade_out")
    values: dict[str, Any] = {name: random.choice(mutate.FLOATS) for name in (*names, "fusion_strength")}
    values["mask_feather"] = random.choice(mutate.INTEGERS)
    values["unconditional"] = random.choice(mutate.TEXTS)
    values["block_weights"] = tuple(random.choice(mutate.FLOATS) for _ in range(random.choice((0, 11, 12))))
    return {name: values[name] for name in random.sample(sorted(values), random.choice((1, 1, 2)))}


def _patch(values: dict[str, Any], folder: Path) -> None:
    PatchSettings(**values)


def _sliders(random: Random) -> dict[str, Any]:
    table = SliderTable.load().sliders
    chosen = random.sample([slider.id for slider in table], random.choice((1, 2, 6)))
    values: dict[str, Any] = {}
    for name in chosen:
        values[name] = random.choice((random.uniform(-300, 300), random.choice(mutate.FLOATS)))
    return values


def _generate(values: dict[str, Any], folder: Path) -> None:
    landmarks = generate_for(FaceModel.load(), values, 512, 384)
    assert np.isfinite(landmarks.points).all(), "points that are not finite"

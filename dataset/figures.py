"""Figures of a data set for its report: people, coverage of pose and expression, similarities, drift."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ..landmarks.model import FaceModel
from .averages import index_of, neighbours
from .layout import people_table, samples_table

YAWS = np.arange(-90, 91, 15)
PITCHES = np.arange(-60, 61, 15)
SIMILARITIES = np.linspace(-0.2, 1.0, 25)
NEAREST = 10
"""How many pairs of people that look most alike are listed."""
_PER_PERSON = 64
"""Most pictures of a person whose similarities are counted."""


@dataclass(frozen=True, eq=False)
class Figures:
    """What the report draws.

    Attributes
    ----------
    pictures_of_people : np.ndarray
        (P,) int pictures of each person.
    pose : np.ndarray
        (pitches - 1, yaws - 1) int pictures by `PITCHES` and `YAWS`, degrees.
    expression : dict of str to tuple
        By ARKit name: mean, and share of pictures above .3; of those that the fit can see.
    within, between : np.ndarray
        (bins,) share of pairs by cosine similarity (`SIMILARITIES`): pictures of one person, people's means.
    nearest : list of tuple
        Two people and the similarity of their means, most alike first.
    shards : list of dict
        By shard: mean quality, size, absolute yaw, and distance of its mean embedding to the whole's, in
        standard errors.
    """

    pictures_of_people: np.ndarray
    pose: np.ndarray
    expression: dict[str, tuple[float, float]]
    within: np.ndarray
    between: np.ndarray
    nearest: list[tuple[str, str, float]]
    shards: list[dict[str, Any]]


def measure(out: Path) -> Figures:
    """Measure a data set by its tables; pictures are read in pieces, people's means at once."""
    people = pq.read_table(people_table(out))
    names = people["person"].to_pylist()
    means = np.array(people["embedding"].to_pylist() or np.zeros((0, 1)), np.float32)
    pose = np.zeros((len(PITCHES) - 1, len(YAWS) - 1), np.int64)
    total, high, count = np.zeros(52), np.zeros(52), 0
    within = np.zeros(len(SIMILARITIES) - 1, np.int64)
    by_shard: dict[str, list[np.ndarray]] = {}
    last: tuple[str, list[np.ndarray]] = ("", [])
    for row in _rows(out):
        pose += np.histogram2d([row["pitch"]], [row["yaw"]], (PITCHES, YAWS))[0].astype(np.int64)
        expression = np.asarray(row["expression"])
        total, high, count = total + expression, high + (expression > 0.3), count + 1
        embedding = np.asarray(row["embedding"], np.float32)
        if row["person"] != last[0]:
            within += _pairs(last[1])
            last = (row["person"], [])
        last[1].append(embedding)
        numbers = np.array([1.0, row["quality"], row["size_px"], abs(row["yaw"])])
        sums = by_shard.setdefault(
            row["shard"], [np.zeros(4), np.zeros(len(embedding)), np.zeros(len(embedding))]
        )
        sums[0] += numbers
        sums[1] += embedding
        sums[2] += embedding**2
    within += _pairs(last[1])
    model = FaceModel.load()
    observed = {name: model.expression_index[name] for name in model.observable}
    return Figures(
        np.array(people["pictures"].to_pylist(), np.int64),
        pose,
        {n: (float(total[i] / max(count, 1)), float(high[i] / max(count, 1))) for n, i in observed.items()},
        within / max(within.sum(), 1),
        _between(means),
        _nearest(names, means),
        _drift(by_shard),
    )


def _rows(out: Path) -> Iterator[dict[str, Any]]:
    columns = ["person", "shard", "quality", "size_px", "yaw", "pitch", "expression", "embedding"]
    for batch in pq.ParquetFile(samples_table(out)).iter_batches(1024, columns=columns):
        yield from batch.to_pylist()


def _pairs(embeddings: list[np.ndarray]) -> np.ndarray:
    if len(embeddings) < 2:
        return np.zeros(len(SIMILARITIES) - 1, np.int64)
    some = np.stack(embeddings[:_PER_PERSON])
    upper = np.triu_indices(len(some), 1)
    return np.histogram((some @ some.T)[upper].clip(-0.2, 1), SIMILARITIES)[0].astype(np.int64)


def _between(means: np.ndarray) -> np.ndarray:
    """Share of pairs of people by similarity; of many people a fixed sample of a thousand."""
    if len(means) < 2:
        return np.zeros(len(SIMILARITIES) - 1)
    some = means[np.linspace(0, len(means) - 1, min(len(means), 1000)).astype(int)]
    found = np.histogram((some @ some.T)[np.triu_indices(len(some), 1)].clip(-0.2, 1), SIMILARITIES)[0]
    share: np.ndarray = found / max(found.sum(), 1)
    return share


def _nearest(names: list[str], means: np.ndarray) -> list[tuple[str, str, float]]:
    if len(names) < 2:
        return []
    similarity, number = neighbours(index_of(means), means, 2)
    pairs: dict[tuple[int, int], float] = {}
    for row in range(len(names)):
        for value, other in zip(similarity[row], number[row], strict=True):
            if other >= 0 and other != row:
                pairs[min(row, int(other)), max(row, int(other))] = float(value)
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:NEAREST]
    return [(names[a], names[b], value) for (a, b), value in ranked]


def _drift(by_shard: dict[str, list[np.ndarray]]) -> list[dict[str, Any]]:
    count = sum(sums[0][0] for sums in by_shard.values())
    whole = sum((sums[1] for sums in by_shard.values()), np.zeros(1)) / max(count, 1)
    squares = sum((sums[2] for sums in by_shard.values()), np.zeros(1)) / max(count, 1)
    spread = np.sqrt(np.maximum(squares - whole**2, 1e-12))
    rows = []
    for shard, (numbers, vectors, _) in sorted(by_shard.items()):
        own = numbers[0]
        apart = np.abs(vectors / own - whole) / (spread / np.sqrt(own))
        rows.append(
            {
                "shard": shard,
                "pictures": int(own),
                "quality": float(numbers[1] / own),
                "size_px": float(numbers[2] / own),
                "abs_yaw": float(numbers[3] / own),
                "drift": float(np.median(apart)),
            }
        )
    return rows

"""What lies beside the shards: tables, data sheet, report, and the file that says the data set is complete.

Everything here is made from the shards, the table of rejected pictures and the examples, so a data set that
was merged, split or that forgot somebody is described by the same code as one that was built.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..boundary.files import PRIVATE, written
from ..boundary.parse import BadJsonError, parse_json
from ..boundary.text import name
from .datasheet import write_datasheet
from .layout import SUMMARY, people_table, rejected_table, samples_table
from .record import STAGES, PictureRecord
from .report import write_report
from .shards import PEOPLE, PICTURES, decode_arrays, read_shard, shard_files
from .tables import REJECTED, part_of, write_rows

FORMAT = "hifi-portrait-dataset"
VERSION = 1
REJECTED_SCHEMA = part_of(REJECTED)
_NUMBERS = (
    "width", "height", "quality", "size_px", "sharpness", "exposure", "completeness", "fit_residual",
)  # fmt: skip
SAMPLES = pa.schema(
    [(key, pa.string()) for key in ("key", "person", "shard", "label", "name", "sha256", "caption")]
    + [(key, pa.float64()) for key in (*_NUMBERS, "yaw", "pitch", "roll")]
    + [("expression", pa.list_(pa.float32())), ("embedding", pa.list_(pa.float32()))]
)
PERSONS = pa.schema(
    {
        "person": pa.string(),
        "shard": pa.string(),
        "labels": pa.list_(pa.string()),
        "pictures": pa.int64(),
        "embedding": pa.list_(pa.float32()),
    }
)


@dataclass(frozen=True)
class About:
    """How a data set came to be.

    Attributes
    ----------
    build : dict
        Version, recognizer, analyzer, seed, digest of the settings.
    settings : dict
        As `PipelineConfig.to_dict`.
    licences : tuple of str
        Of the analyzer's files.
    history : tuple of str
        What was done with it since, one line each.
    """

    build: dict[str, Any]
    settings: dict[str, Any]
    licences: tuple[str, ...] = ()
    history: tuple[str, ...] = ()

    @classmethod
    def of(cls, out: Path) -> About:
        """Read it from a data set."""
        found = read_dataset(out)
        return cls(found["build"], found["settings"], tuple(found["licences"]), tuple(found["history"]))

    def and_then(self, line: str) -> About:
        """Return it with one more line of history."""
        return replace(self, history=(*self.history, line))


def read_dataset(out: Path) -> dict[str, Any]:
    """Return what ``dataset.json`` holds.

    Raises
    ------
    ValueError
        There is none, or it is damaged; one line.
    """
    try:
        found = parse_json((out / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, BadJsonError, ValueError):
        raise ValueError(f"{name(out)} is no complete data set: it has no readable dataset.json") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT or found.get("version") != VERSION:
        raise ValueError(f"{name(out)} is no data set of version {VERSION}")
    return found


def rejected_row(record: PictureRecord) -> dict[str, Any]:
    """Return a row of the table of rejected pictures."""
    return {key: value for key, value in record.to_row().items() if key in REJECTED}


def write_outputs(out: Path, about: About, names: Iterable[Mapping[str, tuple[str, str]]]) -> dict[str, Any]:
    """Write tables, data sheet, report, and last ``dataset.json``.

    Parameters
    ----------
    out : Path
        The data set; its shards, rejected table and examples are there.
    about : About
        How it came to be.
    names : iterable of mapping
        For each shard: label and source name by sample key.
    """
    shards = shard_files(out, PICTURES)
    count = write_rows(samples_table(out), _samples(shards, names), SAMPLES)
    people = write_rows(people_table(out), _people(out), PERSONS)
    result = {
        "format": FORMAT,
        "version": VERSION,
        "build": about.build,
        "settings": about.settings,
        "licences": list(about.licences),
        "history": list(about.history),
        "pictures": count,
        "people": people,
        "rejected": rejected_counts(out),
        "shards": {
            path.name: sha256_of(path) for kind in (PICTURES, PEOPLE) for path in shard_files(out, kind)
        },
    }
    write_datasheet(out, result)
    write_report(out, result)
    with written(out / SUMMARY, PRIVATE) as part:
        part.write_text(json.dumps(result, sort_keys=True, indent=2, ensure_ascii=False), encoding="utf-8")
    return result


def rejected_counts(out: Path) -> dict[str, dict[str, int]]:
    """Count the table of rejected pictures by stage and reason."""
    table = pq.read_table(rejected_table(out), columns=["stage", "reason"])
    found: dict[str, dict[str, int]] = {}
    for stage, why in zip(table["stage"].to_pylist(), table["reason"].to_pylist(), strict=True):
        reasons = found.setdefault(stage, {})
        reasons[why] = reasons.get(why, 0) + 1
    return {stage: dict(sorted(found[stage].items())) for stage in STAGES if stage in found}


def names_of(out: Path) -> Iterator[dict[str, tuple[str, str]]]:
    """Return what `write_outputs` wants, from a data set's own table."""
    table = pq.read_table(samples_table(out), columns=["key", "shard", "label", "name"]).to_pylist()
    by_shard: dict[str, dict[str, tuple[str, str]]] = {}
    for row in table:
        by_shard.setdefault(row["shard"], {})[row["key"]] = row["label"], row["name"]
    return (by_shard.get(path.name, {}) for path in shard_files(out, PICTURES))


def _samples(shards: list[Path], names: Iterable[Mapping[str, tuple[str, str]]]) -> Iterator[dict[str, Any]]:
    for shard, known in zip(shards, names, strict=True):
        for key, members in read_shard(shard, ("json", "npz")):
            values, arrays = json.loads(members["json"]), decode_arrays(members["npz"])
            label, source = known[key]
            yield {
                "key": key,
                "person": values["person"],
                "shard": shard.name,
                "label": label,
                "name": source,
                "sha256": values["sha256"],
                "caption": values["caption"],
                **{number: values[number] for number in _NUMBERS},
                **dict(zip(("yaw", "pitch", "roll"), values["pose"], strict=True)),
                "expression": arrays["expression"],
                "embedding": arrays["embedding"],
            }


def _people(out: Path) -> Iterator[dict[str, Any]]:
    table = pq.read_table(samples_table(out), columns=["person", "label"])
    labels: dict[str, set[str]] = {}
    for person, label in zip(table["person"].to_pylist(), table["label"].to_pylist(), strict=True):
        labels.setdefault(person, set()).update({label} - {""})
    for shard in shard_files(out, PEOPLE):
        for person, members in read_shard(shard, ("json", "npz")):
            yield {
                "person": person,
                "shard": shard.name,
                "labels": sorted(labels[person]),
                "pictures": len(json.loads(members["json"])["pictures"]),
                "embedding": decode_arrays(members["npz"])["embedding"],
            }


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()

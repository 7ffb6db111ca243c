"""Data sets out of data sets: split by person, merged, and looked at.

Samples are copied from shard to shard as they are, and `outputs.write_outputs` describes the result.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ..boundary.text import name
from .examples import EXAMPLES
from .layout import SUMMARY, examples_table, is_dataset, people_table, rejected_table
from .outputs import REJECTED_SCHEMA, About, names_of, read_dataset, sha256_of, write_outputs
from .shards import (
    FOLDERS,
    PEOPLE,
    PICTURES,
    Members,
    decode_arrays,
    encode_arrays,
    encode_json,
    read_shard,
    shard_files,
    shard_path,
    shard_writer,
)
from .tables import write_rows


def split(source: Path, first: Path, second: Path, share: float, seed: int = 0) -> tuple[int, int]:
    """Divide a data set by person, never by picture.

    A person's side follows from the id and the seed alone: a data set that has grown is divided alike.

    Parameters
    ----------
    source : Path
        The data set; it stays as it is.
    first, second : Path
        New folders.
    share : float
        Of the people that go to the second, 0..1 (validation).
    seed : int
        Of the division.

    Returns
    -------
    tuple of int
        People in each.

    Raises
    ------
    ValueError
        A folder is not empty, or one side has nobody; one line.
    """
    if not 0 < share < 1:
        raise ValueError(f"the share must lie between 0 and 1, not {share:g}")
    people = pq.read_table(people_table(source), columns=["person"])["person"].to_pylist()
    held = {person for person in people if _uniform(person, seed) < share}
    if not held or len(held) == len(people):
        raise ValueError(f"with {len(people)} people and a share of {share:g} one side has nobody; change it")
    counts = []
    for out, chosen in ((first, set(people) - held), (second, held)):
        _copy([source], out, chosen.__contains__, f"{len(chosen)} of {len(people)} people, seed {seed}")
        counts.append(len(chosen))
    return counts[0], counts[1]


def _uniform(person: str, seed: int) -> float:
    digest = hashlib.blake2b(f"split {seed}:{person}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def merge(sources: Sequence[Path], out: Path) -> dict[str, Any]:
    """Put data sets together; pictures that are in several are taken once, people of one id are one.

    Whether people of different ids are one is not decided here: the report lists who look most alike.

    Raises
    ------
    ValueError
        They were made with different recognizers, or ``out`` is not empty; one line.
    """
    if len(sources) < 2:
        raise ValueError("give at least two data sets to merge")
    recognizers = {About.of(source).build.get("recognizer") for source in sources}
    if len(recognizers) > 1:
        raise ValueError(
            f"they were made with different recognizers: {', '.join(sorted(map(str, recognizers)))}"
        )
    return _copy(sources, out, lambda person: True, f"merged of {len(sources)} data sets")


def _copy(sources: Sequence[Path], out: Path, keep: Callable[[str], bool], line: str) -> dict[str, Any]:
    """Write a data set of the chosen people of others; shards stay as they are, less who is not kept."""
    if is_dataset(out) or (out.exists() and any(out.iterdir())):
        raise ValueError(f"{name(out)} is not an empty folder; give a new one")
    about = About.of(sources[0]).and_then(line)
    try:
        return _copied(sources, out, keep, about)
    except BaseException:
        # Half a copy is of no use, and it holds people.
        if not (out / SUMMARY).is_file():
            shutil.rmtree(out, ignore_errors=True)
        raise


def _copied(sources: Sequence[Path], out: Path, keep: Callable[[str], bool], about: About) -> dict[str, Any]:
    copy = _Copy(out, keep, _people_in_several(sources))
    for source in sources:
        triples = zip(
            shard_files(source, PICTURES), shard_files(source, PEOPLE), names_of(source), strict=True
        )
        for pictures, people, known in triples:
            copy.add(pictures, people, known)
    copy.close()
    _copy_tables(sources, out, keep)
    return write_outputs(out, about, copy.names)


class _Copy:
    """Shards of a data set that is made of others; people who are in several come last, together."""

    def __init__(self, out: Path, keep: Callable[[str], bool], shared: set[str]) -> None:
        self._out, self._keep, self._number = out, keep, 0
        self._taken: set[str] = set()
        self._late: dict[str, list[tuple[str, Members]]] = {p: [] for p in sorted(shared) if keep(p)}
        self._summaries: dict[str, Members] = {}
        self._late_names: dict[str, tuple[str, str]] = {}
        self.names: list[dict[str, tuple[str, str]]] = []

    def add(self, pictures: Path, people: Path, known: dict[str, tuple[str, str]]) -> None:
        """Copy a shard of pictures and that of their people."""
        chosen = {}
        with shard_writer(shard_path(self._out, PICTURES, self._number)) as writer:
            for key, members in read_shard(pictures):
                person = key.split("-")[0]
                if not self._keep(person) or key in self._taken:
                    continue
                self._taken.add(key)
                if person in self._late:
                    self._late[person].append((key, members))
                    self._late_names[key] = known[key]
                else:
                    writer.write(key, members)
                    chosen[key] = known[key]
        with shard_writer(shard_path(self._out, PEOPLE, self._number)) as writer:
            for person, members in read_shard(people):
                if person in self._late:
                    self._summaries.setdefault(person, members)
                elif self._keep(person):
                    writer.write(person, members)
        self._next(chosen)

    def close(self) -> None:
        """Write who is in several data sets."""
        if not self._late:
            return
        with shard_writer(shard_path(self._out, PICTURES, self._number)) as writer:
            for samples in self._late.values():
                for key, members in samples:
                    writer.write(key, members)
        with shard_writer(shard_path(self._out, PEOPLE, self._number)) as writer:
            for person, samples in self._late.items():
                writer.write(person, _together(self._summaries[person], samples))
        self._next(self._late_names)

    def _next(self, names: dict[str, tuple[str, str]]) -> None:
        self.names.append(names)
        self._number += 1


def _people_in_several(sources: Sequence[Path]) -> set[str]:
    seen, twice = set[str](), set[str]()
    for source in sources:
        own = set(pq.read_table(people_table(source), columns=["person"])["person"].to_pylist())
        twice |= seen & own
        seen |= own
    return twice


def _together(summary: Members, samples: list[tuple[str, Members]]) -> Members:
    """Return a person's own sample, for pictures out of several; shape and texture are the first's."""
    mean = np.mean([decode_arrays(members["npz"])["embedding"] for _, members in samples], axis=0)
    values = json.loads(summary["json"]) | {"pictures": [key for key, _ in samples]}
    arrays = {**decode_arrays(summary["npz"]), "embedding": mean / max(float(np.linalg.norm(mean)), 1e-9)}
    return summary | {"json": encode_json(values), "npz": encode_arrays(arrays)}


def _copy_tables(sources: Sequence[Path], out: Path, keep: Callable[[str], bool]) -> None:
    for table, schema in ((rejected_table, REJECTED_SCHEMA), (examples_table, EXAMPLES)):
        rows = (
            row
            for source in sources
            for row in pq.read_table(table(source)).to_pylist()
            if not row["person"] or keep(row["person"])
        )
        write_rows(table(out), rows, schema)


def inspect(out: Path) -> list[str]:
    """Describe a data set, and check that its shards are those that it was completed with.

    Returns
    -------
    list of str
        Lines.

    Raises
    ------
    ValueError
        A shard is missing or another one; one line.
    """
    found = read_dataset(out)
    for shard, digest in found["shards"].items():
        path = out / FOLDERS[shard.split("-")[0]] / shard
        if not path.is_file() or sha256_of(path) != digest:
            raise ValueError(
                f"{name(shard)} of {name(out)} is {'another one' if path.is_file() else 'missing'}"
            )
    sheet = found["settings"]["sheet"]
    lines = [f"{sheet['name']}: {found['people']} people, {found['pictures']} pictures"]
    lines += [f"  {key}: {sheet[key]}" for key in ("source", "licence", "consent", "contact")]
    for stage, reasons in found["rejected"].items():
        lines.append(f"  rejected by {stage}: " + ", ".join(f"{n} {why}" for why, n in reasons.items()))
    lines += [f"  {len(found['shards'])} shards, all as they were written"]
    return lines + [f"  {line}" for line in found["history"]]

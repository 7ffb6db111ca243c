"""``hifi-portrait dataset build``: from a source to a data set, one stage after the other."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..boundary.files import remove_debris
from ..boundary.text import LONGEST_MESSAGE, name, shortened
from .config import PipelineConfig
from .examples import write_examples
from .finish import sample_key
from .journal import AnalyseTask, FinishTask, Journal
from .layout import is_dataset, rejected_table
from .outputs import (
    REJECTED_SCHEMA,
    About,
    read_dataset,
    rejected_row,
    write_outputs,
)
from .people import COLUMNS, UNSHARDED, Faces, assign
from .record import PictureRecord, counted
from .runners import Runner, Task
from .shards import FOLDERS, decode_png
from .sources import list_source
from .tables import LISTING, read_records, rows_in, write_records, write_rows

VERSION = 1
"""Of the journal and of the shards' layout."""


@dataclass(frozen=True)
class Build:
    """What decides a build; equal ones give equal bytes.

    Attributes
    ----------
    source : Path
        Folder, shards or table.
    out : Path
        Folder that is made; where a build was killed, it goes on.
    config : PipelineConfig
        Settings.
    recognizer : str
        Id of the analyzer's embedding space.
    analyzer : str
        Fingerprint of the analyzer.
    licences : tuple of str
        Of the analyzer's files, for the data sheet.
    seed : int
        Of the order of people in shards.
    quiet : bool
        No progress bar.
    """

    source: Path
    out: Path
    config: PipelineConfig
    recognizer: str
    analyzer: str
    licences: tuple[str, ...] = ()
    seed: int = 0
    quiet: bool = False


def build(what: Build, runner: Runner) -> dict[str, Any]:
    """Build a data set, or go on with one that was begun.

    Parameters
    ----------
    what : Build
        Source, folder and settings.
    runner : Runner
        Does the work.

    Returns
    -------
    dict
        What ``dataset.json`` holds.

    Raises
    ------
    ValueError
        The source is none, nothing of it is left (the reasons are counted), or the folder holds something
        else; one line.
    SaveError
        A file cannot be written; after room is made the same command goes on.
    """
    try:
        return _build(what, runner)
    finally:
        runner.close()


def _build(what: Build, runner: Runner) -> dict[str, Any]:
    journal = Journal(what.out)
    if is_dataset(what.out):
        return _complete(what, journal)
    journal.begin(_state(what))
    if not journal.listing.is_file():
        write_records(
            journal.listing, list_source(what.source, what.config.source), LISTING, what.config.shards.chunk
        )
    total = rows_in(journal.listing)
    if not total:
        _remove_work(journal)
        raise ValueError(f"{name(what.source)} holds no pictures; nothing was written")
    _do(what, runner, [AnalyseTask(journal, i) for i in journal.chunks()], total, "analysing")
    if not journal.places.is_file():
        _assign(what, journal)
    placed = sum(len(journal.placed(i)) for i in journal.shards())
    _do(what, runner, [FinishTask(journal, i) for i in journal.shards()], placed, "writing shards")
    # Of workers that died.
    for folder in (what.out, *(what.out / kind for kind in FOLDERS.values())):
        remove_debris(folder)
    if next(journal.accepted(), None) is None:
        raise ValueError(_nothing_left(what, journal))
    state = {key: value for key, value in _state(what).items() if key != "source"}
    about = About(state, what.config.to_dict(), what.licences)
    write_examples(what.out, journal, what.config.decode)
    write_rows(rejected_table(what.out), map(rejected_row, journal.rejected()), REJECTED_SCHEMA)
    names = (
        {sample_key(r): (r.label, r.name) for r in read_records(journal.shard(i)) if not r.rejected}
        for i in journal.shards()
    )
    result = write_outputs(what.out, about, names)
    _remove_work(journal)
    return result


def _complete(what: Build, journal: Journal) -> dict[str, Any]:
    """Return what a build in this folder wrote before, if it was the same one."""
    found = read_dataset(what.out)
    differing = [
        key for key, value in _state(what).items() if key != "source" and found["build"].get(key) != value
    ]
    if differing:
        raise ValueError(
            f"{name(what.out)} is a complete data set with another {', '.join(differing)}; "
            "give another folder"
        )
    _remove_work(journal)
    return found


def _state(what: Build) -> dict[str, Any]:
    return {
        "version": VERSION,
        "source": hashlib.sha256(str(what.source.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[
            :16
        ],
        "settings": what.config.digest(),
        "recognizer": what.recognizer,
        "analyzer": what.analyzer,
        "seed": what.seed,
    }


def _do(what: Build, runner: Runner, tasks: list[Task], pictures: int, label: str) -> None:
    with tqdm(total=pictures, desc=label, unit="picture", smoothing=0.05, disable=what.quiet) as bar:
        for count in runner.run(tasks):
            bar.update(count)


def _assign(what: Build, journal: Journal) -> None:
    chunk_of: dict[str, int] = {}

    def records() -> Iterator[PictureRecord]:
        for index in journal.chunks():
            for record in read_records(journal.chunk(index), COLUMNS):
                if not record.rejected:
                    chunk_of[record.key] = index
                yield record

    @lru_cache(maxsize=64)
    def views(index: int) -> dict[str, bytes]:
        return {record.key: record.view for record in read_records(journal.chunk(index), ["view"])}

    faces = Faces.of(records())

    def view(index: int) -> np.ndarray:
        key = faces.keys[index]
        return decode_png(views(chunk_of[key])[key])

    places = assign(faces, what.config, what.recognizer, what.seed, view)
    shards = 1 + max((place.shard for place in places), default=UNSHARDED)
    journal.write_places(places, chunk_of, shards)


def _nothing_left(what: Build, journal: Journal) -> str:
    reasons = {
        f"{stage}: {why}": count
        for stage, found in counted(journal.rejected()).items()
        for why, count in found.items()
    }
    return shortened(f"no picture of {name(what.source)} is left: {_most(reasons.items())}", LONGEST_MESSAGE)


def _most(reasons: Iterable[tuple[str, int]]) -> str:
    ranked = sorted(reasons, key=lambda item: (-item[1], item[0]))
    return "; ".join(f"{count} {why}" for why, count in ranked[:4])


def _remove_work(journal: Journal) -> None:
    shutil.rmtree(journal.work, ignore_errors=True)

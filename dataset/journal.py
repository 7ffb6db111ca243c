"""The journal of a build: a file per piece of work, so that a build that was killed goes on where it was.

Everything lies in ``OUT/work`` until the data set is complete. A piece is done when its file is there; files
appear whole. The same piece done again gives the same bytes, so nothing is lost and nothing is doubled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..boundary.files import PRIVATE, remove_debris, written
from ..boundary.parse import BadJsonError, parse_json
from ..boundary.text import name
from .analyse import Tools, analyse
from .decode import rejected
from .people import UNSHARDED, Place
from .record import PictureRecord
from .shards import FOLDERS, PEOPLE, PICTURES, shard_path, shard_writer
from .tables import groups_in, read_group, read_picked, read_records, write_records

PLACES = pa.schema(
    [
        ("key", pa.string()), ("person", pa.string()), ("shard", pa.int64()), ("stage", pa.string()),
        ("reason", pa.string()), ("numbers", pa.string()), ("chunk", pa.int64()),
    ]
)  # fmt: skip


_MOST_DEATHS = 3


@dataclass(frozen=True)
class Journal:
    """Where the pieces of a build lie.

    Attributes
    ----------
    out : Path
        Folder of the data set.
    """

    out: Path

    @property
    def work(self) -> Path:
        """Folder of the journal."""
        return self.out / "work"

    @property
    def listing(self) -> Path:
        """What the source holds; a row group for each chunk."""
        return self.work / "listing.parquet"

    @property
    def places(self) -> Path:
        """Who is who; a row group for each shard, the last one holds the rejected."""
        return self.work / "people.parquet"

    def chunk(self, index: int) -> Path:
        """Analysed pictures of one chunk."""
        return self.work / "chunks" / f"{index:06d}.parquet"

    def chunks(self) -> list[int]:
        """Numbers of all chunks of the listing."""
        return list(range(groups_in(self.listing)))

    def shard(self, index: int) -> Path:
        """Return the file that tells what became of one shard's pictures; written after the shard."""
        return self.work / "shards" / f"{index:06d}.parquet"

    def begin(self, state: dict[str, Any]) -> None:
        """Begin a build in this folder, or go on with the one that was begun here.

        Raises
        ------
        ValueError
            The folder holds another build, or other files; one line.
        SaveError
            The folder cannot be written.
        """
        file = self.work / "state.json"
        text = json.dumps(state, sort_keys=True, indent=2)
        if file.is_file():
            differing = _differing(file, state)
            if differing:
                raise ValueError(
                    f"{name(self.out)} holds a build with another {', '.join(differing)}; "
                    "go on with the same, or give another folder"
                )
        elif self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise ValueError(f"{name(self.out)} is not an empty folder; give a new one")
        shards = [self.out / kind for kind in FOLDERS.values()]
        for folder in (self.out, self.work, self.work / "chunks", self.work / "shards", *shards):
            remove_debris(folder)
        with written(file, PRIVATE) as part:
            part.write_text(text, encoding="utf-8")

    def write_places(self, places: list[Place], chunk_of: dict[str, int], shards: int) -> None:
        """Write who is who."""
        rejected_ones = [p for p in places if p.shard == UNSHARDED]
        by_shard: list[list[Place]] = [[] for _ in range(shards)]
        for place in places:
            if place.shard != UNSHARDED:
                by_shard[place.shard].append(place)
        with written(self.places, PRIVATE) as part, pq.ParquetWriter(part, PLACES) as writer:
            for group in [*by_shard, rejected_ones]:
                rows = [
                    {**vars(p), "numbers": json.dumps(dict(p.numbers)), "chunk": chunk_of[p.key]}
                    for p in group
                ]
                writer.write_table(pa.Table.from_pylist(rows, PLACES), row_group_size=max(len(rows), 1))

    def shards(self) -> list[int]:
        """Numbers of the shards."""
        return list(range(groups_in(self.places) - 1))

    def placed(self, group: int) -> list[dict[str, Any]]:
        """Return the rows of one shard."""
        return list(pq.ParquetFile(self.places).read_row_group(group).to_pylist())

    def rejected(self) -> Iterator[PictureRecord]:
        """Return all rejected pictures of a build whose pieces are all done."""
        for index in self.chunks():
            yield from (r for r in read_records(self.chunk(index)) if r.rejected)
        by_chunk: dict[int, dict[str, dict[str, Any]]] = {}
        for row in self.placed(groups_in(self.places) - 1):
            by_chunk.setdefault(row["chunk"], {})[row["key"]] = row
        for index, rows in sorted(by_chunk.items()):
            for record in read_picked(self.chunk(index), set(rows)):
                row = rows[record.key]
                moved = rejected(record, row["stage"], row["reason"], **json.loads(row["numbers"]))
                yield replace(moved, person=row["person"])
        for index in self.shards():
            yield from (r for r in read_records(self.shard(index)) if r.rejected)

    def accepted(self) -> Iterator[PictureRecord]:
        """Return all pictures that are in shards, in their order."""
        for index in self.shards():
            yield from (r for r in read_records(self.shard(index)) if not r.rejected)


def _differing(file: Path, state: dict[str, Any]) -> list[str]:
    try:
        old = parse_json(file.read_text(encoding="utf-8"))
    except (BadJsonError, ValueError) as error:
        raise ValueError(f"the journal {name(file)} is damaged ({error}); give another folder") from None
    plain = json.loads(json.dumps(state))
    return sorted(key for key in plain if not isinstance(old, dict) or old.get(key) != plain[key])


class _Mark:
    """Which picture a worker is at, so that it is known what it died of."""

    def __init__(self, piece: Path) -> None:
        self._at, self._died = _marks(piece)
        self._bad = set(self._died.read_text().split()) if self._died.is_file() else set()

    def begun(self, record: PictureRecord) -> bool:
        """Note that a picture begins; false where a worker died of it before."""
        self._at.write_text(record.key)
        return record.key not in self._bad

    def done(self) -> None:
        """Remove the mark."""
        self._at.unlink(missing_ok=True)


def _marks(piece: Path) -> tuple[Path, Path]:
    return piece.with_suffix(".at"), piece.with_suffix(".died")


def _blame(piece: Path) -> bool:
    at, died = _marks(piece)
    key = at.read_text() if at.is_file() else ""
    known = died.read_text().split() if died.is_file() else []
    if not key or key in known:
        return False
    with written(died, PRIVATE) as part:
        part.write_text("\n".join([*known, key]))
    return True


def note_retry(task: AnalyseTask | FinishTask, run: str) -> None:
    """Note that a task begins in a cluster's run, which does again what a dead worker left.

    A picture that workers of one run were at `_MOST_DEATHS` times when they died is blamed for it.
    """
    piece = task.piece
    at, _ = _marks(piece)
    if not at.is_file():
        return
    file = piece.with_suffix(".tries")
    lines = file.read_text().splitlines() if file.is_file() else []
    lines.append(f"{run} {at.read_text()}")
    with written(file, PRIVATE) as part:
        part.write_text("\n".join(lines))
    if lines.count(lines[-1]) >= _MOST_DEATHS:
        _blame(piece)


@dataclass(frozen=True)
class AnalyseTask:
    """Analyse one chunk of the listing."""

    journal: Journal
    index: int

    @property
    def piece(self) -> Path:
        """The file that is there when it is done."""
        return self.journal.chunk(self.index)

    def run(self, tools: Tools) -> int:
        """Analyse what is not done yet; returns the number of pictures."""
        file = self.piece
        records = read_group(self.journal.listing, self.index)
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            mark = _Mark(file)
            done = [
                analyse(record, tools)
                if mark.begun(record)
                else rejected(record, "detect", "a worker died of it")
                for record in records
            ]
            write_records(file, done)
            mark.done()
        return len(records)

    def blame(self) -> bool:
        """Note the picture that a worker died of."""
        return _blame(self.piece)


@dataclass(frozen=True)
class FinishTask:
    """Make one shard."""

    journal: Journal
    index: int

    @property
    def piece(self) -> Path:
        """The file that is there when it is done."""
        return self.journal.shard(self.index)

    def run(self, tools: Tools) -> int:
        """Make the shard unless it is done; returns the number of pictures."""
        file = self.piece
        rows = self.journal.placed(self.index)
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._make(file, rows, tools)
        return len(rows)

    def blame(self) -> bool:
        """Note the picture that a worker died of."""
        return _blame(self.piece)

    def _make(self, file: Path, rows: list[dict[str, Any]], tools: Tools) -> None:
        # Brings torch, which processes that only analyse do without.
        from .finish import finish_person

        mark = _Mark(file)
        found = self._records(rows)
        people: dict[str, list[PictureRecord]] = {}
        for row in rows:
            people.setdefault(row["person"], []).append(replace(found[row["key"]], person=row["person"]))
        records: list[PictureRecord] = []
        out = self.journal.out
        with (
            shard_writer(shard_path(out, PICTURES, self.index)) as pictures,
            shard_writer(shard_path(out, PEOPLE, self.index)) as summary,
        ):
            for person, theirs in people.items():
                done = finish_person(person, theirs, tools, mark.begun)
                records += done.records
                for key, members in done.samples:
                    pictures.write(key, members)
                if done.members:
                    summary.write(person, done.members)
        write_records(file, records)
        mark.done()

    def _records(self, rows: list[dict[str, Any]]) -> dict[str, PictureRecord]:
        by_chunk: dict[int, set[str]] = {}
        for row in rows:
            by_chunk.setdefault(row["chunk"], set()).add(row["key"])
        found: dict[str, PictureRecord] = {}
        for chunk, keys in sorted(by_chunk.items()):
            found |= {record.key: record for record in read_picked(self.journal.chunk(chunk), keys)}
        return found

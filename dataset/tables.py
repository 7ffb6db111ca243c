"""Tables of records as Parquet files, read and written in pieces and always whole on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..boundary.files import PRIVATE, written
from .record import PictureRecord

_TYPES: dict[str, pa.DataType] = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bytes": pa.binary(),
    "dict[str, float | int | str]": pa.string(),
}
_LISTS = {"hashes": pa.list_(pa.uint64())}
LISTING = ("key", "name", "path", "offset", "bytes", "label", "caption", "stage", "reason", "numbers")
"""Columns of a listing."""
REJECTED = (
    "key", "name", "label", "person", "stage", "reason", "numbers", "width", "height", "faces", "score",
    "size_px", "sharpness", "exposure", "completeness", "quality", "pose", "sha256",
)  # fmt: skip
"""Columns of the table of rejected pictures: nothing that recognises a face."""


def _schema() -> pa.Schema:
    columns: list[pa.Field] = []
    for item in fields(PictureRecord):
        if item.name == "location":
            # Names need not be UTF-8.
            columns += [pa.field("path", pa.binary()), pa.field("offset", pa.int64())]
            columns += [pa.field("bytes", pa.int64())]
        else:
            kind = _LISTS.get(item.name) or _TYPES.get(str(item.type)) or pa.list_(pa.float32())
            columns.append(pa.field(item.name, kind))
    return pa.schema(columns)


SCHEMA = _schema()
"""Of all that is known of a picture."""


def part_of(columns: Sequence[str]) -> pa.Schema:
    """Return the schema of some columns."""
    return pa.schema([SCHEMA.field(column) for column in columns])


def write_records(
    path: Path,
    records: Iterable[PictureRecord],
    columns: Sequence[str] = tuple(SCHEMA.names),
    group: int = 1024,
) -> int:
    """Write records as a Parquet file, readable by its owner only; returns how many.

    Parameters
    ----------
    path : Path
        The file.
    records : iterable of PictureRecord
        May be a generator: ``group`` of them are in memory.
    columns : sequence of str
        What is kept.
    group : int
        Rows of a row group, the piece that `read_group` reads.

    Raises
    ------
    SaveError
        The file cannot be written.
    """
    rows = ({key: value for key, value in _row(r).items() if key in columns} for r in records)
    return write_rows(path, rows, part_of(columns), group)


def write_rows(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema, group: int = 1024) -> int:
    """Write plain rows as a Parquet file; the same rows give the same bytes. Returns how many."""
    count, todo = 0, iter(rows)
    with written(path, PRIVATE) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        while piece := list(islice(todo, group)):
            writer.write_table(pa.Table.from_pylist(piece, schema), row_group_size=group)
            count += len(piece)
    return count


def read_records(path: Path, columns: Sequence[str] | None = None) -> Iterator[PictureRecord]:
    """Read records one after the other; ``columns`` besides the key and the place that are wanted."""
    wanted = (
        None if columns is None else [*dict.fromkeys(["key", "name", "path", "offset", "bytes", *columns])]
    )
    for batch in pq.ParquetFile(path).iter_batches(1024, columns=wanted):
        yield from map(_record, batch.to_pylist())


def read_group(path: Path, index: int) -> list[PictureRecord]:
    """Read the records of one row group."""
    return [_record(row) for row in pq.ParquetFile(path).read_row_group(index).to_pylist()]


def read_picked(path: Path, keys: set[str]) -> list[PictureRecord]:
    """Read the records with these keys."""
    table = pq.read_table(path)
    mask = np.isin(np.array(table["key"].to_pylist()), sorted(keys))
    return [_record(row) for row in table.filter(pa.array(mask)).to_pylist()]


def groups_in(path: Path) -> int:
    """Return the number of row groups."""
    return int(pq.ParquetFile(path).num_row_groups)


def rows_in(path: Path) -> int:
    """Return the number of rows."""
    return int(pq.ParquetFile(path).metadata.num_rows)


def _row(record: PictureRecord) -> dict[str, Any]:
    row = record.to_row()
    return row | {"path": os.fsencode(row["path"])}


def _record(row: dict[str, Any]) -> PictureRecord:
    return PictureRecord.from_row(row | {"path": os.fsdecode(row["path"])})

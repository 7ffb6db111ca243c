"""Sources: a folder, WebDataset shards, or a table, become records that say where each picture's bytes lie.

Listing is cheap: nothing is decoded, and of a tar file only the headers and the small texts are read. What
cannot be used is a rejected record.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from ..boundary.parse import BadJsonError, parse_json
from ..boundary.text import name, printable, reason
from ..faces.pictures import EXTENSIONS
from .config import Source
from .record import Location, PictureRecord

PATH_COLUMNS = ("path", "file", "file_name", "filename", "image")
IDENTITY_COLUMNS = ("identity", "person", "label", "cls")
CAPTION_COLUMNS = ("caption", "text", "txt")
TABLES = (".csv", ".parquet")
_LONGEST_TEXT = 1 << 16
_LONGEST_LABEL = 500
_ROWS = 4096


def list_source(source: Path, config: Source) -> Iterator[PictureRecord]:
    """List the pictures of a source, in an order that depends on nothing but their names.

    Parameters
    ----------
    source : Path
        A folder of pictures (flat, or one folder per person) or of tar files, a tar file, or a table.
    config : Source
        Names of columns.

    Yields
    ------
    PictureRecord
        With key, name, location, label and caption; or rejected at the stage ``source``.

    Raises
    ------
    ValueError
        The source is none of these; one line.
    """
    if source.is_dir():
        shards = sorted(p for p in source.iterdir() if p.suffix == ".tar")
        yield from _shards(shards, config) if shards else _folder(source, config)
    elif source.suffix == ".tar" and source.is_file():
        yield from _shards([source], config)
    elif source.suffix.lower() in TABLES and source.is_file():
        yield from _table(source, config)
    else:
        raise ValueError(
            f"{name(source)} is no source: give a folder of pictures or .tar shards, a .tar, .csv or .parquet"
        )


def read_bytes(location: Location) -> bytes:
    """Read a picture's bytes.

    Raises
    ------
    OSError
        The file is not there, or ends before the picture does.
    """
    with Path(location.path).open("rb") as file:
        file.seek(location.offset)
        data = file.read() if location.size < 0 else file.read(location.size)
    if location.size >= 0 and len(data) < location.size:
        raise OSError("the file ends within the picture")
    return data


def _record(key_of: str, shown: str, location: Location, label: Any = "", caption: Any = "") -> PictureRecord:
    digest = hashlib.blake2b(key_of.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return PictureRecord(
        digest,
        printable(shown, _LONGEST_LABEL),
        location,
        label="" if label is None else printable(label, _LONGEST_LABEL).strip(),
        caption="" if caption is None else printable(caption, _LONGEST_TEXT).strip(),
    )


def _rejected(record: PictureRecord, why: str, detail: str = "") -> PictureRecord:
    return replace(record, stage="source", reason=why, numbers={"detail": detail} if detail else {})


def _folder(source: Path, config: Source) -> Iterator[PictureRecord]:
    for folder, below, files in os.walk(source):
        below.sort(key=os.fsencode)
        for file in sorted(files, key=os.fsencode):
            path = Path(folder, file)
            if path.suffix.lower() not in EXTENSIONS or file.startswith("."):
                continue
            relative = path.relative_to(source)
            label = relative.parts[0] if config.labelled_folders and len(relative.parts) > 1 else ""
            record = _record(relative.as_posix(), relative.as_posix(), Location(str(path)), label)
            yield record if path.is_file() else _rejected(record, "not a file")


def _shards(shards: list[Path], config: Source) -> Iterator[PictureRecord]:
    for shard in shards:
        where = _record(shard.name, shard.name, Location(str(shard)))
        try:
            with tarfile.open(shard, "r:") as opened:
                for sample in _samples(opened):
                    yield _of_sample(shard, sample, config)
        except (tarfile.TarError, OSError, ValueError) as error:
            # What came before the damage has been listed.
            yield _rejected(where, "damaged shard", reason(error))


@dataclass
class _Sample:
    """Members of a shard with one base name."""

    base: str
    picture: tarfile.TarInfo | None = None
    texts: Mapping[str, str] = ()  # type: ignore[assignment]  # made when first written


def _samples(opened: tarfile.TarFile) -> Iterator[_Sample]:
    # Brings torch, which processes that only analyse do without.
    from webdataset.tariterators import base_plus_ext

    sample: _Sample | None = None
    for member in opened:
        base, ending = base_plus_ext(member.name) if member.isfile() else (None, None)
        cast(Any, opened).members = []  # tarfile keeps every header it has read
        if base is None or ending is None:
            continue
        if sample is None or base != sample.base:
            if sample is not None:
                yield sample
            sample = _Sample(base, None, {})
        last = ending.lower().rsplit(".", 1)[-1]
        if f".{last}" in EXTENSIONS and sample.picture is None:
            sample.picture = member
        elif last in ("json", "txt", "cls", "caption", "text") and member.size <= _LONGEST_TEXT:
            file = opened.extractfile(member)
            text = "" if file is None else file.read().decode("utf-8", "replace")
            sample.texts = {**sample.texts, last: text}
    if sample is not None:
        yield sample


def _of_sample(shard: Path, sample: _Sample, config: Source) -> PictureRecord:
    values: dict[str, Any] = {key: text for key, text in sample.texts.items() if key != "json"}
    try:
        stated = parse_json(sample.texts.get("json", "{}"))
        values |= stated if isinstance(stated, dict) else {}
        problem = ""
    except BadJsonError as error:
        problem = str(error)
    shown = f"{shard.name}/{sample.base}"
    picture = sample.picture
    place = (
        Location(str(shard)) if picture is None else Location(str(shard), picture.offset_data, picture.size)
    )
    label = _first(values, IDENTITY_COLUMNS, config.identity)
    record = _record(shown, shown, place, label, _first(values, CAPTION_COLUMNS, config.caption))
    if picture is None:
        return _rejected(record, "sample without a picture")
    return _rejected(record, "damaged JSON", problem) if problem else record


def _table(source: Path, config: Source) -> Iterator[PictureRecord]:
    column: str | None = None
    for number, row in enumerate(_rows(source)):
        if column is None:
            column = _column(row, PATH_COLUMNS, config.path)
            if column is None:
                raise ValueError(
                    f"{name(source.name)} has no column of paths; call it path, or set source.path"
                )
        text = str(row.get(column) or "").strip()
        label = _first(row, IDENTITY_COLUMNS, config.identity)
        caption = _first(row, CAPTION_COLUMNS, config.caption)
        # The row is part of the key: a table may name a picture twice.
        record = _record(f"{number}\0{text}", text, Location(str(source.parent / text)), label, caption)
        try:
            there = bool(text) and (source.parent / text).is_file()
        except (OSError, ValueError):  # too long, or with a NUL
            there = False
        yield record if there else _rejected(record, "file missing" if text else "row without a path")


def _rows(source: Path) -> Iterator[Mapping[str, Any]]:
    try:
        if source.suffix.lower() == ".csv":
            with source.open(encoding="utf-8-sig", errors="replace", newline="") as file:
                yield from csv.DictReader(line.replace("\0", "") for line in file)
        else:
            import pyarrow.parquet as pq

            for batch in pq.ParquetFile(source).iter_batches(_ROWS):
                yield from batch.to_pylist()
    except (OSError, csv.Error, ValueError) as error:
        raise ValueError(f"{name(source.name)} cannot be read: {reason(error)}") from None


def _column(row: Mapping[str, Any], usual: Iterable[str], stated: str | None) -> str | None:
    if stated is not None:
        return stated if stated in row else None
    lower = {str(key).strip().lower(): key for key in row if key is not None}
    return next((lower[known] for known in usual if known in lower), None)


def _first(row: Mapping[str, Any], usual: Iterable[str], stated: str | None) -> Any:
    column = _column(row, usual, stated)
    return "" if column is None else row[column]

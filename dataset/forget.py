"""Forgetting a person: nothing of them is left in a data set, which is verified by reading all of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ..boundary.files import remove_debris
from ..boundary.text import echoed, name
from .examples import EXAMPLES
from .layout import examples_table, people_table, rejected_table, samples_table
from .outputs import REJECTED_SCHEMA, About, names_of, write_outputs
from .shards import FOLDERS, PEOPLE, PICTURES, read_shard, shard_files, shard_writer
from .tables import write_rows


def forget(out: Path, person: str) -> dict[str, Any]:
    """Remove a person from shards, tables, examples and report, and verify that nothing is left.

    Parameters
    ----------
    out : Path
        The data set; it is changed in place, a shard at a time. Stopped half way, the same command goes on.
    person : str
        The person's id, or a label that the source gave: everybody under it is forgotten.

    Returns
    -------
    dict
        ``people``, ``pictures`` and ``rejected`` that were removed.

    Raises
    ------
    ValueError
        Nobody of that name is in the data set, or traces are left; one line.
    """
    if not person.strip():
        raise ValueError("whom to forget? give a person's id or a label")
    about = About.of(out)
    known = pq.read_table(people_table(out), columns=["person", "labels"]).to_pylist()
    theirs = [row for row in known if person == row["person"] or person in row["labels"]]
    people = {row["person"] for row in theirs}
    labels = {person, *(label for row in theirs for label in row["labels"])}
    rejected = pq.read_table(rejected_table(out)).to_pylist()
    gone = [row for row in rejected if row["person"] in {*people, person} or row["label"] in labels]
    if not people and not gone:
        raise ValueError(
            f"nobody is called {echoed(person)} in {name(out)}: give an id or a label of its table"
        )
    people |= {row["person"] for row in gone} & {person}
    samples = pq.read_table(
        samples_table(out), columns=["key", "person", "sha256", "label", "name"]
    ).to_pylist()
    theirs = [row for row in samples if row["person"] in people]
    traces = _traces(people, [*theirs, *gone])
    names = [
        {key: value for key, value in known_names.items() if key.split("-")[0] not in people}
        for known_names in names_of(out)
    ]
    for kind in (PICTURES, PEOPLE):
        for shard in shard_files(out, kind):
            _rewrite(shard, lambda key: key.split("-")[0] not in people)
    dropped = {row["key"] for row in gone}
    write_rows(
        rejected_table(out),
        (_scrubbed(row, traces) for row in rejected if row["key"] not in dropped),
        REJECTED_SCHEMA,
    )
    examples = pq.read_table(examples_table(out)).to_pylist()
    # Whom an example shows that belongs to nobody is not known: it may be this person.
    kept = (r for r in examples if r["key"] not in dropped and r["person"] and r["person"] not in people)
    write_rows(examples_table(out), (_scrubbed(row, traces) for row in kept), EXAMPLES)
    write_outputs(out, about.and_then("one person was forgotten"), names)
    for folder in (out, out / "tables", *(out / kind for kind in FOLDERS.values())):
        remove_debris(folder)
    left = find_traces(out, traces)
    if left:
        raise ValueError(
            f"traces of {echoed(person)} are left in {name(left[0])}: run the same command again"
        )
    return {"people": len(people), "pictures": len(theirs), "rejected": len(gone)}


def _traces(people: set[str], rows: Sequence[dict[str, Any]]) -> set[str]:
    """Return texts that stand for a person: ids, keys and hashes of the pictures."""
    return (people | {row[key] for row in rows for key in ("key", "sha256")}) - {""}


def find_traces(out: Path, traces: Iterable[str]) -> list[Path]:
    """Return the files of a data set that hold one of some texts; all are read."""
    wanted = sorted(traces)
    found = []
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        if any(any(text in whole for text in wanted) for whole in _texts(path)):
            found.append(path)
    return found


def _texts(path: Path) -> Iterator[str]:
    if path.suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches(1024):
            for column in batch.columns:
                yield "\n".join(str(value) for value in column.to_pylist() if isinstance(value, str | list))
    elif path.suffix == ".tar":
        for key, members in read_shard(path, ("json", "txt")):
            yield "\n".join([key, *(data.decode("utf-8", "replace") for data in members.values())])
    else:
        yield path.read_text(encoding="utf-8", errors="replace")


def _scrubbed(row: dict[str, Any], traces: set[str]) -> dict[str, Any]:
    """Return a row whose numbers hold none of some texts."""
    numbers = {key: value for key, value in json.loads(row["numbers"]).items() if value not in traces}
    return row | {"numbers": json.dumps(numbers, sort_keys=True)}


def _rewrite(shard: Path, keep: Callable[[str], bool]) -> None:
    """Write a shard again without some samples, unless all stay; without any sample it is removed."""
    keys = [key for key, _ in read_shard(shard, ())]
    if all(map(keep, keys)):
        return
    with shard_writer(shard) as writer:
        for key, members in read_shard(shard):
            if keep(key):
                writer.write(key, members)

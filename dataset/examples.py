"""Small pictures for the report: a few of each reason that pictures were rejected for."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from .config import Decode
from .decode import decode, reduced
from .journal import Journal
from .layout import examples_table
from .record import STAGES, PictureRecord
from .shards import encode_picture
from .tables import write_rows

PER_REASON = 6
SIDE = 112
EXAMPLES = pa.schema(
    [(key, pa.string()) for key in ("key", "person", "label", "name", "stage", "reason", "numbers")]
    + [("picture", pa.binary())]
)


def write_examples(out: Path, journal: Journal, config: Decode) -> None:
    """Keep a few rejected pictures of each reason, those with the lowest keys: always the same few."""
    chosen: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for number, record in enumerate(journal.rejected()):
        heap = chosen.setdefault((record.stage, record.reason), [])
        # A heap gives up its smallest: negated, that is the highest key.
        item = (-int(record.key, 16), number, record)
        if len(heap) < PER_REASON:
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)

    def rows() -> Iterator[dict[str, Any]]:
        for heap in (chosen[key] for key in sorted(chosen, key=lambda key: (STAGES.index(key[0]), key[1]))):
            for _, _, record in sorted(heap, key=lambda item: -item[0]):
                yield _row(record, config)

    write_rows(examples_table(out), rows(), EXAMPLES)


def _row(record: PictureRecord, config: Decode) -> dict[str, Any]:
    row = {key: value for key, value in record.to_row().items() if key in EXAMPLES.names}
    _, pixels = decode(record, config)
    small = b"" if pixels is None else encode_picture(reduced(pixels, SIDE), "jpg", 80)
    return row | {"picture": small}

"""What model files may be used for: collected along the graph, and told in one line.

*Ours*. A licence is known for the files that this pack names itself, and for files whose metadata names one
(``modelspec.license``, Stability AI's model specification). Of all others it is said that nobody knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import text
from .parse import BadJsonError, parse_json
from .tensors import BadTensorFileError, read_header

PERMISSIVE = frozenset(
    {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "ISC", "Unlicense"}
)
"""SPDX ids of licences that allow commercial use without asking."""
UNKNOWN = "licence unknown"
UNRECORDED = "licences were not recorded"
_MOST = 64
_LONGEST_JSON = 1 << 16


@dataclass(frozen=True, order=True)
class FileLicence:
    """What one model file may be used for.

    Attributes
    ----------
    file : str
        Its name, or the name of the pack of files.
    licence : str
        SPDX id, or a few words.
    commercial_use : bool or None
        Whether commercial use is allowed; None where nobody knows.
    """

    file: str
    licence: str
    commercial_use: bool | None

    @classmethod
    def of(cls, file: str, licence: str | None) -> FileLicence:
        """Return the entry of a file whose metadata names this licence, or none."""
        shown = text.printable(licence or UNKNOWN, 80)
        return cls(text.name(file), shown, True if licence in PERMISSIVE else None)


def merged(*groups: Iterable[FileLicence]) -> tuple[FileLicence, ...]:
    """Return all entries once, sorted by file."""
    return tuple(sorted({entry for group in groups for entry in group}, key=_order))


def _order(entry: FileLicence) -> tuple[str, str, str]:
    return entry.file, entry.licence, str(entry.commercial_use)


def commercial_use(licences: Iterable[FileLicence]) -> bool | None:
    """Return what holds for all together: False where one forbids it, else None where one is unknown."""
    uses = {entry.commercial_use for entry in licences}
    if False in uses:
        return False
    return None if None in uses or not uses else True


def summary(licences: Iterable[FileLicence]) -> str:
    """Return one line for the artist: clear for commercial use, or which file is not."""
    entries = merged(licences)
    if not entries:
        return f"commercial use: unknown ({UNRECORDED})"
    forbidden = [entry for entry in entries if entry.commercial_use is False]
    unknown = [entry for entry in entries if entry.commercial_use is None]
    if forbidden:
        return f"commercial use: NOT allowed by {_listed(forbidden)}"
    if unknown:
        return f"commercial use: not known for {_listed(unknown)}"
    files = "the one model file allows" if len(entries) == 1 else f"all {len(entries)} model files allow"
    return f"commercial use: clear, {files} it"


def _listed(entries: list[FileLicence]) -> str:
    shown = [f"{text.printable(e.file, 60)} ({text.printable(e.licence, 50)})" for e in entries[:2]]
    more = f" and {len(entries) - 2} more" if len(entries) > 2 else ""
    return "; ".join(shown) + more


def to_json(licences: Iterable[FileLicence]) -> str:
    """Return JSON for a file's metadata."""
    return json.dumps([asdict(entry) for entry in merged(licences)])


def from_json(value: str, source: str) -> tuple[FileLicence, ...]:
    """Read what `to_json` wrote; an empty text, from before licences were kept, gives an entry that says so.

    Parameters
    ----------
    value : str
        The JSON.
    source : str
        What the entry calls the file where it records nothing.

    Raises
    ------
    ValueError
        Not such a list; half a line.
    """
    if not value:
        return (FileLicence(text.name(source), UNRECORDED, None),)
    try:
        rows = parse_json(value, _LONGEST_JSON, 4)
    except BadJsonError as error:
        raise ValueError(f"the list of licences is {error}") from None
    if not isinstance(rows, list) or len(rows) > _MOST:
        raise ValueError(f"the list of licences is no list of at most {_MOST}")
    return merged(map(_entry, rows))


def licences_in(metadata: Mapping[str, str], source: str) -> tuple[FileLicence, ...]:
    """Read the licences in the metadata of a saved identity or head.

    Raises
    ------
    BadTensorFileError
        They are forged; half a line.
    """
    try:
        return from_json(metadata.get("licences", ""), source)
    except ValueError as error:
        raise BadTensorFileError(str(error)) from None


def read_licences(path: str | Path, what: str) -> tuple[FileLicence, ...]:
    """Read what the files behind a saved identity or head may be used for, from its header alone.

    Parameters
    ----------
    path : str or Path
        The safetensors file.
    what : str
        ``identity`` or ``head``.

    Raises
    ------
    ValueError
        The file is damaged; one line names it.
    """
    path = Path(path)
    try:
        return licences_in(read_header(path).metadata, f"{what} {path.stem}")
    except BadTensorFileError as error:
        raise ValueError(f"{text.name(path.name)}: damaged ({error}); save it again") from None


def _entry(row: Any) -> FileLicence:
    if not isinstance(row, dict) or set(row) != {"file", "licence", "commercial_use"}:
        raise ValueError("the list of licences has an entry without file, licence and commercial_use")
    file, licence, use = row["file"], row["licence"], row["commercial_use"]
    if not isinstance(file, str) or not isinstance(licence, str) or use not in (True, False, None):
        raise ValueError("the list of licences has an entry of the wrong type")
    return FileLicence(text.name(file), text.printable(licence, 80), None if use is None else bool(use))

"""Where the files of a data set lie."""

from __future__ import annotations

from pathlib import Path

SUMMARY = "dataset.json"
"""Written last: a folder without it holds no complete data set."""
REPORT = "report.html"


def samples_table(out: Path) -> Path:
    """Return the table of pictures."""
    return out / "tables" / "samples.parquet"


def people_table(out: Path) -> Path:
    """Return the table of people."""
    return out / "tables" / "people.parquet"


def rejected_table(out: Path) -> Path:
    """Return the table of rejected pictures."""
    return out / "tables" / "rejected.parquet"


def examples_table(out: Path) -> Path:
    """Return the table of examples of rejected pictures."""
    return out / "tables" / "examples.parquet"


def is_dataset(out: Path) -> bool:
    """Whether a folder holds a complete data set."""
    return (out / SUMMARY).is_file()

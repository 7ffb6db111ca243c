"""The command line that every benchmark has: figures as JSON, with the commit that they were made at."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
from collections.abc import Callable
from typing import Any

from harness import ROOT

Figures = dict[str, Any]


def commit() -> str:
    """Return the checked-out commit, with ``-dirty`` behind it where tracked files differ from it.

    Raises
    ------
    subprocess.CalledProcessError
        The root is no git checkout: such figures could not be made again by anybody.
    """
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    return subprocess.run(command, cwd=ROOT, check=True, text=True, capture_output=True).stdout.strip()


def command_line(measure: Callable[[bool], Figures]) -> None:
    """Read the command line, measure, and print JSON with ``commit`` and ``quick`` added.

    Parameters
    ----------
    measure : Callable[[bool], Figures]
        The benchmark; its argument is true for reduced sizes: everything runs, no figure means anything.
    """
    parser = argparse.ArgumentParser(description="Prints its figures as JSON.")
    parser.add_argument("--quick", action="store_true", help="reduced sizes, to see that everything runs")
    quick = parser.parse_args().quick
    made_at = commit()
    figures = {**measure(quick), "commit": made_at, "quick": quick}
    # Of a handful of people some correlations do not exist; of all of them they must.
    figures = without_nan(figures) if quick else figures
    print(json.dumps(figures, indent=2, sort_keys=True, allow_nan=False))


def load_per_core() -> float | None:
    """Return the machine's load, in which other work shows: whether to believe times; None on Windows."""
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 1) if hasattr(os, "getloadavg") else None


def without_nan(value: Any) -> Any:
    """Put None where a number is not finite: JSON has no word for it."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Runs the workers: gives them inputs, sees when one dies or hangs, and goes on with the next input."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SILENCE = 30.0
"""Seconds without a word after which an input counts as one that hangs."""
KINDS = ("raw_errors", "host_crashes", "hangs", "over_2_gib", "writes_outside")


@dataclass
class Find:
    """One input that ended badly."""

    target: str
    kind: str
    text: str
    number: int


@dataclass
class Tally:
    """What came of all inputs of one target."""

    tried: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    finds: list[Find] = field(default_factory=list)
    seconds: float = 0.0


def attack(name: str, count: int, first: int = 0, say: Callable[[str], None] = lambda line: None) -> Tally:
    """Try ``count`` inputs of a target, in as many processes as it takes."""
    tally, started = Tally(), time.monotonic()
    number, end = first, first + count
    while number < end:
        with tempfile.TemporaryDirectory(prefix="hostile-") as scratch:
            number = _one_worker(name, number, end - number, Path(scratch), tally)
        if len(tally.finds) > 400:
            say(f"{name}: too many finds, stopped at input {number}")
            break
    tally.tried = number - first
    tally.seconds = time.monotonic() - started
    return tally


def _one_worker(name: str, first: int, count: int, scratch: Path, tally: Tally) -> int:
    """Run one worker to its end, good or bad; return the number of the next input."""
    command = [sys.executable, "-m", "tests.hostile.worker", name, str(first), str(count), str(scratch)]
    errors = (scratch.parent / f"{scratch.name}.err").open("w+b")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors)
    assert process.stdout is not None
    at, buffer, hung = first - 1, b"", False
    try:
        while True:
            if not select.select([process.stdout], [], [], SILENCE)[0]:
                hung = True
                break
            chunk = os.read(process.stdout.fileno(), 1 << 16)
            if not chunk:
                break
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                if line.startswith(b">"):
                    at = int(line[1:])
                elif line.startswith(b"done "):
                    tally.endings.update(json.loads(line[5:]))
                    return first + count
                elif line.startswith(b"{"):
                    tally.finds.append(Find(target=name, **json.loads(line)))
    finally:
        if process.poll() is None:
            process.kill() if hung else None
        code = process.wait()
        errors.seek(0)
        tail = errors.read()[-300:].decode("utf-8", "replace").strip()
        errors.close()
        Path(errors.name).unlink(missing_ok=True)
    if at < first:
        raise RuntimeError(f"the worker for {name} did not start (exit {code}): {tail}")
    if hung:
        tally.finds.append(Find(name, "hangs", f"nothing for {SILENCE:.0f} s; ended", at))
    else:
        tally.finds.append(Find(name, "host_crashes", f"exit {code}: {tail}", at))
    return at + 1

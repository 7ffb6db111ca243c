"""The pack as a guest: what the registry hands out, what its import costs a host, and tests by host.

``hosts`` are the runs that ``python dev.py test --host PATH --front-end VERSION`` left on this machine.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import host_memory
from benchmarks.report import Figures, command_line, load_per_core
from harness import record
from harness.archive import build, findings, unpack
from harness.host import host_path, link

PAIRS = 2
START = """
import atexit, runpy, sys, time
sys.path.insert(0, '.')
atexit.register(lambda: print('processor seconds', time.process_time(), flush=True))
runpy.run_path('main.py', run_name='__main__')
"""
"""Runs ComfyUI in this process and tells how much processor time it took."""


def start(base: Path) -> tuple[float, float]:
    """Start a host that loads all and ends; return its processor seconds and the seconds that went by.

    Raises
    ------
    RuntimeError
        It did not come to its end, or could not import a pack.
    """
    command = [sys.executable, "-c", START, "--cpu", "--quick-test-for-ci", "--base-directory", str(base)]
    command += ["--disable-api-nodes", "--database-url", "sqlite:///:memory:"]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=host_path(), text=True, capture_output=True)
    went = time.perf_counter() - began
    told = done.stdout + done.stderr
    if done.returncode or "IMPORT FAILED" in told or "processor seconds" not in done.stdout:
        raise RuntimeError(f"ComfyUI did not start: {told[-1500:]}")
    return float(done.stdout.rsplit("processor seconds", 1)[1]), went


def folder_of(base: Path) -> Path:
    """Make a base directory for a host and return its folder of packs."""
    for name in ("custom_nodes", "models", "input", "output", "temp", "user"):
        (base / name).mkdir(parents=True)
    return base / "custom_nodes"


def import_cost(pack: Path, scratch: Path, pairs: int) -> Figures:
    """Start a bare host and one with the pack by turns; return medians of the differences, seconds."""
    bare, guest = scratch / "bare", scratch / "guest"
    folder_of(bare)
    link(folder_of(guest) / "hifi-portrait", pack)
    start(guest)  # compiles
    times = [(start(bare), start(guest)) for _ in range(pairs)]
    processor, clock = ([after[k] - before[k] for before, after in times] for k in (0, 1))
    return {
        # Processor time: the clock tells of whatever else this machine does.
        "import_seconds_over_bare_host": round(statistics.median(processor), 2),
        "import_clock_seconds_over_bare_host": round(statistics.median(clock), 2),
        "bare_host_seconds": round(statistics.median(before[0] for before, _ in times), 2),
        "load_per_core": load_per_core(),
    }


def main(quick: bool = False) -> Figures:
    """Measure; ``quick``: one pair of starts instead of two."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        archive = build(Path(scratch, "node.zip"))
        pack = Path(scratch, "pack")
        files = unpack(archive, pack)
        return {
            "archive_files": len(files),
            "archive_mb": round(archive.stat().st_size / 1e6, 2),
            "archive_findings": len(findings(pack)),
            "host": record.host_version(),
            "hosts": record.runs(),
            "pairs": 1 if quick else PAIRS,
            **import_cost(pack, Path(scratch), 1 if quick else PAIRS),
            **host_memory.main(quick),
        }


if __name__ == "__main__":
    command_line(main)

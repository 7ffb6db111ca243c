"""Attacks the pack: hostile inputs of every kind, kills while writing, and many jobs on a real host.

``--quick`` runs a twentieth of it; ``--only inputs,host,kills,load`` parts of it; ``--first N`` other inputs
than those before. What ended badly is listed under ``finds``: an input of a target is shown again by
``python -m tests.hostile.reproduce TARGET NUMBER``. Memory is measured on Linux.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import commit
from tests.hostile import host_inputs, kills, load, world
from tests.hostile.attack import KINDS, Find, attack
from tests.hostile.finds import kinds
from tests.hostile.targets import TARGETS

PARTS = ("inputs", "host", "kills", "load")
KILLS = 200
JOBS, LAST = 500, 400
ROUNDS = 12
"""How often every input of every node is attacked on the real host."""
HOST = "node inputs on a real host"
Result = dict[str, Any]


def say(line: str) -> None:
    """Tell how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def inputs(result: Result, finds: list[Find], share: float, first: int) -> None:
    """Try hostile inputs in workers."""
    for name, target in TARGETS.items():
        tally = attack(name, max(20, round(target.share * share)), first, say)
        result["inputs_tried"][name] = tally.tried
        result["endings"][name] = dict(sorted(tally.endings.items()))
        finds += tally.finds
        say(f"{name}: {tally.tried} inputs in {tally.seconds:.0f} s, {len(tally.finds)} ended badly")


def host(result: Result, finds: list[Find], share: float, first: int) -> None:
    """Attack every input of every node of a running host."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        world.world(Path(folder)) as running,
    ):
        asked = host_inputs.attack_host(running, max(1, round(ROUNDS * share)), first, say)
        outside = world.writes_outside(running)
    result["inputs_tried"][HOST] = asked.tried
    result["endings"][HOST] = dict(sorted(asked.endings.items()))
    finds += asked.finds
    finds += [Find(HOST, "writes_outside", line, 0) for line in outside]
    say(f"{HOST}: {asked.tried} jobs, {len(asked.finds)} ended badly")


def kill(result: Result, finds: list[Find], share: float, first: int) -> None:
    """Kill processes while they write."""
    with kills.operations() as operations:
        for operation in operations:
            killed = kills.kill(operation, max(10, round(KILLS * share)), first)
            result["kills_by_operation"][operation.name] = vars(killed)
            result["kills"] += killed.kills
            result["corrupted"] += killed.corrupted
            result["debris"] += killed.debris
            say(f"{operation.name}: {vars(killed)}")


def jobs(result: Result, finds: list[Find], share: float, first: int) -> None:
    """Run many jobs with two tabs open, and interrupt some."""
    count = max(60, round(JOBS * share))
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        world.world(Path(folder)) as running,
    ):
        done = load.run(running, count, first)
        result["interruption_equals_undisturbed"] = load.interruption(running)
    last = min(LAST, round(count * LAST / JOBS))
    result["jobs"], result["jobs_lost"] = done.jobs, done.lost
    result["rss_growth_mb_last_400"] = round(done.growth(last), 1)
    result["last_over_first"] = round(done.last_over_first(load.PROBE), 3)
    result["rss_mb"] = [round(value) for value in done.resident[:: max(1, count // 10)]]
    result["job_errors"] = done.errors[:10]
    say(f"{count} jobs: {done.lost} lost")


def main() -> Result:
    """Return the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a twentieth of the inputs, kills and jobs")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--first", type=int, default=0, help="number of the first input; seed of the rest")
    options = parser.parse_args()
    share, started = 0.05 if options.quick else 1.0, time.monotonic()
    result: Result = {"inputs_tried": {}, "endings": {}, "kills": 0, "corrupted": 0, "debris": 0}
    result["kills_by_operation"] = {}
    made_at = commit()
    finds: list[Find] = []
    parts: dict[str, Callable[[Result, list[Find], float, int], None]] = {"load": jobs, "host": host}
    wanted = options.only.split(",")
    # The workers leave a core to the host; processes are forked and killed after their end.
    with ThreadPoolExecutor(1) as pool:
        working = [pool.submit(inputs, result, finds, share, options.first)] if "inputs" in wanted else []
        for name in ("load", "host"):
            if name in wanted:
                parts[name](result, finds, share, options.first)
        for part in working:
            part.result()
    if "kills" in wanted:
        kill(result, finds, share, options.first)
    result["inputs_tried"]["total"] = sum(result["inputs_tried"].values())
    for kind in KINDS:
        result[kind] = sum(find.kind == kind for find in finds)
    result["finds"] = {
        key: {"count": len(group), "number": group[0].number, "text": group[0].text[:500]}
        for key, group in kinds(finds).items()
    }
    result["seconds"] = round(time.monotonic() - started)
    return {**result, "commit": made_at, "quick": options.quick}


if __name__ == "__main__":
    print(json.dumps(main(), indent=2, sort_keys=True))

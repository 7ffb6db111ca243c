"""Many jobs on a real host with two open tabs: none lost, memory flat, the last as fast as the first."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from harness.host import Host

from .world import Prompt, portrait


class Tab:
    """A browser's connection: reads everything that the host sends, and notes which jobs ended."""

    def __init__(self, host: Host) -> None:
        import websocket

        self.id = uuid.uuid4().hex
        self.ended: set[str] = set()
        self.messages = 0
        url = f"{host.url.replace('http', 'ws', 1)}/ws?clientId={self.id}"
        self._connection = websocket.create_connection(url, timeout=600)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(Exception):  # closed
            while True:
                raw = self._connection.recv()
                self.messages += 1
                if isinstance(raw, str):
                    message = json.loads(raw)
                    if message["type"] in ("execution_success", "execution_error", "execution_interrupted"):
                        self.ended.add(message["data"]["prompt_id"])

    def close(self) -> None:
        """Close the tab."""
        self._connection.close()


@contextlib.contextmanager
def tabs(host: Host, count: int = 2) -> Iterator[list[Tab]]:
    """Open tabs, and close them whatever happens."""
    opened = [Tab(host) for _ in range(count)]
    try:
        yield opened
    finally:
        for tab in opened:
            tab.close()


def resident(pid: int) -> float:
    """Return the resident memory of a process, MB (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used: other work on the machine counts little."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def queue(host: Host, prompt: Prompt, client: str) -> str:
    """Queue a job for one tab; return its id."""
    return host.post("/prompt", {"prompt": prompt, "client_id": client})["prompt_id"]


def wait(host: Host, prompt_id: str, timeout: float = 120.0) -> dict[str, Any] | None:
    """Return the history of a job when it has ended, None when it has not in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        history = host.get(f"/history/{prompt_id}")
        if prompt_id in history:
            return history[prompt_id]
        time.sleep(0.02)
    return None


@dataclass
class Load:
    """How the jobs went."""

    jobs: int = 0
    lost: int = 0
    errors: list[str] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def growth(self, last: int) -> float:
        """Return how much the memory grew over the last jobs, MB: medians of 20 at both ends."""
        values = self.resident[-last:]
        return statistics.median(values[-20:]) - statistics.median(values[:20])

    def last_over_first(self, probe: int) -> float:
        """Return the processor time of the last probes over the first; each ``probe``-th job is one."""
        values = self.seconds[probe - 1 :: probe]
        part = max(2, len(values) // 4)
        # The very first of all also loads the models.
        return statistics.median(values[-part:]) / statistics.median(values[1 : part + 1])


PROBE = 5
"""Each so-manieth job has the same size, only other numbers; its time is compared."""


def run(host: Host, jobs: int, seed: int = 0) -> Load:
    """Run jobs with random parameters, one or two in the queue, from two tabs in turn."""
    random, load = Random(seed), Load()
    with tabs(host) as opened:
        for number in range(jobs):
            probe = number % PROBE == PROBE - 1
            prompt = portrait(random, number, probe=probe)
            tab, before = opened[number % len(opened)], processor_seconds(host.pid)
            prompt_id = queue(host, prompt, tab.id)
            ended = wait(host, prompt_id)
            load.jobs += 1
            if ended is None or ended["status"]["status_str"] != "success" or not ended["outputs"]:
                load.lost += 1
                load.errors.append(str(ended and ended["status"]["messages"][-1])[:300])
            elif prompt_id not in tab.ended and not _soon(tab, prompt_id):
                load.lost += 1
                load.errors.append(f"job {number}: its tab was not told that it ended")
            load.seconds.append(processor_seconds(host.pid) - before)
            load.resident.append(resident(host.pid))
    return load


def _soon(tab: Tab, prompt_id: str) -> bool:
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        if prompt_id in tab.ended:
            return True
        time.sleep(0.02)
    return False


def picture(host: Host, ended: dict[str, Any]) -> str:
    """Return a hash of the pixels that a job made."""
    entry = next(o["images"][0] for k, o in ended["outputs"].items() if k == "save")
    with Image.open(host.base / entry["type"] / entry.get("subfolder", "") / entry["filename"]) as image:
        return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def interruption(host: Host) -> bool:
    """Interrupt a job in mid-sampling, run another, and tell whether it equals an undisturbed run."""
    random = Random(7)
    wanted = portrait(random, 1000, probe=True)
    # Deep enough in sampling that the patch holds state when it is stopped.
    other = portrait(random, 1001, probe=True)
    other["sample"]["inputs"]["steps"] = 400
    with tabs(host) as opened:
        tab = opened[0]
        first = wait(host, queue(host, wanted, tab.id))
        assert first is not None, "the undisturbed run did not end"
        undisturbed = picture(host, first)
        for delay in (0.3, 0.8, 1.5):
            host.post("/free", {"free_memory": delay > 1, "unload_models": delay > 1})
            stopped = queue(host, other, tab.id)
            time.sleep(delay)
            host.post("/interrupt", {})
            ended = wait(host, stopped)
            assert ended is not None, "the interrupted job did not end"
            kinds = [kind for kind, _ in ended["status"]["messages"]]
            assert "execution_interrupted" in kinds, f"it was not interrupted: {kinds}"
            again = wait(host, queue(host, wanted, tab.id))
            if again is None or picture(host, again) != undisturbed:
                return False
    return True

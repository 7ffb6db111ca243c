"""Runs inputs of one target in a process of their own, and says on standard output how each ends.

``python -m tests.hostile.worker TARGET FIRST COUNT SCRATCH``. Lines: ``>`` and the number before each input;
then a JSON object for each that ended badly; ``done`` with the tallies at the end.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SECONDS = 10.0
"""Processor time that one input may take."""
BYTES = 2 * 2**30
"""Memory that one input may take beyond what the process had."""
_WRITES = {
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
}
_BY_HANDLE = {"os.remove", "os.rmdir"}
_PROGRAMS = {
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "subprocess.Popen",
    "socket.connect",
    "os.fork",
}


class Guard:
    """Notes every write outside of the scratch folder, and every program or connection started."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder)
        self.active = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if isinstance(path, int) or not (writes or (isinstance(mode, str) and set(mode) & set("wax+"))):
                return
            self._check(path, event)
        elif event in _WRITES:
            # What is made or gone; a second path is the new name. Below an open folder, all is that folder's.
            made = {"os.rename": arguments[:2], "os.link": arguments[1:2], "os.symlink": arguments[1:2]}
            if not any(
                isinstance(handle, int) and handle >= 0 for handle in arguments[1:] if event in _BY_HANDLE
            ):
                for path in made.get(event, arguments[:1]):
                    self._check(path, event)
        elif event in _PROGRAMS:
            self.seen.append(f"{event} {str(arguments[:1])[:100]}")

    def _check(self, path: Any, event: str) -> None:
        if isinstance(path, int):
            return
        name = os.fsdecode(path)
        place = os.path.join(os.path.realpath(os.path.dirname(name) or "."), os.path.basename(name))
        allowed = (self.folder + os.sep, "/proc/", os.devnull)
        if not (place + os.sep).startswith(allowed) and "__pycache__" not in place:
            self.seen.append(f"{event} {place[:150]}")


class Memory:
    """How much the process takes at most during one input (Linux; elsewhere nothing is measured)."""

    def __init__(self) -> None:
        self._reset = Path("/proc/self/clear_refs")
        self.measured = self._reset.exists()

    def start(self) -> None:
        """Begin a new input."""
        if self.measured:
            self._reset.write_text("5")
            self.before = self._read("VmRSS")

    def peak(self) -> int:
        """Return the bytes taken beyond those at the start."""
        return self._read("VmHWM") - self.before if self.measured else 0

    @staticmethod
    def _read(name: str) -> int:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith(name):
                    return int(line.split()[1]) * 1024
        return 0


def limit_memory(more: int) -> None:
    """Let the process map this much beyond what it has, so that a hostile input cannot stop the machine."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(name: str, first: int, count: int, scratch: Path) -> None:
    """Try the inputs ``first`` to ``first + count - 1``."""
    # Libraries may print; what counts goes to the real standard output.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    from .targets import TARGETS
    from .verdict import RAW, attempt

    target = TARGETS[name]
    tempfile.tempdir = str(scratch)
    for good in target.good():
        ending = attempt(lambda good=good: target.attempt(good, scratch))
        if ending.kind != "result":
            print(json.dumps({"kind": "good refused", "text": ending.text, "number": -1}), file=out)
    guard, memory = Guard(scratch), Memory()
    limit_memory(BYTES + 2**30)
    tallies: dict[str, int] = {}
    for number in range(first, first + count):
        print(f">{number}", file=out)
        value = target.number(number)
        memory.start()
        guard.active, started = True, time.process_time()
        ending = attempt(lambda value=value: target.attempt(value, scratch))
        guard.active, seconds = False, time.process_time() - started
        tallies[ending.kind] = tallies.get(ending.kind, 0) + 1
        problems = [("raw_errors", ending.text)] if ending.kind == RAW else []
        if seconds > SECONDS:
            problems.append(("hangs", f"{seconds:.0f} s of processor time"))
        peak = memory.peak()
        if peak > BYTES or (ending.kind == RAW and "MemoryError" in ending.text):
            problems.append(("over_2_gib", f"{peak / 2**20:.0f} MiB; {ending.text}"))
        if guard.seen:
            problems.append(("writes_outside", "; ".join(guard.seen[:5])))
            guard.seen.clear()
        for kind, text in problems:
            print(json.dumps({"kind": kind, "text": text, "number": number}), file=out)
        if number % 200 == 0:
            gc.collect()
        for item in list(os.scandir(scratch)):
            shutil.rmtree(item.path, ignore_errors=True) if item.is_dir() else os.unlink(item.path)
    print("done " + json.dumps(tallies), file=out)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))

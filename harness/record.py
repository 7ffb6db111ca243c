"""A pytest plugin that keeps what a run against one host and front end came to: ``-p harness.record``.

``dev.py test`` loads it. `docs/hosts.md` and ``benchmarks/host.py`` tell of these files.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from . import ARTIFACTS, ROOT
from .host import FRONT_END, host_path

FOLDER = ARTIFACTS / "hosts"
PLUGIN = ("-p", "harness.record")
FAILED = ("failed", "error")


def host_version() -> str:
    """Return the version of the ComfyUI that is tested against, as its own files say."""
    text = (host_path() / "comfyui_version.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    return found[1] if found else "unknown"


def front_end_version() -> str:
    """Return the version of the front end that the host is started with."""
    return os.environ.get(FRONT_END) or importlib.metadata.version("comfyui-frontend-package")


def runs(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Return what is kept, summed by host and front end.

    Returns
    -------
    dict[str, dict[str, Any]]
        ``"0.3.75, front end 1.32.9"`` to ``passed``, ``failed``, ``skipped``, the names in ``failures``, and
        the ``runs`` with the arguments of pytest.
    """
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.json")):
        run = json.loads(file.read_text(encoding="utf-8"))
        empty = {"passed": 0, "failed": 0, "skipped": 0, "failures": [], "runs": []}
        entry = found.setdefault(f"{run['host']}, front end {run['front_end']}", empty)
        for key in ("passed", "failed", "skipped", "failures"):
            entry[key] += run[key]
        entry["runs"].append({key: run[key] for key in ("arguments", "passed", "failed", "skipped")})
    return found


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    """Write the counts of a run that came to its end; a run with the same arguments is replaced."""
    stats = terminalreporter.stats
    arguments = [str(argument) for argument in config.invocation_params.args]
    if tuple(arguments[:2]) == PLUGIN:
        del arguments[:2]
    failures = [report.nodeid for key in FAILED for report in stats.get(key, [])]
    git = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    commit = subprocess.run(git, cwd=ROOT, text=True, capture_output=True).stdout.strip()
    run: dict[str, Any] = {
        "host": host_version(),
        "front_end": front_end_version(),
        "arguments": " ".join(arguments),
        "commit": commit,
        "passed": len(stats.get("passed", [])),
        "failed": len(failures),
        "skipped": len(stats.get("skipped", [])),
        "failures": failures,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(run["arguments"].encode()).hexdigest()[:8]
    target = FOLDER / f"{run['host']}_{run['front_end']}_{digest}.json"
    target.with_suffix(".tmp").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    target.with_suffix(".tmp").replace(target)

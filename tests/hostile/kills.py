"""Kills processes while they write: the old file or the new one is there, and nothing else after a start.

Each operation writes two versions of a file in turn, in a child process that is ended with SIGKILL at a
random moment of the work (POSIX). Versions are known by their bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from accelerate import Accelerator
from hifi_portrait.boundary.files import remove_debris
from hifi_portrait.faces import files as model_files
from hifi_portrait.head.store import save_head
from hifi_portrait.identity.store import save_identity
from hifi_portrait.models.warm_start import convert_instantid
from hifi_portrait.training.checkpoints import CHECKPOINT, Checkpoints, parameter_groups
from hifi_portrait.training.config import Recipe

from . import seeds
from .mutate import parse_safetensors


@dataclass(frozen=True)
class Operation:
    """Something that writes a file.

    Attributes
    ----------
    name : str
        As in the figures.
    write : Callable
        Writes version 0 or 1 into a folder.
    file : str
        The file that it writes.
    start : Callable
        What the next start does in that folder.
    """

    name: str
    write: Callable[[Path, int], object]
    file: str
    start: Callable[[Path], object] = remove_debris


@dataclass
class Killed:
    """What was left behind."""

    kills: int = 0
    in_the_middle: int = 0
    """Kills after which a file on the way was there: the moment was well chosen."""
    corrupted: int = 0
    debris: int = 0


def _digest(path: Path) -> str:
    """Return what tells versions apart; the library writes the metadata of one version in any order."""
    if not path.is_file():
        return "missing"
    data = path.read_bytes()
    if path.suffix == ".safetensors":
        header, body = parse_safetensors(data)
        data = json.dumps(header, sort_keys=True).encode() + body
    return hashlib.sha256(data).hexdigest()


def kill(operation: Operation, count: int, seed: int = 0) -> Killed:
    """Kill an operation ``count`` times."""
    random, result = Random(seed), Killed()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        versions, seconds = set(), 0.0
        for version in (1, 0):
            started = time.monotonic()
            operation.write(folder, version)
            seconds += time.monotonic() - started
            versions.add(_digest(folder / operation.file))
        expected = sorted(path.name for path in folder.iterdir())
        assert len(versions) == 2, f"{operation.name}: the versions do not differ"
        while result.kills < count:
            _kill_once(
                lambda: operation.write(folder, 1), lambda: operation.write(folder, 0), random, seconds
            )
            result.kills += 1
            left = sorted(path.name for path in folder.iterdir())
            result.in_the_middle += left != expected
            result.corrupted += _digest(folder / operation.file) not in versions
            operation.start(folder)
            after = sorted(path.name for path in folder.iterdir())
            result.debris += after != expected
            for path in folder.iterdir():
                if path.name not in expected:
                    path.unlink()
    return result


def _kill_once(
    first: Callable[[], object], second: Callable[[], object], random: Random, seconds: float
) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, b"x")
            while True:
                first()
                second()
        finally:
            os._exit(1)
    os.close(writer)
    os.read(reader, 1)
    time.sleep(random.uniform(0.0, 1.2 * seconds))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)


# What is killed ---------------------------------------------------------------------------------------------


def _save_identity(folder: Path, version: int) -> None:
    save_identity(seeds.identity(texture=64, seed=version), folder, "person")


def _save_head(folder: Path, version: int) -> None:
    save_head(seeds.head(version), folder / "person.safetensors")


def _convert(folder: Path, version: int) -> None:
    controlnet, adapter = _instantid_files()
    kind = (torch.float16, torch.float32)[version]
    convert_instantid(controlnet, adapter, folder / "instantid_warm_start.safetensors", dtype=kind)


_made: dict[str, Any] = {}


def _instantid_files() -> tuple[Path, Path]:
    if not _made:
        _made["folder"] = tempfile.TemporaryDirectory()
        folder = Path(_made["folder"].name)
        (folder / "controlnet.safetensors").write_bytes(seeds.controlnets()[0])
        (folder / "ip-adapter.bin").write_bytes(seeds.adapters()[0])
    folder = Path(_made["folder"].name)
    return folder / "controlnet.safetensors", folder / "ip-adapter.bin"


class _Objective(torch.nn.Module):
    """As much of an objective as a checkpoint looks at: 4 MB of weights."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self.system = torch.nn.Sequential(*(torch.nn.Linear(256, 256) for _ in range(4)))
        for parameter in self.system.parameters():
            torch.nn.init.constant_(parameter, float(version))


def _run(folder: Path, version: int) -> Checkpoints:
    """Return as much of a run as its checkpoint holds: weights, their EMA, and a codec."""
    objective, recipe = _Objective(version), Recipe()
    optimizer = torch.optim.AdamW(parameter_groups(objective.system, recipe.optimizer))
    codec = {"codec/weight": torch.full((4, 4), 0.5)}
    state = Checkpoints(Accelerator(cpu=True), folder, recipe, objective, optimizer, codec)
    state.step = version
    return state


def _save_training(folder: Path, version: int) -> None:
    key = f"run {version}"
    if key not in _made:
        _made[key] = _run(folder, version)
    _made[key].folder = folder
    _made[key].save()


class _Upstream(http.server.BaseHTTPRequestHandler):
    """Serves one file, in pieces."""

    content = b""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        with contextlib.suppress(OSError):
            for start in range(0, len(self.content), 1 << 16):
                self.wfile.write(self.content[start : start + (1 << 16)])

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _fetching() -> Iterator[Operation]:
    """Give an operation that downloads a model file again and again, from this machine."""
    _Upstream.content = seeds.face_model(model_files.PERSON_MASK.name)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Upstream)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    file = replace(model_files.PERSON_MASK, url=f"http://127.0.0.1:{server.server_address[1]}/x")

    def fetch(folder: Path, version: int) -> None:
        target = folder / file.name
        if version:  # a damaged file is there; the right one takes its place
            model_files.fetch([file], folder)
        elif not target.exists() or model_files.verify(target, file):
            damaged = folder.parent / f"{folder.name}.damaged"
            damaged.write_bytes(b"damaged")
            damaged.replace(target)

    try:
        yield Operation("fetch", fetch, file.name)
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def operations() -> Iterator[list[Operation]]:
    """Give everything that is killed."""
    with _fetching() as fetch:
        yield [
            Operation("save identity", _save_identity, "person.safetensors"),
            Operation("save head", _save_head, "person.safetensors"),
            Operation("convert", _convert, "instantid_warm_start.safetensors"),
            Operation("training checkpoint", _save_training, CHECKPOINT),
            fetch,
        ]

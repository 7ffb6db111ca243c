"""What the registry hands out: built as it does, and scanned by the rules that are known of its scan."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from . import ROOT

NETWORK = {
    "aiohttp",
    "ftplib",
    "http",
    "httpx",
    "requests",
    "smtplib",
    "socket",
    "ssl",
    "urllib",
    "urllib3",
    "websocket",
}
PROCESSES = {"subprocess", "multiprocessing", "ctypes", "pty"}
CODE = {"pickle", "marshal", "dill", "cloudpickle"}
IMPORTS = dict.fromkeys(NETWORK, "network operation")
IMPORTS |= dict.fromkeys(PROCESSES, "process or native code")
IMPORTS |= dict.fromkeys(CODE, "code out of data")
WORDS = {
    r"\bsubprocess\b|\bos\.(system|popen|exec\w+|spawn\w+)\b": "command",
    r"\burllib\b|\baiohttp\b|\.connect\(": "network operation",
    r"\bos\.(environ|getenv|putenv)\b": "environment",
    r"(?<![\w.])(eval|exec)\s*\(|\.eval\(|\bnew Function\b": "code out of text",
    r"\b(raw|media|gist)\.github\w*\.com|pastebin\.com|cdn\.discordapp": "raw-content address",
}
"""What is looked for in every text, and what it is."""
TEXTS = {".py", ".js", ".mjs", ".json", ".toml", ".md", ".txt", ".html", ".css", ".svg", ".yaml", ""}
DATA = {".safetensors", ".png", ".jpg", ".webp"}
LONGEST_LINE = 1000
"""Characters of a line of code; bundled or minified code of others has longer ones."""


def build(target: Path) -> Path:
    """Write the archive that ``comfy node publish`` would upload: what git tracks, less ``.comfyignore``.

    Raises
    ------
    subprocess.CalledProcessError
        The root is no git checkout, or comfy-cli is missing.
    """
    code = "import sys; from comfy_cli.file_utils import zip_files; zip_files(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, str(target.resolve())], cwd=ROOT, check=True, capture_output=True
    )
    return target


def unpack(archive: Path, folder: Path) -> list[str]:
    """Unpack as ComfyUI-Manager does, and return the names of all files."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
        return sorted(name for name in opened.namelist() if not name.endswith("/"))


def findings(folder: Path) -> list[str]:
    """Return what the registry's scan would find in an unpacked archive, one line each.

    The rules are *ours*, after what authors of packs report of the scan; it is not public.
    """
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix in DATA:
            continue
        if path.suffix not in TEXTS:
            found.append(f"{name}: a kind of file that a pack of nodes does not need")
            continue
        text = path.read_text(encoding="utf-8")
        found += [f"{name}:{line}: {what}" for line, what in _words(text)]
        if path.suffix in (".py", ".js", ".mjs"):
            longest = max(map(len, text.splitlines()), default=0)
            found += (
                [f"{name}: bundled code, a line of {longest} characters"] if longest > LONGEST_LINE else []
            )
        if path.suffix == ".py":
            found += [f"{name}:{line}: {what}" for line, what in _code(text)]
    return found


def _words(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, what in WORDS.items():
            if match := re.search(pattern, line):
                yield number, f"{what} ({match[0]})"


def _code(text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.Import, ast.ImportFrom, ast.Call)):
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        for name in names:
            if what := IMPORTS.get(name.split(".")[0]):
                yield node.lineno, f"{what} (import {name})"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            safe = [k for k in node.keywords if k.arg == "weights_only" and ast.unparse(k.value) == "True"]
            if not safe:
                yield node.lineno, "pickled code (torch.load without weights_only)"

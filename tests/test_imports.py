"""Imports follow the data flow: the table in docs/architecture.md is read and held to."""

from __future__ import annotations

import ast
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "hifi_portrait"
HOST = {"comfy", "comfy_api", "comfy_extras", "folder_paths", "nodes", "node_helpers", "server", "execution"}
"""Top modules of ComfyUI."""
OUTSIDE = {"harness", "authoring", "benchmarks", "tests", "dev", "conftest"}
"""What is not part of the installed package: imported by name, and imports the pack by its package's name."""
EVERYTHING = frozenset({"everything"})


@dataclass(frozen=True)
class Row:
    """What one folder (or one file of the root) may import."""

    pack: frozenset[str]
    packages: frozenset[str]
    host: frozenset[str]


def table() -> dict[str, Row]:
    """Read the table of docs/architecture.md: rows by folder, without the trailing slash."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    header = "| folder | holds | of the pack | packages | of ComfyUI |\n"
    body = text[text.index(header) + len(header) :].split("\n\n")[0]

    def cell(text: str) -> frozenset[str]:
        return EVERYTHING if text.strip() == "everything" else frozenset(re.findall(r"`([^`]+)`", text))

    rows = {}
    for line in body.splitlines()[1:]:
        name, _, *cells = line.strip("|").split("|")
        (folder,) = cell(name)
        rows[folder.rstrip("/")] = Row(*map(cell, cells))
    return rows


TABLE = table()


def python_files() -> list[Path]:
    """All Python files of the repository, relative to its root."""
    ignored = {"node_modules", "build", "demo", "shared"}
    found: list[Path] = []
    for folder, below, files in os.walk(ROOT):
        below[:] = [name for name in below if name not in ignored and not name.startswith((".", "_"))]
        found += [Path(folder, name).relative_to(ROOT) for name in files if name.endswith(".py")]
    return sorted(found)


def room(parts: tuple[str, ...]) -> str | None:
    """Return the row that a file or module belongs to: the longest folder that the table names."""
    for length in range(len(parts), 0, -1):
        if "/".join(parts[:length]) in TABLE:
            return "/".join(parts[:length])
    return None


def imports(path: Path) -> list[tuple[int, tuple[str, ...]]]:
    """Level and dotted module of every import in a file, nested ones too; of `from a import b`, a.b."""
    found = []
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(0, tuple(alias.name.split("."))) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = tuple((node.module or "").split(".")) if node.module else ()
            found += [(node.level, (*module, alias.name)) for alias in node.names]
    return found


def within(name: str, allowed: frozenset[str], separator: str) -> bool:
    """Whether a name is one of those allowed, or lies below one."""
    return any(name == other or name.startswith(other + separator) for other in allowed)


def rooms_of(own: str) -> set[str]:
    """Rooms that a room may import: those named and what lies below; of its own parent only the files."""
    named = TABLE[own].pack
    parents = {other for other in named if own.startswith(f"{other}/")}
    below = {name for name in TABLE if within(name, named - parents, "/")}
    return below | parents


def complaint(path: Path, level: int, module: tuple[str, ...]) -> str | None:
    """What is wrong with an import, if anything."""
    own = room(path.parts)
    assert own is not None
    row, outside = TABLE[own], path.parts[0] in OUTSIDE
    if level:
        target = room((*path.parts[: len(path.parts) - level], *module)) or "the root"
    elif module[0] == PACKAGE:
        if not outside:
            return "imports the pack absolutely"
        target = room(module[1:]) or "the root"
    elif module[0] in OUTSIDE:
        target = room(module) or "the root"
    else:
        return _foreign(row, module)
    if target == own or row.pack == EVERYTHING or target in rooms_of(own):
        return None
    return f"imports {target}"


def _foreign(row: Row, module: tuple[str, ...]) -> str | None:
    if module[0] in HOST:
        fits = row.host == EVERYTHING or within(".".join(module), row.host, ".")
        return None if fits else f"imports ComfyUI's {'.'.join(module)}"
    known = module[0] in sys.stdlib_module_names or row.packages == EVERYTHING
    return None if known or module[0] in row.packages else f"imports the package {module[0]}"


def test_the_table_names_every_folder_and_nothing_else():
    files = python_files()
    assert len(files) > 200
    assert not [str(path) for path in files if room(path.parts) is None], "no row in docs/architecture.md"
    used = {room(path.parts) for path in files}
    assert not set(TABLE) - used, "rows in docs/architecture.md without a file"
    named = {name for row in TABLE.values() for name in row.pack - EVERYTHING}
    assert not named - set(TABLE), "folders in the table that have no row"


def test_the_table_has_no_circle():
    """One way: going from any folder to what it may import never comes back to it."""
    below = {name: rooms_of(name) for name in TABLE}
    for start in TABLE:
        seen: set[str] = set()
        todo = sorted(below[start] - {start})
        while todo:
            name = todo.pop()
            assert name != start, f"{start} imports itself by way of others"
            todo += sorted(below[name] - seen - {name})
            seen |= below[name] - {name}


@pytest.mark.parametrize("name", sorted(TABLE))
def test_imports_follow_the_table(name):
    wrong = [
        f"{path} {what}"
        for path in python_files()
        if room(path.parts) == name
        for level, module in imports(path)
        if (what := complaint(path, level, module))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("path", "level", "module", "what"),
    [
        ("faces/crop.py", 2, "models.tokens.FaceBatch", "imports models"),
        ("training/data/batches.py", 3, "nodes.types", "imports nodes"),
        ("training/data/batches.py", 2, "trainer.Trainer", "imports training"),
        ("models/layers.py", 0, "hifi_portrait.faces.crop", "imports the pack absolutely"),
        ("landmarks/fit.py", 0, "torch", "imports the package torch"),
        ("nodes/faces.py", 0, "comfy.sample.sample", "imports ComfyUI's comfy.sample.sample"),
        ("harness/host.py", 0, "hifi_portrait.nodes.faces", "imports nodes"),
        ("harness/host.py", 0, "authoring.templates", "imports authoring"),
        ("patching/apply.py", 2, "identity.identity.Identity", None),
        ("nodes/faces.py", 0, "comfy.utils.ProgressBar", None),
        ("cli/train.py", 2, "training.data.batches.PreparedPeople", None),
    ],
)
def test_what_breaks_the_table_is_found(path, level, module, what):
    assert complaint(Path(path), level, tuple(module.split("."))) == what

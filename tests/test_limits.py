"""Modules and functions stay short; JavaScript is held to the same by ESLint, complexity by ruff."""

import ast
import subprocess
from pathlib import Path

import pytest

from harness import ROOT

MOST_LINES_OF_MODULE = 400
MOST_LINES_OF_FUNCTION = 60
"""Without the docstring."""
TABLES = {
    ("nodes", "define_schema"): "inputs and outputs of a node",
    ("authoring/pictures.py", "scenes"): "what the pictures of the help pages show",
    ("authoring/templates", "two_people_with_masks"): "nodes and links of one workflow",
    (
        "tests/web/test_front_end.py",
        "test_artists_path",
    ): "one artist's way through the front end, step by step",
}
"""Functions that are lists of data or of steps, and why."""


def python_files() -> list[Path]:
    """Return every module that git knows, or would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for path in map(ROOT.joinpath, listed.split()) if path.is_file()]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return a function's lines, without decorators and docstring."""
    assert function.end_lineno is not None
    whole = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is None:
        return whole
    assert first.end_lineno is not None
    return whole - (first.end_lineno - first.lineno + 1)


def is_table(path: str, name: str) -> bool:
    """Return whether the function is excepted."""
    return any(name == known and path.startswith(place) for place, known in TABLES)


@pytest.fixture(scope="module")
def modules() -> dict[str, str]:
    """The text of every module by its path."""
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in python_files()}


def test_no_module_is_long(modules):
    assert len(modules) > 100
    long = {path: text.count("\n") for path, text in modules.items()}
    long = {path: lines for path, lines in long.items() if lines > MOST_LINES_OF_MODULE}
    assert not long, f"split by what they hold: {long}"


def test_no_function_is_long(modules):
    long = {}
    for path, text in modules.items():
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_table(path, node.name):
                continue
            if length(node) > MOST_LINES_OF_FUNCTION:
                long[f"{path}:{node.lineno} {node.name}"] = length(node)
    assert not long, f"split by what they do: {long}"

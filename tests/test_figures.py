"""Published figures are those of the committed JSON, and every benchmark still runs from end to end.

A row of the README's table of figures ends in the file and the paths of its figures, in the order in which
they stand in the row: ``[faces](...): `same_mean`, `same_lowest` ``. ``{1,4}`` in a path stands for several
paths. A figure is compared at the digits that are printed; before ``%`` it is a hundredth, ``-`` in front of
a path turns its sign.
"""

import itertools
import json
import os
import re
import subprocess
import sys

import pytest

from harness import ROOT

RESULTS = ROOT / "benchmarks" / "results"
NAMES = sorted(path.stem for path in RESULTS.glob("*.json"))
NUMBER = re.compile(r"(?<![\w.])-?\d*\.?\d+(?:e-?\d+)?(?: ?%)?")
ROW = re.compile(
    r"^\| (?P<what>.+?) \| (?P<figures>.+?) \| \[(?P<name>\w+)\]\([\w/.]+\): (?P<paths>.+?) \|$", re.M
)


def expanded(path: str) -> list[str]:
    """``a.{b,c}.d`` as ``a.b.d`` and ``a.c.d``; the last braces vary fastest."""
    parts = re.split(r"\{([^}]*)\}", path)
    choices = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]


def looked_up(figures: dict, path: str) -> float:
    """Follow a dotted path; a ``-`` in front turns the sign."""
    value = figures
    for key in path.lstrip("-").split("."):
        value = value[key]
    assert isinstance(value, int | float), path
    return -value if path.startswith("-") else value


def agrees(shown: str, value: float) -> bool:
    """Whether a printed figure is this value, at its own digits."""
    number = shown.removesuffix("%").strip()
    value = 100 * value if shown.endswith("%") else value
    mantissa = number.split("e")[0]
    digits = len(mantissa.partition(".")[2])
    half = 0.5 * 10.0**-digits * (10.0 ** int(number.split("e")[1]) if "e" in number else 1)
    return abs(float(number) - value) <= half * 1.0001


def rows() -> list[re.Match]:
    """Return the rows of the README's table of figures."""
    return list(ROW.finditer((ROOT / "README.md").read_text(encoding="utf-8")))


def paths_of(row: re.Match) -> list[str]:
    """Return the paths of a row's figures."""
    return [one for path in re.findall(r"`([^`]+)`", row["paths"]) for one in expanded(path)]


def committed(name: str) -> dict:
    """Return the committed figures of a benchmark."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def test_every_row_names_its_figures():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text[text.index("## Measured") :].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| what")]
    assert len(lines) == len(rows()) > 15, "a row does not end in its file and paths"


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["what"][:60])
def test_figures_are_those_of_the_json(row):
    shown, paths = NUMBER.findall(row["figures"]), paths_of(row)
    assert len(shown) == len(paths), f"{shown} are not the figures of {paths}"
    figures = committed(row["name"])
    wrong = {
        path: (figure, looked_up(figures, path))
        for figure, path in zip(shown, paths, strict=True)
        if not agrees(figure, looked_up(figures, path))
    }
    assert not wrong, f"shown and committed differ: {wrong}"


@pytest.mark.parametrize("name", NAMES)
def test_json_says_at_which_commit_it_was_made(name):
    figures = committed(name)
    assert re.fullmatch("[0-9a-f]{40}", figures["commit"]), (
        "made on a dirty tree, or before commits were noted"
    )
    assert figures["quick"] is False
    git = ["git", "-C", str(ROOT)]
    shallow = subprocess.run([*git, "rev-parse", "--is-shallow-repository"], capture_output=True, text=True)
    if shallow.stdout.strip() == "false":
        known = subprocess.run([*git, "cat-file", "-e", f"{figures['commit']}^{{commit}}"], check=False)
        assert known.returncode == 0, "nobody can check out that commit"


def test_every_json_has_its_benchmark():
    assert set(NAMES) <= {path.stem for path in (ROOT / "benchmarks").glob("*.py")}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_benchmarks_run(name, tmp_path):
    before = (RESULTS / f"{name}.json").read_bytes()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout)
    assert figures["quick"] is True
    for row in rows():
        if row["name"] == name:
            for path in paths_of(row):
                looked_up(figures, path)
    assert (RESULTS / f"{name}.json").read_bytes() == before

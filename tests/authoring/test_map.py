"""``docs/map.md`` has one line for each file."""

from __future__ import annotations

import re
import subprocess

from authoring import map as project_map
from harness import ROOT


def test_every_file_has_a_line():
    assert not project_map.untold(project_map.files()), (
        "give it a docstring, or its folder a line in authoring/map.py"
    )


def test_the_page_is_as_the_files_say():
    assert project_map.PAGE.read_text(encoding="utf-8") == project_map.page(), "run python -m authoring.map"


def test_git_knows_no_file_that_the_map_does_not():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:  # a fresh clone; not a download without history
        known = {path.as_posix() for path in project_map.files()}
        there = {name for name in done.stdout.splitlines() if (ROOT / name).is_file()}
        assert not there - known - {".npmrc", "tests/web/.npmrc"}


def test_the_questions_name_files_and_functions_that_exist():
    found = re.findall(r"`([\w/]+\.py)`(?:\s+\(`([\w.]+)`\))?", project_map.QUESTIONS)
    assert len(found) > 8
    for path, name in found:
        text = (ROOT / path).read_text(encoding="utf-8")
        for part in filter(None, name.split(".")):
            assert re.search(rf"^\s*(def|class) {part}\b", text, re.MULTILINE), f"{path}: {name}"

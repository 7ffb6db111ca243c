# ruff: noqa: E501 - texts
"""Writes ``docs/map.md``, one line for each file: ``python -m authoring.map``, after a file comes or goes.

What a line says is the first sentence of the file's own docstring or first comment, so that it is never out
of date. Folders of data have one line together, written here.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from pathlib import Path

from harness import ROOT

PAGE = ROOT / "docs" / "map.md"

QUESTIONS = """\
# Map

One line for each file, written by `python -m authoring.map`; do not edit by hand. Who may import whom is in
[architecture](architecture.md).

## Three questions to start with

**Where is a reference weighed?** Its quality is measured in `faces/quality.py` (`measure`), and becomes its weight in
`faces/references.py` (`_weigh`). `models/tokens.py` (`FaceBatch.bias`) turns weights into log shares, which act in
`models/refiner.py` on tokens and in `models/texture.py` (`TextureFusion`) on each texel of the UV textures.

**Where does a landmark become a picture?** `landmarks/generate.py` projects the 3D face to points; `landmarks/draw.py`
draws them. All that the networks see of them, the drawing and two maps of coordinates, is built in
`landmarks/target_maps.py` alone.

**Where is the UNet touched?** `patching/apply.py` registers everything on a clone of the MODEL: wrappers
(`patching/wrappers.py`), attention to identity tokens in each cross-attention layer (`patching/attention.py`), and
HiFi-Net's residuals in the host's `control` (`patching/residuals.py`). `patching/head_guidance.py` acts on the
prediction of the clean latents, after the UNet.
"""

DATA = {
    ".ci": "How the tests are run where the project is built.",
    ".github/workflows": "Checks on every change, and publishing to ComfyUI's registry.",
    "assets": "Icon and banner of the registry.",
    "tests/hostile/corpus": "One hostile input for each defect found, written by ``make_corpus.py``.",
    "assets/gallery": "Contact sheets of the tiny model, for the README.",
    "assets/tiny": "The tiny model's two files, and its model card.",
    "benchmarks/results": "Committed figures, with the commit that they were measured at.",
    "docs": "What is written by hand, this page, and `landmarks.md`, which `tools/document_face.py` writes.",
    "locales": "Names, descriptions and tooltips of the nodes, by language.",
    "tests/models/data": "Files of former versions, which must still load.",
    "tools/calibration": "What calibrations of recognizers measured.",
    "training/data/synthetic": "Synthetic people; and where the 72 landmarks lie on MakeHuman's base mesh (`face72_embedding.npz`).",
    "training/recipes": "Training runs: what each states beyond the defaults or what it extends.",
    "training/reproduce/chains": "Chains of stages: what each stage is, needs and is set to.",
    "web/data": "The 3D face, the head and the artists' sliders, read by Python and by the widget.",
    "web/docs": "Help pages of the nodes, and their pictures.",
    "subgraphs": "Blueprints: several nodes as one, for the host's node library.",
    "example_workflows": "Workflows for artists, and their thumbnails.",
}
"""Folders with files that tell nothing of themselves."""
ROOT_FILES = {
    ".comfyignore": "What the registry's package leaves out.",
    ".coveragerc": "What of the code the coverage of tests counts.",
    ".gitignore": "What is not committed.",
    ".pre-commit-config.yaml": "The same checks before a commit.",
    "CHANGELOG.md": "What changed, by version.",
    "AGENTS.md": "Where agents that work on the code start.",
    "CONTRIBUTING.md": "How to run, test and write; the acceptance list for patches.",
    "SECURITY.md": "Threats considered, what is done about each, and how to report.",
    "LICENSE": "Apache-2.0.",
    "README.md": "What it is, how to install and use it, and its figures.",
    "mkdocs.yml": "The documentation's site.",
    "pyproject.toml": "The package, its extras, and the settings of all checks.",
    "requirements.txt": "What the pack needs beside ComfyUI.",
}
OTHERS = {"web/hifi_portrait.css": "Looks of the face widget."}
"""Single files that cannot tell."""
_SOURCES = (".py", ".js", ".mjs", ".ts")
_IGNORED = {"node_modules", "__pycache__", "build", "dist", "demo", "shared", "site"}
_CONFIGURATION = {"package.json", "package-lock.json", "tsconfig.json", ".npmrc"}
"""Files of tests/web that configure tools."""


def files() -> list[Path]:
    """All files of the repository, relative to its root; what git ignores is left out."""
    found: list[Path] = []
    for folder, below, names in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        hidden = {".ci", ".github"} if here == Path() else set()
        below[:] = [
            name
            for name in below
            if name not in _IGNORED
            and not name.endswith(".egg-info")
            and (not name.startswith(".") or name in hidden)
        ]
        found += [
            here / name
            for name in names
            if not name.endswith((".pyc", ".tmp", ".part"))
            and (name[0] != "." or str(here / name) in ROOT_FILES)
        ]
    return sorted(found)


def line(path: Path) -> str | None:
    """Return what a source file says of itself; None where it says nothing."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.suffix == ".py":
        told = ast.get_docstring(ast.parse(text))
        return None if told is None else _first_sentence(told)
    comment = re.match(r"(?:// @ts-check\s*)?(?:/\*\*(.*?)\*/|//\s*([^\n]*))", text, re.DOTALL)
    if comment is None:
        return None
    words = re.sub(r"^\s*\* ?", "", comment[1] or comment[2] or "", flags=re.MULTILINE)
    return None if "@" in words.split("\n")[0] else _first_sentence(words.strip())


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.split("\n\n")[0].split())
    found = re.match(r"(.*?\.)(?:\s|$)", paragraph)
    return (found[1] if found else paragraph).rstrip(":.") + "."


def untold(listed: list[Path]) -> list[str]:
    """Return files that have no line: sources without a docstring, data in a folder that `DATA` lacks."""
    return [
        path.as_posix() for path in listed
        if not (line(path) if path.suffix in _SOURCES else _data_line(path))
    ]  # fmt: skip


def _data_line(path: Path) -> str | None:
    if path.parent == Path():
        return ROOT_FILES.get(path.name)
    if path.name in _CONFIGURATION:
        return "Configuration."
    if path.as_posix() in OTHERS:
        return OTHERS[path.as_posix()]
    return next((DATA[p.as_posix()] for p in path.parents if p.as_posix() in DATA), None)


def page() -> str:
    """Return the page as Markdown."""
    listed = files()
    rooms: dict[str, list[str]] = {}
    for path in listed:
        room = path.parent.as_posix()
        entries = rooms.setdefault("" if room == "." else room, [])
        if path.suffix in _SOURCES:
            if path.name != "__init__.py" or room == ".":
                entries.append(f"- `{path.name}`: {line(path)}")
        elif room == "." or path.name in _CONFIGURATION or path.as_posix() in OTHERS:
            entries.append(f"- `{path.name}`: {_data_line(path)}")
    folders = {p.as_posix() for path in listed for p in path.parents} & set(DATA)
    for folder in folders:
        rooms.setdefault(folder, [])
    parts = [QUESTIONS, "## The root\n", "\n".join(rooms.pop("")), ""]
    for room, entries in sorted(rooms.items()):
        about = DATA.get(room) or _about(room)
        if not entries and about is None:
            continue
        parts += [f"## {room}/\n", *([about, ""] if about else []), *entries, ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def _about(room: str) -> str | None:
    package = Path(room) / "__init__.py"
    return line(package) if (ROOT / package).is_file() else None


def main() -> int:
    """Write the page; 1 when files have no line."""
    missing = untold(files())
    for name in missing:
        print(f"{name}: no first comment, and not in authoring/map.py")
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())

# ruff: noqa: E501 - texts
"""Writes ``docs/troubleshooting.md`` from the messages in the code: ``python -m authoring.troubleshooting``.

Every text that an error of this pack is made with, and every line with which a node refuses an input, is read
from the syntax tree. What to do about a whole group is written here; a test holds that page and code agree.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
GAP = "…"
"""Stands for what the message fills in: a name, a number, a reason."""


@dataclass(frozen=True)
class Group:
    """Messages of some modules, and what to do about them.

    Attributes
    ----------
    title : str
        Heading.
    advice : str
        What helps with all of them.
    modules : tuple of str
        Beginnings of the modules' paths.
    """

    title: str
    advice: str
    modules: tuple[str, ...]


GROUPS = (
    Group(
        "Face models and analyzers",
        "The four files of the open analyzer are fetched by *Load Face Analyzer* with `missing_files` at "
        "*automatic*; each is checked against its SHA-256 whenever it is loaded. A file that is refused is deleted and fetched again. "
        "InsightFace packs belong into `models/insightface/models/NAME`.",
        ("faces/files", "faces/runtime", "faces/open_analyzer", "faces/insight", "faces/face_alignment", "faces/registry", "faces/yunet", "faces/"),
    ),
    Group(
        "Photos and references",
        "The message names the picture. Use one where the face is larger than about 30 px, not covered, and upright; one person is the "
        "majority of a set. Pictures are limited in size before they are decoded, so that a small file cannot fill the memory.",
        ("faces/pictures", "faces/picture_files", "faces/references", "faces/select", "faces/crop", "faces/quality", "nodes/faces", "identity/refine", "identity/compare"),
    ),
    Group(
        "Identities and heads",
        "Files that others made are checked before anything reads them. A damaged one cannot be repaired: save it again from the photos. "
        "An identity works with the HiFi-Net that made it.",
        ("identity/", "nodes/identity", "nodes/head", "nodes/saved", "boundary/saved", "head/"),
    ),
    Group(
        "HiFi-Net checkpoints and InstantID's files",
        "Get the file again from where it came from; nothing is written until every name and shape fits. Pickles are never loaded.",
        ("models/", "nodes/checkpoints", "tiny/", "nodes/tiny"),
    ),
    Group(
        "Landmarks, sliders and face capture",
        "The message names the input, line or frame. Captures are CSV files of Live Link Face or JSON with ARKit's names, inside of "
        "ComfyUI's `input` folder.",
        ("landmarks/", "nodes/landmark"),
    ),
    Group(
        "Applying a person to a model",
        "Model, HiFi-Net and identity belong together: the tiny ones with each other, InstantID's with SDXL.",
        ("patching/", "nodes/hifi_net", "nodes/head_guidance"),
    ),
    Group(
        "Inputs of nodes, files and folders",
        "Paths in a workflow stay inside of ComfyUI's folders. When a file cannot be saved, the line says why: a full disk, a folder that "
        "may not be written, a name that is too long.",
        ("nodes/", "boundary/"),
    ),
)  # fmt: skip
"""The most exact beginning of a module's path decides."""

ROOMS = ("boundary", "faces", "landmarks", "head", "models", "identity", "tiny", "patching", "nodes")
"""What runs in ComfyUI; training and tools speak to developers."""
_REFUSING = ("validate_inputs", "problem", "_missing", "message_of", "missing_message")


@dataclass(frozen=True)
class Message:
    """One message in the code."""

    module: str
    text: str


def messages(root: Path = ROOT) -> list[Message]:
    """Return every message of the pack, in the order of modules and lines, once each."""
    found: dict[Message, None] = {}
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            module = path.relative_to(root).with_suffix("").as_posix()
            for text in texts_of(path.read_text(encoding="utf-8")):
                found[Message(module, text)] = None
    return list(found)


def texts_of(source: str) -> Iterator[str]:
    """Return the texts that errors in a module are made with, and those that its refusing functions return."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _is_error(node.func):
            yield from _texts(node.args[0])
        if isinstance(node, ast.FunctionDef) and node.name in _REFUSING:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from _texts(inner.value)


def _is_error(function: ast.expr) -> bool:
    return isinstance(function, ast.Name) and function.id.endswith("Error")


def _texts(value: ast.expr) -> Iterator[str]:
    """Return a text with gaps for what is filled in; both of a choice; none where all is filled in."""
    if isinstance(value, ast.IfExp):
        yield from _texts(value.body)
        yield from _texts(value.orelse)
        return
    text = re.sub(rf"({GAP}\s*)+{GAP}", GAP, _pattern(value)).strip()
    if len(re.findall(r"[a-zA-Z]{2,}", text)) >= 2:
        yield re.sub(r"\s+", " ", text)


def _pattern(value: ast.expr) -> str:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    if isinstance(value, ast.JoinedStr):
        return "".join(_pattern(part) if isinstance(part, ast.Constant) else GAP for part in value.values)
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        return _pattern(value.left) + _pattern(value.right)
    return GAP


def group_of(module: str) -> Group:
    """Return the group whose beginning fits a module best.

    Raises
    ------
    KeyError
        None fits.
    """
    fits = [(len(start), group) for group in GROUPS for start in group.modules if module.startswith(start)]
    if not fits:
        raise KeyError(f"no group for {module}: add its beginning to GROUPS")
    return max(fits, key=lambda fit: fit[0])[1]


def page() -> str:
    """Return the page."""
    lines = [
        "# Troubleshooting",
        "",
        "Every message of HiFi-Portrait, by what it is about. Search this page for a few words of what you see; "
        f"`{GAP}` stands for a name, a number or a reason. A message names the picture or file, and what to do "
        "follows the semicolon. An error that is not here comes from ComfyUI, from another pack, or is a bug: "
        "report it, as [SECURITY.md](../SECURITY.md) says where it could harm somebody.",
        "",
        "This page is written by `python -m authoring.troubleshooting` from the code.",
    ]
    known = messages()
    for group in GROUPS:
        lines += ["", f"## {group.title}", "", group.advice, ""]
        texts = sorted({m.text for m in known if group_of(m.module) is group}, key=str.casefold)
        lines += [f"- {_code(text)}" for text in texts]
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")

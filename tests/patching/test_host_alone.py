"""`patching/host.py` alone detects what a host can do; nothing of the pack asks for its version."""

from __future__ import annotations

import ast

import pytest

from dev import PACKAGES
from harness import ROOT
from tests.test_imports import HOST

DETECTOR = ROOT / "patching" / "host.py"
ATTEMPTS = {"ImportError", "ModuleNotFoundError", "AttributeError", "Exception"}


def host_module(name: str | None) -> bool:
    return (name or "").split(".")[0] in {*HOST, "comfyui_version", "latent_preview"}


def imported(tree: ast.AST) -> set[str]:
    """Names in a module that stand for something of the host's."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {(a.asname or a.name).split(".")[0] for a in node.names if host_module(a.name)}
        if isinstance(node, ast.ImportFrom) and not node.level and host_module(node.module):
            names |= {a.asname or a.name for a in node.names}
    return names


def asked(call: ast.Call, names: set[str]) -> bool:
    """Whether a call asks whether the host has something."""
    function, first = ast.unparse(call.func).split(".")[-1], ast.unparse(call.args[0]) if call.args else ""
    if function == "hasattr" or (function == "getattr" and len(call.args) == 3):
        return first.split(".")[0].split("(")[0] in names
    return function in ("find_spec", "version", "import_module") and (
        host_module(first.strip("'\"")) or first.startswith("'comfyui")
    )


def tried(node: ast.Try) -> bool:
    """Whether a statement tries to import something of the host's, and goes on without it."""
    imports = [child for part in node.body for child in ast.walk(part)]
    modules = [a.name for child in imports if isinstance(child, ast.Import) for a in child.names]
    modules += [child.module for child in imports if isinstance(child, ast.ImportFrom) and not child.level]
    caught = {word for h in node.handlers if h.type for word in ast.unparse(h.type).strip("()").split(", ")}
    return any(map(host_module, modules)) and bool(
        caught & ATTEMPTS or any(not h.type for h in node.handlers)
    )


def detections(text: str) -> list[int]:
    """Lines that detect something of the host."""
    tree = ast.parse(text)
    names = imported(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [getattr(node, "module", None), *(alias.name for alias in node.names)]
            wrong = any(name in ("comfyui_version", "__version__") for name in modules)
        elif isinstance(node, ast.Attribute):
            wrong = node.attr == "__version__" and ast.unparse(node.value) != "torch"
        elif isinstance(node, ast.Call):
            wrong = asked(node, names)
        else:
            wrong = isinstance(node, ast.Try) and tried(node)
        if wrong and isinstance(node, ast.stmt | ast.expr):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("folder", PACKAGES)
def test_nothing_else_detects(folder):
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in (ROOT / folder).rglob("*.py")
        if path != DETECTOR
        for line in detections(path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "what is detected of the host is detected in patching/host.py"


@pytest.mark.parametrize(
    "text",
    [
        "from comfyui_version import __version__",
        "import comfy\nif comfy.__version__ > '0.4': pass",
        "import comfy.model_patcher\nhasattr(comfy.model_patcher, 'CoreModelPatcher')",
        "from comfy import model_patcher as m\ngetattr(m, 'CoreModelPatcher', None)",
        "from comfy_api.latest import io\nhasattr(io.Custom('X'), 'advanced')",
        "import importlib.util\nimportlib.util.find_spec('comfy_extras.mediapipe')",
        "from importlib.metadata import version\nversion('comfyui-frontend-package')",
        "try:\n    import comfy_aimdo, comfy.memory\nexcept ImportError:\n    pass",
    ],
)
def test_each_way_of_detecting_is_found(text):
    assert detections(text)


def test_other_questions_are_none():
    assert not detections("import torch, comfy\ntorch.__version__\ngetattr(x, 'y', None)\ncomfy.utils.y(1)")

"""Imports follow the data flow: the table in docs/architecture.md, checked."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ALLOWED = {
    "faces": set(),
    "landmarks": set(),
    "models": set(),
    "head": {"landmarks", "faces"},
    "identity": {"models", "head", "landmarks", "faces"},
    "patching": {"models", "identity", "head", "landmarks"},
    "tiny": set(),
    "nodes": {"tiny", "patching", "identity", "models", "head", "landmarks", "faces"},
    "training": {"tiny", "identity", "models", "head", "landmarks", "faces"},
    "tools": {"training", "head", "landmarks", "faces"},
    "cli": {"training", "identity", "models", "head", "landmarks", "faces"},
}
THIRD_PARTY = {
    "faces": {"numpy", "cv2", "PIL", "onnx", "onnxruntime", "ai_edge_litert", "platformdirs", "insightface"}
    | {"face_alignment", "torch"},
    "landmarks": {"numpy", "cv2", "safetensors"},
    "head": {"numpy", "torch", "kornia", "cv2", "safetensors"},
    "models": {"torch", "safetensors", "numpy"},
    "identity": {"numpy", "torch", "safetensors"},
    "patching": {"numpy", "torch", "safetensors", "PIL", "cv2"},
    "tiny": {"torch", "safetensors"},
    "nodes": {"numpy", "torch"},
}
"""What a folder may need beside the standard library, the pack and the host."""
HOST = {"comfy", "comfy_api", "comfy_extras", "folder_paths", "nodes", "node_helpers", "server", "execution"}
HOST_ALLOWED = {
    "nodes": {"comfy_api", "folder_paths", "comfy.utils", "comfy.model_management"},
    "patching": HOST,
    "tiny": HOST,
    "training": HOST,
}


def imports(path: Path) -> list[tuple[int, str]]:
    """Return (level, dotted module) of every import statement in a file, nested ones too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found += [(node.level, f"{module}.{alias.name}".strip(".")) for alias in node.names]
    return found


@pytest.mark.parametrize("folder", sorted(THIRD_PARTY))
def test_folders_need_no_more_than_the_table_says(folder):
    known = set(sys.stdlib_module_names) | HOST | THIRD_PARTY[folder]
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for level, module in imports(path)
        if level == 0 and module.split(".")[0] not in known
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_imports_follow_the_data_flow(folder):
    wrong = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        depth = len(path.relative_to(ROOT / folder).parts)
        for level, module in imports(path):
            top = module.split(".")[0]
            if level > depth and top != folder and top not in ALLOWED[folder]:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
            if level == 0 and top == "hifi_portrait":
                wrong.append(f"{path.relative_to(ROOT)} imports {module} absolutely")
            if level == 0 and top in HOST:
                allowed = HOST_ALLOWED.get(folder, set())
                if not any(module == name or module.startswith(f"{name}.") for name in allowed):
                    wrong.append(f"{path.relative_to(ROOT)} imports the host's {module}")
    assert not wrong, "\n".join(wrong)

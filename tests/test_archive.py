"""What the registry hands out: nodes only, nothing that its scan stops, and it makes portraits by itself."""

import ast
import re

import pytest

from harness.archive import build, findings, unpack
from harness.host import running_host
from harness.packages import PHOTOS
from harness.workflows import FIRST_PORTRAIT, ids, prompt_of, with_inputs

NODES_ONLY = {
    "boundary", "faces", "head", "identity", "landmarks", "models", "nodes", "patching", "tiny",
    "assets", "locales", "web", "example_workflows", "subgraphs",
    "__init__.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE", "CHANGELOG.md",
}  # fmt: skip


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """The archive, unpacked into a folder of its own."""
    folder = tmp_path_factory.mktemp("registry")
    unpack(build(folder / "node.zip"), folder / "hifi-portrait")
    return folder / "hifi-portrait"


def test_it_holds_nodes_only(pack):
    assert {path.name for path in pack.iterdir()} == NODES_ONLY


def test_the_scan_finds_nothing(pack):
    assert findings(pack) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("import subprocess", "command"),
        ("from urllib.request import urlopen", "network"),
        ("import requests", "network"),
        ("from aiohttp import web", "network"),
        ("import socket", "network"),
        ("db.connect('x')", "network"),
        ("import os; os.environ.get('HOME')", "environment"),
        ("eval('1')", "code out of text"),
        ("exec('1')", "code out of text"),
        ("URL = 'https://raw.githubusercontent.com/a'", "raw-content"),
        ("torch.load('x.pt')", "weights_only"),
        ("torch.load('x.pt', weights_only=False)", "weights_only"),
        ("import pickle", "code out of data"),
        ("x = '" + "a" * 2000 + "'", "bundled"),
    ],
)
def test_each_rule_finds_what_it_is_for(tmp_path, line, what):
    (tmp_path / "a.py").write_text(line)
    assert any(what in found for found in findings(tmp_path))


def test_harmless_code_is_no_finding(tmp_path):
    (tmp_path / "a.py").write_text("network.train(False)\nevaluate(1)\ntorch.load('x', weights_only=True)\n")
    (tmp_path / "b.exe").write_bytes(b"MZ")
    assert findings(tmp_path) == ["b.exe: a kind of file that a pack of nodes does not need"]


def test_what_it_imports_of_itself_is_in_it(pack):
    wrong = []
    for path in pack.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = path.parents[node.level - 1]
                target = base.joinpath(*(node.module or "").split("."))
                if not (target.with_suffix(".py").is_file() or target.is_dir()):
                    wrong.append(f"{path.relative_to(pack)}: {node.module}")
    assert not wrong


def test_its_name_does_not_say_comfyui(pack):
    text = (pack / "pyproject.toml").read_text(encoding="utf-8")
    name = re.search(r'^name = "(.+)"$', text, re.MULTILINE)
    assert name is not None
    assert re.fullmatch(r"[a-z][a-z0-9-]+", name[1])
    assert "comfy" not in name[1]


@pytest.mark.host
def test_it_makes_portraits_in_a_bare_host(pack, tmp_path, face_models, photos):
    with running_host(tmp_path, model_files=face_models, pack=pack) as host:
        for name in PHOTOS:
            if name.startswith("obama"):
                host.upload(photos[name], f"person/{name}.jpg")
        prompt = prompt_of(host, FIRST_PORTRAIT)
        prompt = with_inputs(prompt, "HiFiPortraitLoadReferenceFaces", folder="person")
        done = host.run(prompt)
        assert done.images(ids(prompt, "SaveImage")[0])
        assert "cannot import" not in (tmp_path / "host.log").read_text(encoding="utf-8").lower()

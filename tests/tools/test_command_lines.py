"""Every one-off maker of committed data has a command line that says what it needs."""

from __future__ import annotations

import importlib
import re

import pytest

from harness import ROOT

TOOLS = sorted(
    path.stem
    for path in (ROOT / "tools").glob("*.py")
    if re.search(r"^if __name__ == ", path.read_text(encoding="utf-8"), re.MULTILINE)
)


def test_tools_are_found():
    assert {"distil_face", "document_face", "calibrate_recognizer", "train_network"} <= set(TOOLS)


@pytest.mark.parametrize("name", TOOLS)
def test_help_names_every_argument(name, capsys):
    tool = importlib.import_module(f"hifi_portrait.tools.{name}")
    with pytest.raises(SystemExit) as ended:
        tool.main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith("usage:")
    assert len(told.splitlines()) > 6


@pytest.mark.parametrize("path", sorted((ROOT / "tools").glob("*.py")), ids=lambda p: p.stem)
def test_no_tool_reads_arguments_by_hand(path):
    assert "sys.argv" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("network", ["recognizer", "landmarks", "decoder"])
def test_each_small_network_tells_what_it_is_trained_with(network, capsys):
    tool = importlib.import_module("hifi_portrait.tools.train_network")
    with pytest.raises(SystemExit):
        tool.main([network, "--help"])
    told = capsys.readouterr().out
    for line in told.splitlines():
        assert not re.fullmatch(r"  (data|out|run|sface)", line), "an argument without help"

"""Search aliases: complete, and given to hosts whose schema has a place for them."""

import dataclasses
import importlib.util
import sys
import types

import pytest

from harness import ROOT


@pytest.fixture
def aliases(monkeypatch):
    """The module alone, with a stand-in for the part of the host that it names."""
    latest = types.ModuleType("comfy_api.latest")
    monkeypatch.setattr(latest, "io", types.SimpleNamespace(ComfyNode=object, Schema=object), raising=False)
    monkeypatch.setitem(sys.modules, "comfy_api", types.ModuleType("comfy_api"))
    monkeypatch.setitem(sys.modules, "comfy_api.latest", latest)
    spec = importlib.util.spec_from_file_location("aliases", ROOT / "nodes" / "aliases.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclasses.dataclass
class OldSchema:
    node_id: str


@dataclasses.dataclass
class NewSchema:
    node_id: str
    search_aliases: list[str] = dataclasses.field(default_factory=list)


def node_of(schema):
    class Node:
        @classmethod
        def define_schema(cls):
            return schema("HiFiPortraitApplyHiFiNet")

    return Node


def test_new_hosts_get_them(aliases):
    (node,) = aliases.add_search_aliases([node_of(NewSchema)], NewSchema)
    assert "instantid" in node.define_schema().search_aliases


def test_old_hosts_are_left_alone(aliases):
    (node,) = aliases.add_search_aliases([node_of(OldSchema)], OldSchema)
    assert node.define_schema() == OldSchema("HiFiPortraitApplyHiFiNet")


@pytest.mark.host
def test_every_node_has_some(aliases, host):
    mine = {name for name in host.object_info() if name.startswith("HiFiPortrait")}
    assert set(aliases.ALIASES) == mine

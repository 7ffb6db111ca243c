"""What nodes say to hosts that have a place for it, and nothing to those that have none."""

import ast
import dataclasses

import pytest

from harness import ROOT
from harness.host import import_host


@pytest.fixture(scope="module")
def features():
    import_host()
    from hifi_portrait.nodes import features

    return features


@dataclasses.dataclass
class OldSchema:
    node_id: str


@dataclasses.dataclass
class NewSchema:
    node_id: str
    search_aliases: list[str] = dataclasses.field(default_factory=list)
    essentials_category: str | None = None
    has_intermediate_output: bool = False


def node_of(schema, name="HiFiPortraitGenerateLandmarks"):
    class Node:
        @classmethod
        def define_schema(cls):
            return schema(name)

    return Node


def test_new_hosts_get_them(features):
    (node,) = features.add_features([node_of(NewSchema)], NewSchema)
    described = node.define_schema()
    assert "head pose" in described.search_aliases
    assert described.essentials_category == "Image Generation"
    assert described.has_intermediate_output


def test_old_hosts_are_left_alone(features):
    (node,) = features.add_features([node_of(OldSchema)], OldSchema)
    assert node.define_schema() == OldSchema("HiFiPortraitGenerateLandmarks")


def test_previews_are_those_of_nodes_that_show_something(features, host):
    """Read from the code: a node that returns ``ui`` and is no output node keeps its preview."""
    showing = set()
    for path in (ROOT / "nodes").glob("*.py"):
        for item in ast.parse(path.read_text(encoding="utf-8")).body:
            text = ast.unparse(item)
            if isinstance(item, ast.ClassDef) and "node_id=" in text:
                name = text.split("node_id='")[1].split("'")[0]
                if any(word in text for word in ("ui=", "result(", "_output(")):
                    showing.add(name)
    outputs = {name for name, node in host.object_info().items() if node["output_node"]}
    assert showing - outputs == features.PREVIEWS


@pytest.mark.host
def test_every_node_has_search_words_and_all_names_exist(features, host):
    mine = {name for name in host.object_info() if name.startswith("HiFiPortrait")}
    assert set(features.ALIASES) == mine
    assert set(features.ESSENTIALS) <= mine
    assert mine >= features.PREVIEWS

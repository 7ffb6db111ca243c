"""Writes ``subgraphs/*.json``, the blueprints of the pack: ``python -m authoring.blueprints``.

A blueprint is a workflow of one node whose type is a subgraph. What stands in the subgraph's ``inputs`` is
seen outside; all else is set inside and can be opened with a double click.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import ROOT

from .graph import NODES2_SCALE, Graph, origin
from .template_parts import PROMPT, Portrait

FOLDER = ROOT / "subgraphs"
NAME = "Portrait of a person"
_IN, _OUT = -10, -20
"""Ids of a subgraph's own ends, as the front end numbers them."""
_ROW = 20
SLIDERS = (
    "yaw",
    "pitch",
    "roll",
    "smile",
    "mouth_open",
    "frown",
    "eye_closed_left",
    "eye_closed_right",
    "gaze_horizontal",
    "gaze_vertical",
    "brows_raise_outer",
    "brows_lower",
)
"""Pose and expression outside; the other sliders stand inside."""


class Subgraph:
    """A graph with ends.

    Parameters
    ----------
    graph
        What is inside.
    name, description, category
        Shown in the node library.
    """

    def __init__(self, graph: Graph, name: str, description: str, category: str) -> None:
        self.graph, self.name, self.description, self.category = graph, name, description, category
        self.inputs: list[dict[str, Any]] = []
        self.outputs: list[dict[str, Any]] = []
        self.links: list[dict[str, Any]] = [
            dict(
                zip(
                    ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type"),
                    link,
                    strict=True,
                )
            )
            for link in graph.links
        ]
        self.shown: list[dict[str, Any]] = []

    def expose(self, node: int, name: str, label: str | None = None) -> None:
        """Show an input of a node outside, with its widget where it has one."""
        slots = self.graph.node(node)["inputs"]
        slot = next(number for number, entry in enumerate(slots) if entry["name"] == name)
        kind = slots[slot]["type"]
        link = self._link(_IN, len(self.inputs), node, slot, kind)
        slots[slot]["link"] = link
        shown = {"label": label} if label else {}
        self.inputs.append(
            {"id": _id(f"{self.name}/in/{name}"), "name": name, "type": kind, "linkIds": [link], **shown}
        )
        entry: dict[str, Any] = {"name": name, "type": kind, "link": None, **shown}
        if "widget" in slots[slot]:
            entry["widget"] = {"name": name}
        self.shown.append(entry)

    def give(self, node: int, name: str) -> None:
        """Make an output of a node an output of the whole."""
        slots = self.graph.node(node)["outputs"]
        slot = next(number for number, entry in enumerate(slots) if entry["name"] == name)
        kind = slots[slot]["type"]
        link = self._link(node, slot, _OUT, len(self.outputs), kind)
        slots[slot]["links"] = [*(slots[slot]["links"] or []), link]
        self.outputs.append(
            {"id": _id(f"{self.name}/out/{name}"), "name": name, "type": kind, "linkIds": [link]}
        )

    def _link(self, start: int, out: int, end: int, slot: int, kind: str) -> int:
        number = len(self.links) + 1
        self.links.append(
            {
                "id": number,
                "origin_id": start,
                "origin_slot": out,
                "target_id": end,
                "target_slot": slot,
                "type": kind,
            }
        )
        return number

    def save(self, path: Path, properties: Mapping[str, Any]) -> None:
        """Write the blueprint; ``properties`` are those of the node outside."""
        nodes = [
            {**node, "pos": _enlarged(node["pos"]), "size": _enlarged(node["size"])}
            for node in self.graph.nodes
        ]
        left = min(node["pos"][0] for node in nodes) - 260
        right = max(node["pos"][0] + node["size"][0] for node in nodes) + 100
        for column, ends in ((left, self.inputs), (right, self.outputs)):
            for row, end in enumerate(ends):
                end["pos"] = [column + 100, 24 + _ROW * row]
        definition = {
            "id": _id(self.name),
            "version": 1,
            "state": {
                "lastGroupId": 0,
                "lastNodeId": len(nodes),
                "lastLinkId": len(self.links),
                "lastRerouteId": 0,
            },
            "revision": 0,
            "config": {},
            "name": self.name,
            "description": self.description,
            "category": self.category,
            "inputNode": {"id": _IN, "bounding": [left, 0, 128, 48 + _ROW * len(self.inputs)]},
            "outputNode": {"id": _OUT, "bounding": [right, 0, 128, 48 + _ROW * len(self.outputs)]},
            "inputs": self.inputs,
            "outputs": self.outputs,
            "widgets": [],
            "nodes": nodes,
            "groups": [],
            "links": self.links,
            "extra": {"workflowRendererVersion": "Vue"},
        }
        outside = {
            "id": 1,
            "type": definition["id"],
            "pos": [0, 0],
            "size": [400, 480],
            "flags": {},
            "order": 0,
            "mode": 0,
            "inputs": self.shown,
            "outputs": [{"name": end["name"], "type": end["type"], "links": []} for end in self.outputs],
            "title": self.name,
            "properties": dict(properties),
            "widgets_values": [],
        }
        blueprint = {
            "id": _id(f"{self.name}/file"),
            "revision": 0,
            "last_node_id": 1,
            "last_link_id": 0,
            "nodes": [outside],
            "links": [],
            "version": 0.4,
            "definitions": {"subgraphs": [definition]},
            "extra": {},
        }
        path.write_text(json.dumps(blueprint, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _enlarged(values: list[float]) -> list[int]:
    return [round(value * NODES2_SCALE) for value in values]


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"hifi-portrait/subgraph/{name}"))


def portrait_of_a_person(info: Mapping[str, Any]) -> Subgraph:
    """Build the main job as one node: photos, prompt, pose and expression in, a portrait out."""
    p = Portrait(info)
    job = p.main_job(folder="")
    whole = Subgraph(
        p.g,
        NAME,
        "A portrait that keeps one person's identity from several photos, in the pose and expression that "
        "you set. Made by the tiny model that comes with HiFi-Portrait; open it to use SDXL.",
        "HiFi Portrait",
    )
    whole.expose(job.faces, "images", "photos")
    whole.expose(job.positive, "text", "prompt")
    sliders = info["HiFiPortraitGenerateLandmarks"]["input"]["optional"]
    for slider in SLIDERS:
        whole.expose(job.landmarks, slider, sliders[slider][1]["display_name"])
    whole.give(job.decode, "IMAGE")
    assert p.g.node(job.positive)["widgets_values"] == [PROMPT]
    return whole


BLUEPRINTS = {NAME: portrait_of_a_person}


def write(info: Mapping[str, Any]) -> None:
    """Write all blueprints."""
    FOLDER.mkdir(exist_ok=True)
    for name, build in BLUEPRINTS.items():
        build(info).save(FOLDER / f"{name}.json", origin(info["HiFiPortraitApplyHiFiNet"]))


if __name__ == "__main__":
    from harness.host import running_host

    with running_host() as host:
        write(host.object_info())
    print(f"{len(BLUEPRINTS)} blueprints in {FOLDER}")

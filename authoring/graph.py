"""Builds a workflow in the front end's own format from what the host says of its nodes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import ROOT

from .model_files import models_of

DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
"""A choice that brings inputs of its own, on newer hosts; its options are ``{"key": ..., "inputs": ...}``."""
WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", DYNAMIC_COMBO)
GROWING = ("COMFY_AUTOGROW_V3",)
"""Inputs of newer hosts whose sockets the front end makes by itself."""
SEED_INPUTS = ("seed", "noise_seed")
NODES2_SCALE = 1.2
YELLOW = {"color": "#432", "bgcolor": "#653"}
CORE = {"cnr_id": "comfy-core", "ver": "0.3.75"}
"""Where the host's own nodes come from: ComfyUI, from the oldest version that is supported."""


class Graph:
    """A workflow under construction.

    Parameters
    ----------
    object_info
        The host's ``/object_info``.
    """

    def __init__(self, object_info: Mapping[str, Any]) -> None:
        self.info = object_info
        self.nodes: list[dict[str, Any]] = []
        self.links: list[list[Any]] = []
        self.groups: list[dict[str, Any]] = []

    def add(
        self,
        kind: str,
        pos: tuple[int, int],
        size: tuple[int, int],
        *,
        title: str | None = None,
        mode: int = 0,
        properties: Mapping[str, Any] | None = None,
        colours: Mapping[str, str] | None = None,
        **values: Any,
    ) -> int:
        """Add a node; ``values`` are widget values by input name. Returns its id.

        Raises
        ------
        KeyError
            The host has no such node, or the node no such input.
        """
        definition = self.info[kind]
        left = dict(values)
        inputs, widgets = _inputs(definition["input"], left)
        if left:
            raise KeyError(f"{kind} has no input {', '.join(left)}")
        # The front end lists sockets before inputs that have a widget.
        inputs.sort(key=lambda entry: "widget" in entry)
        names = definition.get("output_name", definition["output"])
        outputs = [
            {"name": name, "type": type_, "links": None}
            for name, type_ in zip(names, definition["output"], strict=True)
        ]
        return self._append(
            kind,
            pos,
            size,
            inputs,
            outputs,
            widgets,
            title,
            mode,
            {
                **origin(definition),
                "Node name for S&R": kind,
                **models_of(kind, {**_defaults(definition["input"]), **values}),
                **(properties or {}),
            },
            colours,
        )

    def note(self, pos: tuple[int, int], size: tuple[int, int], text: str, title: str = "Read me") -> int:
        """Add a note in Markdown."""
        return self._append("MarkdownNote", pos, size, [], [], [text.strip()], title, 0, {}, YELLOW)

    def link(self, source: int, output: str, target: int, input_: str) -> None:
        """Connect an output to an input, both by name."""
        start, end = self.node(source), self.node(target)
        out = next((i for i, o in enumerate(start["outputs"]) if o["name"] == output), None)
        inp = next((i for i, o in enumerate(end["inputs"]) if o["name"] == input_), None)
        if out is None or inp is None:
            raise KeyError(f"{start['type']}.{output} -> {end['type']}.{input_}: no such output or input")
        link_id = len(self.links) + 1
        self.links.append([link_id, source, out, target, inp, start["outputs"][out]["type"]])
        start["outputs"][out]["links"] = [*(start["outputs"][out]["links"] or []), link_id]
        end["inputs"][inp]["link"] = link_id

    def group(self, title: str, box: tuple[int, int, int, int], color: str = "#3f789e") -> None:
        """Frame a region: x, y, width, height."""
        self.groups.append(
            {"id": len(self.groups) + 1, "title": title, "bounding": list(box), "color": color, "flags": {}}
        )

    def node(self, node_id: int) -> dict[str, Any]:
        """Return a node by id."""
        return self.nodes[node_id - 1]

    def save(self, path: Path) -> None:
        """Write the workflow.

        Nodes 2.0 needs a fifth more room. Front ends scale a workflow that was laid out for the other
        renderer, but 1.32 moves nodes and groups apart when it enlarges; so the file is laid out for
        Nodes 2.0 and says so, and the canvas makes it smaller, which goes well.
        """

        def enlarged(values: list[float]) -> list[int]:
            return [round(value * NODES2_SCALE) for value in values]

        nodes = [
            {**node, "pos": enlarged(node["pos"]), "size": enlarged(node["size"])} for node in self.nodes
        ]
        groups = [{**group, "bounding": enlarged(group["bounding"])} for group in self.groups]
        workflow = {
            "id": _stable_id(path.stem),
            "revision": 0,
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": nodes,
            "links": self.links,
            "groups": groups,
            "config": {},
            "extra": {"workflowRendererVersion": "Vue"},
            "version": 0.4,
        }
        path.write_text(json.dumps(workflow, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def _append(
        self,
        kind: str,
        pos: tuple[int, int],
        size: tuple[int, int],
        inputs: list,
        outputs: list,
        widgets: list,
        title: str | None,
        mode: int,
        properties: Mapping[str, Any],
        colours: Mapping[str, str] | None,
    ) -> int:
        node = {
            "id": len(self.nodes) + 1,
            "type": kind,
            "pos": list(pos),
            "size": list(size),
            "flags": {},
            "order": len(self.nodes),
            "mode": mode,
            "inputs": inputs,
            "outputs": outputs,
            "properties": dict(properties),
            "widgets_values": widgets,
            **(colours or {}),
        }
        if title:
            node["title"] = title
        self.nodes.append(node)
        return len(self.nodes)


def origin(definition: Mapping[str, Any]) -> dict[str, str]:
    """Return by which a shared workflow finds the pack of a node: its registry id and version.

    Parameters
    ----------
    definition
        The host's description of the node.
    """
    if not str(definition.get("python_module", "")).startswith("custom_nodes"):
        return dict(CORE)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    name, version = (re.search(rf'^{key} = "(.+)"$', project, re.MULTILINE) for key in ("name", "version"))
    assert name is not None
    assert version is not None
    return {"cnr_id": name[1], "ver": version[1]}


def _defaults(definition: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the values of the widgets that nobody set."""
    specs = {**definition.get("required", {}), **definition.get("optional", {})}
    return {name: spec[1]["default"] for name, spec in specs.items() if "default" in dict(*spec[1:2])}


def choices_of(spec: Sequence[Any]) -> list[Any] | None:
    """Return the values that an input of the host's definitions offers; None where it is no choice.

    What a dynamic combo's choice brings along is left to the front end, which takes its defaults.
    """
    type_, options = spec[0], spec[1] if len(spec) > 1 else {}
    if type_ == DYNAMIC_COMBO:
        return [choice["key"] for choice in options["options"]]
    return type_ if isinstance(type_, list) else options.get("options")


def _stable_id(name: str) -> str:
    import uuid

    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"hifi-portrait/{name}"))


def _inputs(
    definition: Mapping[str, Mapping[str, Any]], left: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[Any]]:
    """Slots and widget values of a node; values that are used are taken out of ``left``."""
    inputs: list[dict[str, Any]] = []
    widgets: list[Any] = []
    for section in ("required", "optional"):
        for name, spec in definition.get(section, {}).items():
            type_, options = spec[0], spec[1] if len(spec) > 1 else {}
            if type_ in GROWING:
                continue
            is_widget = isinstance(type_, list) or type_ in WIDGET_TYPES
            if not is_widget or options.get("forceInput"):
                slot = {"name": name, "type": type_, "link": None}
                inputs.append(slot if section == "required" else {**slot, "shape": 7})
                continue
            choices = choices_of(spec) or []
            default = options.get("default", choices[0] if choices else "")
            widgets.append(left.pop(name, default))
            inputs.append(
                {
                    "name": name,
                    "type": "COMBO" if isinstance(type_, list) else type_,
                    "widget": {"name": name},
                    "link": None,
                }
            )
            if name in SEED_INPUTS and options.get("control_after_generate"):
                widgets.append(left.pop("control_after_generate", "fixed"))
            if options.get("image_upload") or options.get("video_upload"):
                widgets.append("image")
    return inputs, widgets

"""The shipped workflows, opened and set for a run by the kinds of their nodes."""

from __future__ import annotations

import copy
import json
from typing import Any

from . import ROOT
from .host import Host

Prompt = dict[str, dict[str, Any]]
"""A workflow in API format: node id to ``class_type`` and ``inputs``."""

FIRST_PORTRAIT = "first-portrait"


def shipped(name: str) -> dict[str, Any]:
    """Return a workflow of ``example_workflows/`` as it is shared, in UI format."""
    return json.loads((ROOT / "example_workflows" / f"{name}.json").read_text(encoding="utf-8"))


def prompt_of(host: Host, name: str) -> Prompt:
    """Return a shipped workflow in API format."""
    return host.to_api(shipped(name))


def ids(prompt: Prompt, class_type: str) -> list[str]:
    """Return the ids of all nodes of one kind, in order.

    Raises
    ------
    KeyError
        There is none.
    """
    found = [node_id for node_id, node in prompt.items() if node["class_type"] == class_type]
    if not found:
        raise KeyError(f"the workflow has no {class_type}")
    return found


def with_inputs(prompt: Prompt, class_type: str, **inputs: Any) -> Prompt:
    """Return a copy in which every node of one kind has these inputs."""
    changed = copy.deepcopy(prompt)
    for node_id in ids(changed, class_type):
        changed[node_id]["inputs"].update(inputs)
    return changed

"""Inputs that the pack's nodes have on newer hosts only, so that their texts are written on any host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INPUTS: dict[str, dict[str, list[Any]]] = {
    "HiFiPortraitLoadReferenceFaces": {
        "photos": [
            "COMFY_AUTOGROW_V3",
            {"tooltip": "Photos of the person, a socket each: another one appears with every link."},
        ]
    }
}
"""Optional inputs by node, as newer hosts describe them; what is shown of them is name and tooltip."""


def complete(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return a host's ``/object_info`` with the inputs that only newer hosts have; the host's own win."""
    result = dict(info)
    for kind, inputs in INPUTS.items():
        if kind in result:
            own = result[kind]["input"]
            result[kind] = {
                **result[kind],
                "input": {**own, "optional": {**inputs, **own.get("optional", {})}},
            }
    return result

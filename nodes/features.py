"""What nodes tell hosts that have a place for it: search words, essentials, lasting previews."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..patching import host
from .aliases import ALIASES

ESSENTIALS: dict[str, str] = {
    "HiFiPortraitLoadReferenceFaces": "Image Generation",
    "HiFiPortraitGenerateLandmarks": "Image Generation",
    "HiFiPortraitApplyHiFiNet": "Image Generation",
    "HiFiPortraitCompareFaces": "Image Tools",
    "HiFiPortraitRenderHead": "Image Tools",
    "HiFiPortraitTransferSkinDetail": "Image Tools",
}
"""The category of the host's Essentials tab, for the nodes that belong there."""
PREVIEWS = frozenset(
    {
        "HiFiPortraitLoadFaceAnalyzer",
        "HiFiPortraitLoadReferenceFaces",
        "HiFiPortraitRefineFaces",
        "HiFiPortraitMixIdentities",
        "HiFiPortraitLoadIdentity",
        "HiFiPortraitGenerateLandmarks",
        "HiFiPortraitLandmarksFromPhoto",
        "HiFiPortraitLandmarkSequence",
        "HiFiPortraitInterpolateLandmarks",
        "HiFiPortraitExpressionSheet",
        "HiFiPortraitDrawLandmarks",
        "HiFiPortraitFuseHead",
        "HiFiPortraitRenderHead",
        "HiFiPortraitLoadHead",
    }
)
"""Nodes that show something and are no output nodes: the host keeps it for when the page is loaded again."""


def add_features(nodes: list[type[io.ComfyNode]], schema: Any = io.Schema) -> list[type[io.ComfyNode]]:
    """Give every node what the host's schema has a place for.

    Parameters
    ----------
    nodes : list[type[io.ComfyNode]]
        Node classes; changed in place.
    schema : Any
        The host's schema class.
    """
    fields = host.schema_fields(schema)
    for node in nodes:
        _wrap(node, fields)
    return nodes


def _wrap(node: type[io.ComfyNode], fields: frozenset[str]) -> None:
    describe = node.define_schema

    def define_schema(cls: type[io.ComfyNode]) -> io.Schema:
        described: Any = describe()
        name = described.node_id
        said = {
            "search_aliases": list(ALIASES.get(name, ())),
            "essentials_category": ESSENTIALS.get(name),
            "has_intermediate_output": name in PREVIEWS,
        }
        for field, value in said.items():
            if field in fields and value:
                setattr(described, field, value)
        return described

    node.define_schema = classmethod(define_schema)  # type: ignore[method-assign,assignment]

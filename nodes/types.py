"""The sockets between nodes, named as in ``docs/architecture.md``, and what their schemas share."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

FaceAnalyzer = io.Custom("FACE_ANALYZER")
ReferenceFaces = io.Custom("REFERENCE_FACES")
Identity = io.Custom("IDENTITY")
FaceLandmarks3D = io.Custom("FACE_LANDMARKS_3D")
Head = io.Custom("HEAD")
HiFiNet = io.Custom("HIFI_NET")

CATEGORY = "HiFi Portrait"


def advanced(widget: Any) -> Any:
    """Mark an input as advanced, so that front ends that can fold such inputs do."""
    if hasattr(widget, "advanced"):
        widget.advanced = True
    else:
        widget.extra_dict = {**widget.extra_dict, "advanced": True}
    return widget

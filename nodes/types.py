"""The sockets between nodes, named as in ``docs/architecture.md``, and what their schemas share."""

from __future__ import annotations

from comfy_api.latest import io

FaceAnalyzer = io.Custom("FACE_ANALYZER")
ReferenceFaces = io.Custom("REFERENCE_FACES")
Identity = io.Custom("IDENTITY")
FaceLandmarks3D = io.Custom("FACE_LANDMARKS_3D")
Head = io.Custom("HEAD")
FaceCrops = io.Custom("FACE_CROPS")
HiFiNet = io.Custom("HIFI_NET")
BoundingBox = io.Custom("BOUNDING_BOX")
"""The host's own, by name: hosts that have no nodes of it yet have packs that do."""

CATEGORY = "HiFi Portrait"

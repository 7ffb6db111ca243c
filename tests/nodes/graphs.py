"""Parts of graphs that several tests of nodes begin with."""

from __future__ import annotations

from typing import Any


def two_photos(host: Any, photos: Any, folder: str) -> dict[str, dict[str, Any]]:
    """Return nodes 1 and 2, an analyzer and the faces of two photos put into an input folder."""
    for name in ("obama", "obama2"):
        host.upload(photos[name], f"{folder}/{name}.jpg")
    return {
        "1": {
            "class_type": "HiFiPortraitLoadFaceAnalyzer",
            "inputs": {"analyzer": "open (YuNet + SFace)", "provider": "auto", "missing_files": "ask"},
        },
        "2": {
            "class_type": "HiFiPortraitLoadReferenceFaces",
            "inputs": {
                "analyzer": ["1", 0],
                "folder": folder,
                "pick": "common person",
                "index": 0,
                "other_people": "drop",
            },
        },
    }

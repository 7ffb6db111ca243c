"""Which model files a node needs as it stands in a template: its ``properties.models``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hifi_portrait.faces.files import ModelFile
from hifi_portrait.faces.published import BY_NAME, SDXL_BASE

_CHOICES = {"InstantID (warm start)": "instantid", SDXL_BASE.name: "sdxl"}
"""Values of widgets that stand for a group of files under another name."""
_WIDGETS = {
    "HiFiPortraitLoadFaceAnalyzer": "analyzer",
    "HiFiPortraitLoadHiFiNet": "checkpoint",
    "CheckpointLoaderSimple": "ckpt_name",
}


def models_of(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node's property ``models``, or nothing for a node that needs no files.

    Parameters
    ----------
    kind
        The node's id.
    values
        Of its widgets.
    """
    choice = values.get(_WIDGETS.get(kind, ""))
    files = BY_NAME.get(_CHOICES.get(str(choice), str(choice)), ())
    return {"models": [described(file) for file in files]} if files else {}


def described(file: ModelFile) -> dict[str, str]:
    """Return a file as front ends read it."""
    return {
        "name": file.name,
        "url": file.url,
        "hash": file.sha256,
        "hash_type": "SHA256",
        "directory": file.directory,
    }

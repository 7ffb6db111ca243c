"""The head of README's first person, for pictures of the templates."""

from __future__ import annotations

import base64

from hifi_portrait.faces.open_analyzer import OpenAnalyzer
from hifi_portrait.faces.pictures import NamedImage, read_image
from hifi_portrait.faces.references import load_references
from hifi_portrait.head.fuse import fuse_head
from hifi_portrait.head.widget import widget_file

from harness import DEV
from harness.packages import photos


def person() -> str:
    """Return the head of README's first picture as the face widget gets it, base64."""
    images = [
        NamedImage(name, read_image(path)) for name, path in photos().items() if name.startswith("obama")
    ]
    head = fuse_head(load_references(images, OpenAnalyzer([DEV / "models" / "hifi_portrait"])))
    return base64.b64encode(widget_file(head, 1024)).decode()

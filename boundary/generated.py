"""The statement that a picture was made by a trained model, for machines to read.

IPTC's property *Digital Source Type* with the value ``trainedAlgorithmicMedia`` in an XMP packet (IPTC Photo
Metadata Standard 2023.1, IPTC's guidance on synthetic media), which search engines and stock agencies read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .files import written
from .licences import FileLicence, commercial_use, merged, summary

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""Media made by a model that was trained on samples."""
TOOL = "HiFi-Portrait for ComfyUI"
XMP_KEY = "XML:com.adobe.xmp"
"""Keyword under which PNG files carry XMP (XMP Specification Part 3)."""
KEY = "hifi_portrait"
"""Keyword of `statement`."""


def statement(licences: Iterable[FileLicence]) -> dict[str, Any]:
    """Return what a picture says of itself, as JSON: made by what, and what it may be used for."""
    entries = merged(licences)
    return {
        "generated": True,
        "digital_source_type": DIGITAL_SOURCE_TYPE,
        "tool": TOOL,
        "commercial_use": commercial_use(entries),
        "summary": summary(entries),
        "licences": [asdict(entry) for entry in entries],
    }


def xmp(licences: Iterable[FileLicence]) -> str:
    """Return an XMP packet: digital source type, tool, and what the picture may be used for.

    Without double quotes and line breaks, so that it stays a packet inside of a JSON text too: the host's own
    saving nodes write what they are given as JSON.
    """
    usage = escape(summary(licences), {"'": "&apos;", '"': "&quot;"})
    usage = "".join(c if ord(c) < 128 else f"&#{ord(c)};" for c in usage).replace("\\", "/")
    return (
        "<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>"
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'>"
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        "<rdf:Description rdf:about=''"
        " xmlns:Iptc4xmpExt='http://iptc.org/std/Iptc4xmpExt/2008-02-29/'"
        " xmlns:xmp='http://ns.adobe.com/xap/1.0/'"
        " xmlns:xmpRights='http://ns.adobe.com/xap/1.0/rights/'"
        f" Iptc4xmpExt:DigitalSourceType='{DIGITAL_SOURCE_TYPE}'"
        f" xmp:CreatorTool='{TOOL}'>"
        f"<xmpRights:UsageTerms><rdf:Alt><rdf:li xml:lang='x-default'>{usage}</rdf:li></rdf:Alt>"
        "</xmpRights:UsageTerms></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
    )


def save_png(path: Path, pixels: np.ndarray, texts: Mapping[str, str], packet: str | None) -> None:
    """Write a PNG file with texts and an XMP packet, whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    pixels : np.ndarray
        (H, W, 3 or 4) uint8.
    texts : mapping
        Keyword to text, as the host writes ``prompt`` and ``workflow``.
    packet : str or None
        From `xmp`.

    Raises
    ------
    SaveError
        The file cannot be written; one line.
    """
    info = PngInfo()
    for key, value in texts.items():
        info.add_text(key, value)
    if packet is not None:
        info.add_itxt(XMP_KEY, packet)
    with written(path) as part:
        Image.fromarray(pixels).save(part, "PNG", pnginfo=info, compress_level=4)

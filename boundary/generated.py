"""The statement that a picture was made by a trained model, for machines to read.

IPTC's property *Digital Source Type* with the value ``trainedAlgorithmicMedia`` in an XMP packet (IPTC Photo
Metadata Standard 2023.1, IPTC's guidance on synthetic media), which search engines and stock agencies read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape

from .licences import FileLicence, commercial_use, merged, summary

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""Media made by a model that was trained on samples."""
TOOL = "HiFi-Portrait for ComfyUI"
XMP_KEY = "XML:com.adobe.xmp"
"""Keyword under which PNG files carry XMP (XMP Specification Part 3)."""
KEY = "hifi_portrait"
"""Keyword of `statement`."""


def statement(licences: Iterable[FileLicence], consent: Iterable[str] = ()) -> dict[str, Any]:
    """Return what a picture says of itself, as JSON.

    Parameters
    ----------
    licences : iterable of FileLicence
        Of every model file behind the picture.
    consent : iterable of str
        Notes of the identities in it.
    """
    entries = merged(licences)
    return {
        "generated": True,
        "digital_source_type": DIGITAL_SOURCE_TYPE,
        "tool": TOOL,
        "commercial_use": commercial_use(entries),
        "summary": summary(entries),
        "licences": [vars(entry) for entry in entries],
        "consent": [note for note in consent if note],
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

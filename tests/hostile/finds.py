"""Tells finds apart, and keeps one of each kind in ``corpus/``."""

from __future__ import annotations

import base64
import json
import lzma
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .attack import Find

CORPUS = Path(__file__).parent / "corpus"
LARGEST = 8_000
"""Bytes of a kept input, compressed."""


def kinds(finds: Iterable[Find]) -> dict[str, list[Find]]:
    """Group finds by target, kind of ending, and the place in the code."""
    groups: dict[str, list[Find]] = {}
    for find in finds:
        place = re.search(r"; ([^;]*:\d+)\]$", find.text)
        text = place[1] if place else re.sub(r"\d+", "0", find.text)[:80]
        parts = (find.target, find.kind, find.text.split(":")[0][:30], text.split("/hifi_portrait/")[-1])
        key = " · ".join(parts)
        groups.setdefault(key, []).append(find)
    return groups


def keep(target: str, value: Any, name: str) -> Path | None:
    """Write an input into the corpus; None where it is too large."""
    packed = lzma.compress(json.dumps(_packed(value)).encode())
    if len(packed) > LARGEST:
        return None
    path = CORPUS / target.replace(" ", "_") / f"{name}.json.xz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed)
    return path


def kept() -> list[tuple[str, str, Any]]:
    """Return target, name and value of every input of the corpus."""
    found = []
    for path in sorted(CORPUS.glob("*/*.json.xz")):
        value = _unpacked(json.loads(lzma.decompress(path.read_bytes())))
        found.append((path.parent.name.replace("_", " "), path.name.removesuffix(".json.xz"), value))
    return found


def _packed(value: Any) -> Any:
    """Return a value as JSON can hold it: bytes, and what JSON would change, are named."""
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, tuple | list):
        return {type(value).__name__: [_packed(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[key, _packed(item)] for key, item in value.items()]}
    return value


def _unpacked(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "bytes":
        return base64.b64decode(held)
    if kind == "dict":
        return {key: _unpacked(item) for key, item in held}
    items = [_unpacked(item) for item in held]
    return tuple(items) if kind == "tuple" else items

"""Heads as files: one safetensors file each. A head is a photograph: it shows the person's face."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor

from ..boundary import text
from ..boundary.contents import Expected
from ..boundary.files import PRIVATE, written
from ..boundary.licences import licences_in, to_json
from ..boundary.parse import BadJsonError, parse_json
from ..boundary.saved import SavedKind
from ..boundary.tensors import BadTensorFileError
from .light import TERMS
from .model import HeadModel
from .records import Head

FORMAT = "hifi-portrait-textured-head"
VERSION = 1
TENSORS = {
    "geometry": Expected(("places", 3), -20.0, 20.0),
    "shape": Expected(("shape",), -20.0, 20.0),
    "expression": Expected((52,), 0.0, 1.0),
    "light": Expected((TERMS, 3), -20.0, 20.0),
    "texture": Expected(("texture", "texture", 3), 0, 255, eight_bit=True),
    "opacity": Expected(("texture", "texture"), 0, 255, eight_bit=True),
    "confidence": Expected(("texture", "texture"), 0, 255, eight_bit=True),
}
LENGTHS = {"places": (3, 1 << 16), "shape": (1, 512), "texture": (256, 2048)}
_KIND = SavedKind("head", "Save Head", FORMAT, VERSION, TENSORS, LENGTHS)
_LONGEST_LIST = 1 << 16


def save_head(head: Head, path: str | Path) -> Path:
    """Write a head whole or not at all; its folder is made when missing.

    Returns
    -------
    Path
        The file; only its owner may read it (POSIX), because it shows somebody's face.

    Raises
    ------
    ValueError
        The file cannot be written; one line with the remedy.
    """
    path = Path(path)
    arrays, texts = packed(head)
    texts |= _KIND.stamp()
    with written(path, PRIVATE) as part:
        save_file(arrays, part, metadata=texts)
    return path


def load_head(path: str | Path) -> Head:
    """Read a head.

    Raises
    ------
    ValueError
        The file is missing, damaged, or not a head; one line names it and the remedy.
    """
    stem = Path(path).stem
    return _KIND.read(path, lambda texts, tensors: unpacked(tensors, texts, f"head {stem}"))


def packed(head: Head, prefix: str = "") -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return a head's arrays and texts for a file, their names with a prefix."""
    arrays = {f"{prefix}{name}": np.ascontiguousarray(getattr(head, name)) for name in TENSORS}
    texts = {
        "sources": json.dumps(head.sources),
        "shares": json.dumps(head.shares),
        "notes": json.dumps(head.notes),
        "licences": to_json(head.licences),
    }
    return arrays, {f"{prefix}{name}": value for name, value in texts.items()}


def unpacked(tensors: Mapping[str, Tensor], texts: Mapping[str, str], what: str) -> Head:
    """Return the head of a file's checked tensors and its texts, their names without a prefix.

    Raises
    ------
    BadTensorFileError
        The texts are damaged, or the head belongs to another version's mesh.
    """
    # Through float: numpy has none of the types of eight bits.
    arrays = {k: (t if t.dtype == torch.uint8 else t.float()).numpy() for k, t in tensors.items()}
    places = len(HeadModel.load().mean)
    if len(arrays["geometry"]) != places:
        raise BadTensorFileError(f"{len(arrays['geometry'])} places, this version's head has {places}")
    sources, notes = (_texts(texts, key) for key in ("sources", "notes"))
    return Head(
        **arrays,
        sources=sources,
        shares=_shares(texts, len(sources)),
        notes=notes,
        licences=licences_in(texts, what),
    )


def _list(texts: Mapping[str, str], key: str) -> list[Any]:
    try:
        value = parse_json(texts.get(key, ""), _LONGEST_LIST, 1)
    except BadJsonError as error:
        raise BadTensorFileError(f"the list of {key} is {error}") from None
    if not isinstance(value, list):
        raise BadTensorFileError(f"{key} are no list")
    return value


def _texts(texts: Mapping[str, str], key: str) -> tuple[str, ...]:
    values = _list(texts, key)
    if not all(isinstance(item, str) for item in values):
        raise BadTensorFileError(f"{key} are not texts")
    return tuple(text.printable(item, 300) for item in values)


def _shares(texts: Mapping[str, str], count: int) -> tuple[float, ...]:
    values = _list(texts, "shares")
    numbers = [float(item) for item in values if type(item) in (int, float) and 0 <= item <= 1]
    if len(numbers) != len(values) or len(values) != count:
        raise BadTensorFileError(f"shares are not {count} numbers in 0..1")
    return tuple(numbers)

"""Identities as files: one safetensors file each, in ``models/hifi_portrait/identities``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from ..boundary import text
from ..boundary.contents import Expected
from ..boundary.files import PRIVATE, written
from ..boundary.licences import licences_in, to_json
from ..boundary.parse import BadJsonError, parse_json
from ..boundary.saved import SavedKind, names_in, path_of
from ..boundary.tensors import BadTensorFileError
from ..head import store as head_store
from ..head.records import Head
from ..models.tokens import DetailTokens
from .identity import EXPRESSIONS, Identity

FORMAT = "hifi-portrait-identity"
VERSION = 1
_LONGEST_TEXT = 120
_LONGEST_LIST = 1 << 18
LONGEST_CONSENT = 2000
_LARGEST = 1e4
"""Half precision ends at 65504; tokens of trained networks stay below 100."""
_TENSORS = {
    "tokens": Expected((1, "identity tokens", "width"), -_LARGEST, _LARGEST),
    "detail.tokens": Expected((1, "detail tokens", "detail width"), -_LARGEST, _LARGEST),
    "detail.coords": Expected((1, "detail tokens", 3), -8.0, 8.0),
    "detail.bias": Expected((1, "detail tokens"), -_LARGEST, _LARGEST, minus_infinity=True),
    "detail.texture": Expected((1, 4, "texture", "texture"), -_LARGEST, _LARGEST, optional=True),
    "token_bias": Expected((1, "identity tokens"), -_LARGEST, _LARGEST, optional=True),
    "embedding": Expected(("embedding",), -1.01, 1.01),
    "shape": Expected(("shape",), -100.0, 100.0),
    "expression": Expected((EXPRESSIONS,), -0.01, 1.01),
}
_HEAD = "head."
"""What the textured head's tensors and texts begin with, where the artist put one in."""
_TENSORS |= {
    f"{_HEAD}{key}": replace(
        expected,
        optional=True,
        shape=tuple(side if isinstance(side, int) else f"{_HEAD}{side}" for side in expected.shape),
    )
    for key, expected in head_store.TENSORS.items()
}
_LENGTHS = {
    "identity tokens": (1, 4096),
    "width": (1, 8192),
    "detail tokens": (0, 1 << 16),
    "detail width": (0, 4096),
    "texture": (8, 2048),
    "embedding": (1, 8192),
    "shape": (0, 512),
    **{f"{_HEAD}{key}": limits for key, limits in head_store.LENGTHS.items()},
}
_KIND = SavedKind("identity", "Save Identity", FORMAT, VERSION, _TENSORS, _LENGTHS)
_WHAT = "an identity"


def identity_path(folder: str | Path, name: str) -> Path:
    """Return the file of an identity; never outside of ``folder``."""
    return path_of(folder, name, _WHAT)


def save_identity(
    identity: Identity, folder: str | Path, name: str, overwrite: bool = True, consent: str | None = None
) -> Path:
    """Write an identity, atomically.

    Parameters
    ----------
    folder
        Made when missing.
    name
        See `boundary.saved.check_name`.
    overwrite
        False: an existing file is kept, and the new one gets a number.
    consent
        A note on the person's consent, at most `LONGEST_CONSENT` characters; None: the identity's own.

    Returns
    -------
    Path
        The file; only its owner may read it (POSIX), because it holds biometric data.

    Raises
    ------
    ValueError
        The name cannot name a file, or the file cannot be written; one line with the remedy.
    """
    path = path_of(folder, name, _WHAT, overwrite)
    tensors = {
        "tokens": identity.tokens,
        "detail.tokens": identity.detail.tokens,
        "detail.coords": identity.detail.coords,
        "detail.bias": identity.detail.bias,
        "embedding": identity.embedding,
        "shape": torch.from_numpy(np.asarray(identity.shape, np.float32)),
        "expression": torch.from_numpy(np.asarray(identity.expression, np.float32)),
    }
    if identity.detail.texture is not None:
        tensors["detail.texture"] = identity.detail.texture
    if identity.token_bias is not None:
        tensors["token_bias"] = identity.token_bias
    texts = {
        **_KIND.stamp(),
        "recognizer": identity.recognizer,
        "checkpoint": identity.checkpoint,
        "sources": json.dumps(identity.sources),
        "weights": json.dumps(identity.weights),
        "fingerprint": identity.fingerprint,
        "licences": to_json(identity.licences),
        "consent": check_consent(identity.consent if consent is None else consent),
    }
    if identity.head is not None:
        arrays, more = head_store.packed(identity.head, _HEAD)
        tensors |= {key: torch.from_numpy(array) for key, array in arrays.items()}
        texts |= more
    with written(path, PRIVATE) as part:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part, metadata=texts)
    return path


def load_identity(path: str | Path) -> Identity:
    """Read an identity.

    Raises
    ------
    ValueError
        The file is missing, damaged, or not an identity; one line names it and the remedy.
    """
    stem = Path(path).stem
    return _KIND.read(path, lambda texts, tensors: _identity(texts, tensors, stem))


def _identity(texts: Mapping[str, str], tensors: Mapping[str, torch.Tensor], stem: str) -> Identity:
    sources, weights = _references(texts)
    return Identity(
        tokens=tensors["tokens"],
        detail=DetailTokens(
            tensors["detail.tokens"],
            tensors["detail.coords"],
            tensors["detail.bias"],
            tensors.get("detail.texture"),
        ),
        embedding=tensors["embedding"],
        shape=tensors["shape"].float().numpy(),
        recognizer=_text(texts, "recognizer"),
        checkpoint=_text(texts, "checkpoint"),
        sources=sources,
        weights=weights,
        fingerprint=_text(texts, "fingerprint"),
        expression=tensors["expression"].float().numpy(),
        licences=licences_in(texts, f"identity {stem}"),
        consent=text.printable(texts.get("consent", ""), LONGEST_CONSENT),
        head=_head(tensors, texts, stem),
        token_bias=tensors.get("token_bias"),
    )


def _head(tensors: Mapping[str, torch.Tensor], texts: Mapping[str, str], name: str) -> Head | None:
    """Return the textured head of a file; None where it has none."""
    found = {key.removeprefix(_HEAD): value for key, value in tensors.items() if key.startswith(_HEAD)}
    if not found:
        return None
    missing = [key for key in head_store.TENSORS if key not in found]
    if missing:
        raise BadTensorFileError(f"its head has no {missing[0]}")
    words = {key.removeprefix(_HEAD): value for key, value in texts.items() if key.startswith(_HEAD)}
    return head_store.unpacked(found, words, f"head in identity {name}")


def _text(texts: Mapping[str, str], key: str) -> str:
    value = texts.get(key)
    if value is None or value != text.printable(value, _LONGEST_TEXT):
        raise BadTensorFileError(f"{key} is {text.echoed(value)}")
    return value


def check_consent(note: str) -> str:
    """Return a note on consent on one line.

    Raises
    ------
    ValueError
        It is longer than `LONGEST_CONSENT` characters.
    """
    if len(note) > LONGEST_CONSENT:
        raise ValueError(
            f"the note on consent has {len(note)} characters; keep it to {LONGEST_CONSENT}, and the document "
            "itself elsewhere"
        )
    return text.printable(note.strip())


def _references(texts: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return names and weights of the references."""
    try:
        sources, weights = (
            parse_json(texts.get(key, ""), _LONGEST_LIST, 1) for key in ("sources", "weights")
        )
    except BadJsonError as error:
        raise BadTensorFileError(f"the list of references is {error}") from None
    if not isinstance(sources, list) or not all(isinstance(item, str) for item in sources):
        raise BadTensorFileError("sources are not names")
    if not isinstance(weights, list) or not all(type(item) in (int, float) and item >= 0 for item in weights):
        raise BadTensorFileError("weights are not numbers of at least 0")
    if len(sources) != len(weights) or not sum(weights) > 0:
        raise BadTensorFileError(f"{len(sources)} references have {len(weights)} weights, or only 0")
    return tuple(text.name(item) for item in sources), tuple(float(item) for item in weights)


def list_identities(folder: str | Path) -> list[str]:
    """Return the names of the identities in a folder, sorted; other files are left out."""
    return names_in(folder)

"""Identities as files: one safetensors file each, in ``models/hifi_portrait/identities``."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..models.tokens import DetailTokens
from .identity import Identity

FORMAT = "hifi-portrait-identity"
VERSION = 1
SUFFIX = ".safetensors"
_NAME = re.compile(r"[\w][\w .()\-]{0,99}", re.UNICODE)
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def check_name(name: str) -> str:
    """Return the name of an identity without blanks around and without ``.safetensors``.

    Raises
    ------
    ValueError
        It is empty, too long, not allowed on some systems, or would leave the folder.
    """
    clean = name.strip().removesuffix(SUFFIX).strip()
    if not _NAME.fullmatch(clean) or clean.endswith(".") or _RESERVED.fullmatch(clean):
        raise ValueError(
            f"'{name}' cannot name an identity; use up to 100 letters, digits, blanks, - _ ( ) and ."
        )
    return clean


def identity_path(folder: str | Path, name: str) -> Path:
    """Return the file of an identity; never outside of ``folder``."""
    return Path(folder) / f"{check_name(name)}{SUFFIX}"


def save_identity(identity: Identity, folder: str | Path, name: str, overwrite: bool = True) -> Path:
    """Write an identity, atomically.

    Parameters
    ----------
    folder
        Made when missing.
    name
        See `check_name`.
    overwrite
        False: an existing file is kept, and the new one gets a number.

    Returns
    -------
    Path
        The file.
    """
    path = identity_path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    number = 2
    while not overwrite and path.exists():
        path = identity_path(folder, f"{check_name(name)} {number}")
        number += 1
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
    texts = {
        "format": FORMAT,
        "format_version": str(VERSION),
        "recognizer": identity.recognizer,
        "checkpoint": identity.checkpoint,
        "sources": json.dumps(identity.sources),
        "weights": json.dumps(identity.weights),
        "fingerprint": identity.fingerprint,
    }
    handle, temporary = tempfile.mkstemp(suffix=".part", dir=path.parent)
    os.close(handle)
    try:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, metadata=texts)
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)  # noqa: PTH105 - the same on every platform, over an existing file
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def load_identity(path: str | Path) -> Identity:
    """Read an identity.

    Raises
    ------
    ValueError
        The file is missing, damaged, or not an identity; one line names it and the remedy.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path.name}: there is no such identity (looked for {path})")
    try:
        with safe_open(str(path), "pt") as file:
            texts = file.metadata() or {}
            if texts.get("format") != FORMAT:
                raise ValueError(f"{path.name}: not a saved identity; save one with Save Identity")
            if texts.get("format_version") != str(VERSION):
                raise ValueError(
                    f"{path.name}: saved in format {texts.get('format_version')}, this version reads "
                    f"{VERSION}; update the pack, or save the identity again"
                )
            # Copied: a tensor that maps the file keeps Windows from replacing it.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        return Identity(
            tokens=tensors["tokens"],
            detail=DetailTokens(
                tensors["detail.tokens"],
                tensors["detail.coords"],
                tensors["detail.bias"],
                tensors.get("detail.texture"),
            ),
            embedding=tensors["embedding"],
            shape=tensors["shape"].numpy(),
            recognizer=texts["recognizer"],
            checkpoint=texts["checkpoint"],
            sources=tuple(json.loads(texts["sources"])),
            weights=tuple(json.loads(texts["weights"])),
            fingerprint=texts["fingerprint"],
            expression=tensors["expression"].numpy(),
        )
    except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path.name}: damaged ({reason}); save the identity again") from None


def list_identities(folder: str | Path) -> list[str]:
    """Return the names of the identities in a folder, sorted; other files are left out."""
    folder = Path(folder)
    return (
        sorted((path.stem for path in folder.glob(f"*{SUFFIX}") if path.is_file()), key=str.casefold)
        if folder.is_dir()
        else []
    )

"""The checkpoint format: one safetensors file with all networks and how they were made.

Metadata (all text): ``format`` = ``hifi-portrait``, ``format_version``, ``config`` (JSON of `HiFiNetConfig`,
with recognizer, image encoder, landmark style and base), ``provenance`` (JSON: how the weights were made),
``title``, ``id``
(hash of configuration and weights).
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .config import HiFiNetConfig
from .portrait import HiFiPortrait

FORMAT = "hifi-portrait"
VERSION = 2

Upgrade = Callable[[dict[str, str], dict[str, Tensor]], tuple[dict[str, str], dict[str, Tensor]]]

_CONFIG_KEYS_OF_1 = {"pull_gain": "x0_guidance_gain"}
_WEIGHTS_OF_1 = {
    "hifi_net.texture_embedding.to_draft.": "hifi_net.texture_embedding.to_coarse_x0.",
    "hifi_net.texture_embedding.to_pull.": "hifi_net.texture_embedding.to_guidance.",
    "refiner.detail.place.": "refiner.detail.uv_in.",
    ".fusion.place_q.": ".fusion.uv_query.",
    ".fusion.place_k.": ".fusion.uv_key.",
}


def _from_version_1(
    texts: dict[str, str], state: dict[str, Tensor]
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Rename what version 2 calls by the field's own terms; nothing else differs, and the id stays."""
    try:
        config = json.loads(texts.get("config", ""))
    except ValueError:
        return texts, state  # reported when the configuration is read
    if isinstance(config, dict):
        renamed = {_CONFIG_KEYS_OF_1.get(key, key): value for key, value in config.items()}
        texts = {**texts, "config": json.dumps(renamed, sort_keys=True)}
    return texts, {renamed_weight(name): tensor for name, tensor in state.items()}


def renamed_weight(name: str) -> str:
    """Return what a weight of format version 1 is called in version 2."""
    for old, new in _WEIGHTS_OF_1.items():
        name = name.replace(old, new)
    return name


UPGRADES: dict[int, Upgrade] = {1: _from_version_1}
"""For each former version n, what turns metadata and weights of version n into those of n + 1."""

_SHOWN = 4
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


class CheckpointError(ValueError):
    """A file that is not a usable checkpoint; one line naming the file and the remedy."""


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint's metadata says."""

    config: HiFiNetConfig
    provenance: dict[str, object]
    title: str
    version: int
    """Format version of the file, before upgrades."""
    id: str
    """Hash of configuration and weights; identities carry it."""


def save(
    path: str | Path,
    module: nn.Module | Mapping[str, Tensor],
    config: HiFiNetConfig,
    metadata: Mapping[str, object] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a checkpoint, atomically.

    Parameters
    ----------
    path
        Where to; ends in ``.safetensors``.
    module
        `HiFiPortrait`, or its weights by name.
    metadata
        ``title`` (text) and anything JSON can hold on how the weights were made.
    dtype
        Floating-point type in the file; None: as they are.
    """
    path = Path(path)
    state = module.state_dict() if isinstance(module, nn.Module) else module
    tensors = {k: v.detach().to("cpu", dtype or v.dtype).contiguous() for k, v in state.items()}
    provenance = dict(metadata or {})
    texts = {
        "format": FORMAT,
        "format_version": str(VERSION),
        "config": config.to_json(),
        "id": _hash(config, tensors),
        "title": str(provenance.pop("title", path.stem)),
        "provenance": json.dumps(provenance, sort_keys=True),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(suffix=".part", dir=path.parent)
    os.close(handle)
    try:
        save_file(tensors, temporary, metadata=texts)
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)  # noqa: PTH105 - the same on every platform, over an existing file
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_metadata(path: str | Path) -> CheckpointInfo:
    """Read what a checkpoint says of itself, without its weights.

    Raises
    ------
    CheckpointError
        The file is missing, damaged, a pickle, not ours, or of a newer format.
    """
    return _info(Path(path), _upgraded(Path(path), weights=False)[0], _texts(Path(path)))


def load(
    path: str | Path,
    operations: object = nn,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> HiFiPortrait:
    """Load the networks of a checkpoint.

    Weights stay mapped to the file until they are used or moved, as long as neither ``dtype`` nor ``device``
    asks for a copy.

    Parameters
    ----------
    operations
        Namespace of layers: ``torch.nn`` or one of ``comfy.ops``.
    dtype
        Of the parameters; None: as in the file.

    Raises
    ------
    CheckpointError
        As `read_metadata`; or weights do not fit the configuration, which names the first few.
    """
    path = Path(path)
    metadata, state = _upgraded(path, weights=True)
    config = _info(path, metadata, metadata).config
    module = HiFiPortrait(config, operations, device="meta")
    assign(module, state, path.name)
    module.checkpoint_id = metadata.get("id", path.stem)
    if dtype is not None or device is not None:
        module = module.to(device=device, dtype=dtype)
    return module.eval()


def assign(module: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Give ``module`` the weights ``state``, without copying; every name and shape must fit.

    Raises
    ------
    CheckpointError
        Lists missing, unexpected and mis-shaped weights by name, a few of each.
    """
    wanted = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    missing = sorted(set(wanted) - set(state))
    unexpected = sorted(set(state) - set(wanted))
    shapes = [
        f"{k} {_shape(state[k].shape)} instead of {_shape(wanted[k])}"
        for k in sorted(set(wanted) & set(state))
        if tuple(state[k].shape) != wanted[k]
    ]
    parts = [
        f"{label} {_few(names)}"
        for label, names in (("missing:", missing), ("unexpected:", unexpected), ("wrong shape:", shapes))
        if names
    ]
    if parts:
        raise CheckpointError(
            f"{name}: the weights do not fit the checkpoint's own configuration; {'; '.join(parts)}. "
            "Get the file again, or from whoever made it."
        )
    module.load_state_dict(dict(state), strict=True, assign=True)


def _hash(config: HiFiNetConfig, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(config.to_json().encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _shape(shape: tuple[int, ...] | torch.Size) -> str:
    return "x".join(str(n) for n in shape) or "scalar"


def _refuse_other_files(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path.name}: there is no such file (looked for {path})")
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(_PICKLE_STARTS):
        raise CheckpointError(
            f"{path.name}: this is a pickle, which could run code of its maker and is never loaded. Use a "
            ".safetensors checkpoint; InstantID's published files are converted by Load HiFi-Net itself"
        )


def _damaged(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).splitlines()[0].removeprefix("Error while deserializing header: ")
    return CheckpointError(
        f"{path.name}: damaged or not a safetensors file ({reason}; {path.stat().st_size} bytes). "
        "Get the file again."
    )


def _texts(path: Path) -> dict[str, str]:
    _refuse_other_files(path)
    try:
        with safe_open(str(path), "pt") as file:
            texts = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from None
    if texts.get("format") != FORMAT:
        raise CheckpointError(
            f"{path.name}: not a HiFi-Portrait checkpoint. Choose one made by this project; "
            "InstantID's published files are converted by Load HiFi-Net itself"
        )
    return texts


def _upgraded(path: Path, weights: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    texts = _texts(path)
    try:
        version = int(texts.get("format_version", ""))
    except ValueError:
        raise CheckpointError(
            f"{path.name}: its format version {texts.get('format_version')!r} is not a number. "
            "Get the file again."
        ) from None
    if version > VERSION:
        raise CheckpointError(
            f"{path.name}: made with a newer format ({version}; this version reads up to {VERSION}). "
            "Update the pack."
        )
    state: dict[str, Tensor] = {}
    if weights:
        try:
            with safe_open(str(path), "pt") as file:
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        except (SafetensorError, OSError, ValueError) as error:
            raise _damaged(path, error) from None
    for step in range(version, VERSION):
        if step not in UPGRADES:
            raise CheckpointError(f"{path.name}: format version {step} is no longer read. Get a newer file.")
        texts, state = UPGRADES[step](dict(texts), state)
    return texts, state


def _info(path: Path, upgraded: Mapping[str, str], original: Mapping[str, str]) -> CheckpointInfo:
    try:
        config = HiFiNetConfig.from_json(upgraded.get("config", ""))
        provenance = json.loads(upgraded.get("provenance", "{}"))
    except ValueError as error:
        raise CheckpointError(f"{path.name}: {error}. Get the file again.") from None
    title, made = upgraded.get("title", path.stem), upgraded.get("id", path.stem)
    return CheckpointInfo(config, provenance, title, int(original["format_version"]), made)

"""The checkpoint format: one safetensors file with all networks and how they were made.

Metadata (all text): ``format`` = ``hifi-portrait``, ``format_version``, ``config`` (JSON of `HiFiNetConfig`,
with recognizer, image encoder, landmark style and base), ``provenance`` (JSON: how the weights were made),
``title``, ``id``
(hash of configuration and weights).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..boundary import text
from ..boundary.fields import LONGEST_JSON
from ..boundary.files import written
from ..boundary.licences import FileLicence, from_json
from ..boundary.parse import parse_json
from ..boundary.tensors import BadTensorFileError, PickleError, read_header, read_tensors
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
        config = parse_json(texts.get("config", ""), LONGEST_JSON, deepest=3)
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

LARGEST_WEIGHT = 65504.0
"""Half precision ends there."""
_SHOWN = 2
_LICENCES = {"b4f56dfc11b557b5": "Apache-2.0"}
"""By the id of checkpoints of this project from before the metadata named a licence."""
_LONGEST_PROVENANCE = 1 << 20


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
    licences: tuple[FileLicence, ...] = ()
    """What the weights may be used for."""


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
    with written(path) as part:
        save_file(tensors, part, metadata=texts)


def read_metadata(path: str | Path) -> CheckpointInfo:
    """Read what a checkpoint says of itself, without its weights.

    Raises
    ------
    CheckpointError
        The file is missing, damaged, a pickle, not ours, or of a newer format.
    """
    path = Path(path)
    texts, _, version = _upgraded(path, weights=False)
    return _info(path, texts, version)


def load(
    path: str | Path,
    operations: object = nn,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> HiFiPortrait:
    """Load the networks of a checkpoint.

    Every weight is read once, to see that it is a number. They stay mapped to the file, as long as neither
    ``dtype`` nor ``device`` asks for a copy: memory that the system can take back at any time.

    Parameters
    ----------
    operations
        Namespace of layers: ``torch.nn`` or one of ``comfy.ops``.
    dtype
        Of the parameters; None: as in the file.

    Raises
    ------
    CheckpointError
        As `read_metadata`; or weights do not fit the configuration, which names the first few; or one is
        not a number, or too large for half precision.
    """
    path = Path(path)
    texts, state, version = _upgraded(path, weights=True)
    info = _info(path, texts, version)
    module = HiFiPortrait(info.config, operations, device="meta")
    assign(module, state, path.name)
    _check_numbers(state, path.name)
    module.licences = info.licences
    module.checkpoint_id = info.id
    if dtype is not None or device is not None:
        module = module.to(device=device, dtype=dtype)
    return module.train(False)


def assign(module: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Give ``module`` the weights ``state``, without copying; every name and shape must fit.

    Raises
    ------
    CheckpointError
        Lists missing, unexpected and mis-shaped weights by name, a few of each, and those that are not
        floating-point numbers.
    """
    wanted = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    missing = sorted(set(wanted) - set(state))
    unexpected = sorted(set(state) - set(wanted))
    shapes = [
        f"{k} {_shape(state[k].shape)} instead of {_shape(wanted[k])}"
        for k in sorted(set(wanted) & set(state))
        if tuple(state[k].shape) != wanted[k]
    ]
    types = [k for k in sorted(set(wanted) & set(state)) if not state[k].is_floating_point()]
    labelled = {"missing:": missing, "unexpected:": unexpected, "wrong shape:": shapes, "not real:": types}
    parts = [f"{label} {_few(names)}" for label, names in labelled.items() if names]
    if parts:
        start = f"{text.name(name)}: the weights do not fit its configuration; "
        end = ". Get the file again."
        room = text.LONGEST_MESSAGE - len(start) - len(end)
        raise CheckpointError(start + text.shortened("; ".join(parts), room) + end)
    module.load_state_dict(dict(state), strict=True, assign=True)


def _check_numbers(state: Mapping[str, Tensor], name: str) -> None:
    """Refuse weights that are NaN or beyond half precision: what they compute is black, without a word."""
    for key, value in state.items():
        if value.numel():
            # torch finds no extremes among the types of one byte; half precision holds all their numbers.
            numbers = value.half() if value.element_size() == 1 else value
            low, high = (float(bound) for bound in numbers.aminmax())
            if not -LARGEST_WEIGHT <= low <= high <= LARGEST_WEIGHT:  # NaN neither
                raise CheckpointError(
                    f"{text.name(name)}: {text.name(key)} holds numbers from {low:g} to {high:g}. "
                    "Get the file again."
                )


def _hash(config: HiFiNetConfig, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(config.to_json().encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(text.printable(name, 72) for name in names[:_SHOWN]) + more


def _shape(shape: tuple[int, ...] | torch.Size) -> str:
    return "x".join(str(n) for n in shape) or "scalar"


def _damaged(path: Path, error: Exception) -> CheckpointError:
    shown = text.name(path.name)
    if isinstance(error, PickleError):
        return CheckpointError(
            f"{shown}: {error}. Use a .safetensors checkpoint; InstantID's published files are converted by "
            "Load HiFi-Net itself"
        )
    return CheckpointError(f"{shown}: damaged or not a safetensors file ({error}). Get the file again.")


def _read(path: Path, weights: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return metadata and, when they are wanted, weights as they are in the file."""
    shown = text.name(path.name)
    if not path.is_file():
        raise CheckpointError(f"{shown}: there is no such file (looked for {text.printable(path, 160)})")
    try:
        header, state = read_tensors(path) if weights else (read_header(path), {})
    except BadTensorFileError as error:
        raise _damaged(path, error) from None
    texts = dict(header.metadata)
    if texts.get("format") != FORMAT:
        raise CheckpointError(
            f"{shown}: not a HiFi-Portrait checkpoint. Choose one made by this project; "
            "InstantID's published files are converted by Load HiFi-Net itself"
        )
    return texts, state


def _upgraded(path: Path, weights: bool) -> tuple[dict[str, str], dict[str, Tensor], int]:
    """Return metadata and weights in today's format, and the version that the file has."""
    texts, state = _read(path, weights)
    shown = text.name(path.name)
    written_as = texts.get("format_version", "")
    if not re.fullmatch(r"[0-9]{1,6}", written_as):
        raise CheckpointError(
            f"{shown}: its format version {text.echoed(written_as)} is not a number. Get the file again."
        )
    version = int(written_as)
    if version > VERSION:
        raise CheckpointError(
            f"{shown}: made with a newer format ({version}; this version reads up to {VERSION}). "
            "Update the pack."
        )
    for step in range(version, VERSION):
        if step not in UPGRADES:
            raise CheckpointError(f"{shown}: format version {step} is no longer read. Get a newer file.")
        texts, state = UPGRADES[step](dict(texts), state)
    return texts, state, version


def _info(path: Path, texts: Mapping[str, str], version: int) -> CheckpointInfo:
    shown = text.name(path.name)
    try:
        config = HiFiNetConfig.from_json(texts.get("config", ""))
        provenance = parse_json(texts.get("provenance", "{}"), _LONGEST_PROVENANCE, deepest=8)
    except ValueError as error:
        raise CheckpointError(f"{shown}: {error}. Get the file again.") from None
    if not isinstance(provenance, dict):
        raise CheckpointError(f"{shown}: its provenance is not a JSON object. Get the file again.")
    title = text.name(texts.get("title", path.stem))
    # Identities and messages carry it.
    made = text.name(texts.get("id", path.stem))
    try:
        licences = _licences(provenance, made, title)
    except ValueError as error:
        raise CheckpointError(f"{shown}: {error}. Get the file again.") from None
    return CheckpointInfo(config, provenance, title, version, made, licences)


def _licences(provenance: Mapping[str, object], made: str, title: str) -> tuple[FileLicence, ...]:
    if "licences" in provenance:
        return from_json(json.dumps(provenance["licences"]), title)
    licence = provenance.get("licence", _LICENCES.get(made))
    return (FileLicence.of(title, licence if isinstance(licence, str) else None),)

"""The tiny base model's file: format, metadata, names of earlier versions, reading and writing."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from ..boundary.files import written
from ..boundary.tensors import BadTensorFileError, read_header, read_tensors
from ..boundary.text import name
from .codec import TinyCodec
from .config import TinyBaseConfig
from .prompt import CONCEPTS, WordEncoder

FORMAT = "hifi-portrait-tiny-base"
VERSION = 2
ASSETS = Path(__file__).resolve().parent.parent / "assets" / "tiny"
BASE_FILE = ASSETS / "base.safetensors"
HIFI_NET_FILE = ASSETS / "hifi_net.safetensors"

PARTS = ("diffusion_model", "codec", "words")
"""First words of the file's tensor names."""
CODEC_NAMES = {"mend.": "refinement."}
"""Prefixes of the codec's tensors in version 1, and what took their place in version 2."""


def upgrade_codec(key: str) -> str:
    """Today's name of a codec's tensor of any version."""
    for old, new in CODEC_NAMES.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key


def read_base_metadata(path: Path | str) -> dict[str, str]:
    """Metadata of a tiny base file.

    Raises
    ------
    ValueError
        If the file is no tiny base model, or of a later version of this pack.
    """
    shown = name(Path(path).name)
    try:
        metadata = dict(read_header(path).metadata)
    except BadTensorFileError as error:
        raise ValueError(f"{shown} is damaged ({error}); install the pack again") from None
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{shown} is not a tiny base model; choose assets/tiny/base.safetensors.")
    version = metadata.get("version", "1")
    if not version.isdecimal() or int(version) > VERSION:
        raise ValueError(
            f"{shown}: format version {name(version)}, this pack reads up to {VERSION}; update the pack."
        )
    return metadata


def base_config(path: Path | str) -> TinyBaseConfig:
    """Sizes of a tiny base file.

    Raises
    ------
    ValueError
        If the file is no tiny base model, or its configuration is missing or damaged.
    """
    text = read_base_metadata(path).get("config", "")
    try:
        return TinyBaseConfig.from_json(text)
    except ValueError as error:
        shown = name(Path(path).name)
        raise ValueError(f"{shown}: its configuration is damaged ({error}); get the file again") from None


def describe_base(path: Path | str) -> str:
    """One or two lines for the artist: whether the weights are trained, and on what."""
    metadata = read_base_metadata(path)
    if metadata.get("trained") != "true":
        return "UNTRAINED weights: this file shows that the graph runs, it makes no portraits."
    return metadata.get("summary", "Trained on synthetic people; synthetic look; not for identification.")


def read_base(path: Path | str) -> dict[str, dict[str, Tensor]]:
    """State dicts of the file's parts, float32, under today's names.

    Returns
    -------
    dict
        For each of `PARTS` its tensors; of files of earlier versions too.

    Raises
    ------
    ValueError
        The file is damaged; one line that names it.
    """
    found: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    try:
        tensors = read_tensors(path)[1]
    except BadTensorFileError as error:
        raise ValueError(f"{name(Path(path).name)} is damaged ({error}); install the pack again") from None
    for key, value in tensors.items():
        part, _, rest = key.partition(".")
        if part in found:
            found[part][upgrade_codec(rest) if part == "codec" else rest] = value.float()
    return found


def save_base(
    path: Path,
    config: TinyBaseConfig,
    unet: nn.Module,
    codec: TinyCodec,
    words: WordEncoder,
    trained: bool,
    provenance: dict[str, object],
    summary: str = "",
) -> None:
    """Write a tiny base file atomically, float16.

    Parameters
    ----------
    path : Path
        Where to.
    config, unet, codec, words
        The parts; `unet` is ComfyUI's ``UNetModel``.
    trained : bool
        Whether to present the file as trained.
    provenance : dict
        Data, compute and recipe; stored as JSON.
    summary : str
        One line for the artist.
    """
    tensors: dict[str, Tensor] = {}
    for part, module in zip(PARTS, (unet, codec, words), strict=True):
        for key, value in module.state_dict().items():
            tensors[f"{part}.{key}"] = value.detach().half().contiguous()
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "config": config.to_json(),
        "trained": "true" if trained else "false",
        "concepts": json.dumps(CONCEPTS),
        "provenance": json.dumps(provenance, sort_keys=True),
        "licence": "Apache-2.0",
    }
    if summary:
        metadata["summary"] = summary
    with written(path) as part_file:
        save_file(tensors, part_file, metadata)

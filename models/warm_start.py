"""Warm starts: from a base UNet's encoder, as ControlNets do, and from InstantID's published weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..boundary.licences import FileLicence
from ..boundary.pickles import BadPickleError, read_weights
from ..boundary.tensors import BadTensorFileError, read_tensors
from ..boundary.text import name, printable
from .checkpoint import CheckpointError, assign, save
from .config import SIZE_EMBEDDINGS, HiFiNetConfig
from .hifi_net import HiFiNet
from .portrait import HiFiPortrait, build

_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_EMBEDDINGS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
}


def trunk_from_base(config: HiFiNetConfig, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the encoder and middle block of a base UNet to HiFi-Net's trunk.

    Parameters
    ----------
    base
        Weights of the UNet by the names of SDXL's original release and ComfyUI (``input_blocks.0.0.weight``).

    Returns
    -------
    dict
        By diffusers' names; decoder and output are left out.
    """
    prefixes = dict(_EMBEDDINGS)
    per_level = config.layers_per_block + 1
    for level in range(len(config.block_out_channels)):
        for layer in range(config.layers_per_block):
            old = f"input_blocks.{1 + level * per_level + layer}"
            new = f"down_blocks.{level}"
            prefixes.update({f"{old}.0.{a}": f"{new}.resnets.{layer}.{b}" for a, b in _RESNET.items()})
            prefixes[f"{old}.1"] = f"{new}.attentions.{layer}"
        prefixes[f"input_blocks.{(level + 1) * per_level}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
    for old, new in (("middle_block.0", "mid_block.resnets.0"), ("middle_block.2", "mid_block.resnets.1")):
        prefixes.update({f"{old}.{a}": f"{new}.{b}" for a, b in _RESNET.items()})
    prefixes["middle_block.1"] = "mid_block.attentions.0"

    renamed = {}
    for key, value in base.items():
        parts = key.split(".")
        for cut in range(len(parts), 0, -1):
            prefix = ".".join(parts[:cut])
            if prefix in prefixes:
                renamed[".".join([prefixes[prefix], *parts[cut:]])] = value
                break
    return renamed


def init_from_base(net: HiFiNet, base: Mapping[str, Tensor]) -> int:
    """`copy_trunk` from a base UNet with ComfyUI's parameter names."""
    return copy_trunk(net, trunk_from_base(net.config, base))


def copy_trunk(net: HiFiNet, base: Mapping[str, Tensor]) -> int:
    """Copy a base UNet's encoder and middle block into HiFi-Net's trunk, as ControlNets start.

    ``base`` has diffusers' parameter names, as HiFi-Net has.

    Transformers that the trunk has and the base has not (``config.base_transformer_depth``) keep their
    weights, but their outputs are set to zero, so that the trunk starts as the base's encoder.

    Returns
    -------
    int
        How many tensors were copied.

    Raises
    ------
    ValueError
        The base lacks a tensor of the trunk, or has it in another shape.
    """
    state = net.state_dict()
    trunk = [k for k in state if not k.startswith("controlnet_") and not is_extra(k)]
    for key in trunk:
        if key not in base:
            if _own_transformer(net.config, key):
                if ".proj_out." in key:
                    state[key].zero_()
                continue
            raise ValueError(f"the base model has no weights for HiFi-Net's {key}; the configurations differ")
        if base[key].shape != state[key].shape:
            raise ValueError(
                f"the base model's {key} is {tuple(base[key].shape)}, HiFi-Net's "
                f"{tuple(state[key].shape)}; the configurations differ"
            )
    copied = [key for key in trunk if key in base]
    for key in copied:
        state[key].copy_(base[key])
    return len(copied)


def _own_transformer(config: HiFiNetConfig, key: str) -> bool:
    match = re.match(r"down_blocks\.(\d+)\.attentions\.", key)
    depths = config.base_transformer_depth or config.transformer_depth
    return match is not None and depths[int(match[1])] == 0


# InstantID --------------------------------------------------------------------------------------------------


def convert_instantid(
    controlnet: str | Path,
    adapter: str | Path,
    out: str | Path,
    *,
    dtype: torch.dtype | None = torch.float16,
    extra_layers: bool = False,
    seed: int = 0,
) -> HiFiNetConfig:
    """Write a checkpoint from InstantID's published files; it computes exactly what InstantID computes.

    Parameters
    ----------
    controlnet
        IdentityNet, ``ControlNetModel/diffusion_pytorch_model.safetensors``.
    adapter
        ``ip-adapter.bin``: image projection and decoupled cross-attention. A pickle, read as plain weights.
    out
        The checkpoint, ``.safetensors``.
    dtype
        Floating-point type in the file; None: as published.
    extra_layers
        Also write the layers that InstantID does not have (detail tokens, fusion), untrained: a start for
        training. They start at zero effect.
    seed
        Of the extra layers.

    Returns
    -------
    HiFiNetConfig
        Sizes as found in the files.

    Raises
    ------
    CheckpointError
        A file is missing, damaged, or not what it should be; one line names it and the remedy.
    """
    controlnet, adapter = Path(controlnet), Path(adapter)
    trunk = _read_controlnet(controlnet)
    projection, attention = _read_adapter(adapter)
    config = instantid_config(trunk, projection, controlnet.name, adapter.name)
    plain = replace(config, detail_channels=0, texture_size=0)
    state = {f"hifi_net.{k}": v for k, v in trunk.items()}
    state |= {f"refiner.image_proj.{k}": v for k, v in projection.items()}
    state |= {f"identity_attention.{k}": v for k, v in attention.items()}
    # Every name and shape is checked against the networks before anything is made or written.
    assign(HiFiPortrait(plain, device="meta"), state, f"{controlnet.name} and {adapter.name}")
    if extra_layers:
        fresh = build(config, seed=seed).state_dict()
        state = {k: v for k, v in fresh.items() if is_extra(k)} | state
    else:
        config = plain
    provenance = {
        "title": "InstantID (warm start)",
        "converted_from": ["IdentityNet", "ip-adapter"],
        "extra_layers": "untrained" if extra_layers else "none",
        "licence": "InstantID's weights: Apache-2.0; antelopev2, which they need: non-commercial use only",
        # antelopev2 comes with the analyzer that reads the faces, and is listed with it.
        "licences": [vars(FileLicence.of(f"InstantID ({controlnet.name}, {adapter.name})", "Apache-2.0"))],
    }
    save(out, state, config, provenance, dtype)
    return config


def instantid_config(
    trunk: Mapping[str, Tensor], projection: Mapping[str, Tensor], controlnet: str = "", adapter: str = ""
) -> HiFiNetConfig:
    """Infer all sizes from the weights of IdentityNet and of the image projection.

    Parameters
    ----------
    trunk
        By diffusers' names.
    projection
        By InstantID's names (``latents``, ``proj_in.weight``, ...).
    controlnet, adapter
        Names of the files, for messages.
    """
    not_a_controlnet = CheckpointError(
        f"{name(controlnet)}: not an SDXL ControlNet in diffusers' format; use InstantID's "
        "ControlNetModel/diffusion_pytorch_model.safetensors"
    )
    not_an_adapter = CheckpointError(
        f"{name(adapter)}: its image projection is not InstantID's; use InstantID's ip-adapter.bin"
    )
    # IndexError: a weight with fewer axes than it has in any model; ZeroDivisionError: one without numbers.
    wrong = (KeyError, ValueError, IndexError, TypeError, ZeroDivisionError)
    try:
        sizes = _trunk_sizes(trunk)
    except wrong:
        raise not_a_controlnet from None
    try:
        resampler, made = _resampler_sizes(projection)
    except wrong:
        raise not_an_adapter from None
    if sizes["context_dim"] != made:
        raise CheckpointError(
            f"{name(controlnet)} reads tokens of {sizes['context_dim']} numbers, "
            f"{name(adapter)} makes {made}; use two files of one InstantID release"
        )
    try:
        return replace(HiFiNetConfig.sdxl(), **sizes, **resampler)
    except ValueError as error:
        raise CheckpointError(
            f"{name(controlnet)} and {name(adapter)}: {error}; use InstantID's files"
        ) from None


def _trunk_sizes(trunk: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes of IdentityNet; KeyError, ValueError and IndexError where the weights are another network's."""
    base = HiFiNetConfig.sdxl()
    levels = _count(trunk, "down_blocks")
    hints = [len(trunk["controlnet_cond_embedding.conv_in.weight"])]
    number = 1
    while (key := f"controlnet_cond_embedding.blocks.{number}.weight") in trunk:
        hints.append(len(trunk[key]))
        number += 2
    widths = tuple(len(trunk[f"down_blocks.{i}.resnets.0.conv1.weight"]) for i in range(levels))
    vector = trunk["add_embedding.linear_1.weight"].shape[1]
    return {
        "latent_channels": trunk["conv_in.weight"].shape[1],
        "hint_widths": tuple(hints),
        "block_out_channels": widths,
        "layers_per_block": _count(trunk, "down_blocks.0.resnets"),
        "transformer_depth": tuple(
            _count(trunk, f"down_blocks.{i}.attentions.0.transformer_blocks") for i in range(levels)
        ),
        "mid_depth": _count(trunk, "mid_block.attentions.0.transformer_blocks"),
        # Smaller models than SDXL cannot have its 64 channels a head; the files do not tell.
        "head_channels": base.head_channels if all(w % 64 == 0 for w in widths) else min(widths),
        "context_dim": trunk["mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"].shape[1],
        "pooled_dim": vector - SIZE_EMBEDDINGS * base.size_embedding_dim,
        "fusion_levels": (True,) * levels,
    }


def _resampler_sizes(projection: Mapping[str, Tensor]) -> tuple[dict[str, Any], int]:
    """Sizes of the image projection, and the width of its tokens; errors as `_trunk_sizes`."""
    base = HiFiNetConfig.sdxl()
    queries, dim = projection["latents"].shape[1:]
    inner = len(projection["layers.0.0.to_q.weight"])
    sizes = {
        "embedding_dim": projection["proj_in.weight"].shape[1],
        "identity_tokens": queries,
        "resampler_dim": dim,
        "resampler_depth": _count(projection, "layers"),
        "resampler_heads": max(1, inner // base.resampler_head_channels),
        "resampler_head_channels": min(inner, base.resampler_head_channels),
        "resampler_ff_mult": len(projection["layers.0.1.1.weight"]) // dim,
    }
    return sizes, projection["proj_out.weight"].shape[0]


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many parts have a number below a prefix; ValueError where numbers are left out."""
    start = len(prefix) + 1
    numbers = {int(k[start:].split(".")[0]) for k in state if k.startswith(f"{prefix}.")}
    if numbers and max(numbers) != len(numbers) - 1:
        raise ValueError(f"{prefix} is numbered with gaps")
    return len(numbers)


def is_extra(key: str) -> bool:
    """Return whether a weight is of the parts that neither a base nor InstantID has."""
    own = ("refiner.detail.", "refiner.texture.", "hifi_net.texture_embedding.", "texture_embedding.")
    return ".fusion." in key or key.startswith(own)


def _read_controlnet(path: Path) -> dict[str, Tensor]:
    _check_there(path)
    try:
        return read_tensors(path)[1]
    except BadTensorFileError as error:
        raise CheckpointError(
            f"{name(path.name)}: damaged or not a safetensors file ({error}). Get InstantID's "
            "ControlNetModel/diffusion_pytorch_model.safetensors again."
        ) from None


def _read_adapter(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return image projection and attention matrices."""
    _check_there(path)
    try:
        projection, attention = read_weights(path, ("image_proj", "ip_adapter"))
    except BadPickleError as error:
        raise CheckpointError(f"{name(path.name)}: {error}. Get InstantID's ip-adapter.bin again.") from None
    return projection, attention


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"{name(path.name)}: there is no such file (looked for {printable(path, 160)})")

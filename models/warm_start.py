"""Warm starts: from a base UNet's encoder, as ControlNets do, and from InstantID's published weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .checkpoint import CheckpointError
from .config import HiFiNetConfig
from .hifi_net import HiFiNet

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
    """Copy a base UNet's encoder and middle block into HiFi-Net's trunk.

    Returns
    -------
    int
        How many tensors were copied.

    Raises
    ------
    ValueError
        The base lacks a tensor of the trunk, or has it in another shape.
    """
    renamed = trunk_from_base(net.config, base)
    state = net.state_dict()
    trunk = [k for k in state if not k.startswith("controlnet_") and ".fusion." not in k]
    for key in trunk:
        if key not in renamed:
            raise ValueError(f"the base model has no weights for HiFi-Net's {key}; the configurations differ")
        if renamed[key].shape != state[key].shape:
            raise ValueError(
                f"the base model's {key} is {tuple(renamed[key].shape)}, HiFi-Net's "
                f"{tuple(state[key].shape)}; the configurations differ"
            )
    for key in trunk:
        state[key].copy_(renamed[key])
    return len(trunk)


__all__ = ["CheckpointError", "init_from_base", "trunk_from_base"]

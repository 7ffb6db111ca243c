"""Where the base UNet has cross-attention and skip connections, and which group each belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .settings import BLOCK_GROUPS

_INPUT_GROUPS = 4
_OUTPUT_GROUPS = 6


@dataclass(frozen=True)
class AttentionLayer:
    """One attn2 layer of the base UNet."""

    block: str
    """``input``, ``middle`` or ``output``, as the host names it."""
    number: int
    """Number of the block within; the host calls the middle block number 0."""
    depth: int
    """Which transformer block within the block."""
    index: int
    """Its place in InstantID's order: input, output, middle."""
    width: int
    """Length of its queries."""
    context_dim: int
    """Length of the tokens that it reads."""
    group: int
    """Index into `BLOCK_GROUPS`."""


@dataclass(frozen=True)
class UNetLayout:
    """The parts of a base UNet that HiFi-Net attaches to."""

    layers: tuple[AttentionLayer, ...]
    """In InstantID's order."""
    residual_groups: tuple[int, ...]
    """Group of each input block's residual, then that of the middle block."""
    in_channels: int
    """Channels of its input; an inpainting model has more than its latent."""
    channels: int
    """Channels of its first block."""


def unet_layout(diffusion_model: Any) -> UNetLayout:
    """Return the layout of the host's UNet.

    Read from the modules themselves instead of the configuration, so that it also holds for reduced and
    merged models. Blocks are spread over the groups evenly, which for SDXL gives each its own.

    Raises
    ------
    TypeError
        The model is no UNet with cross-attention (Flux, SD3 and other transformers are not).
    """
    if not all(hasattr(diffusion_model, name) for name in ("input_blocks", "middle_block", "output_blocks")):
        raise TypeError(f"the MODEL is a {type(diffusion_model).__name__}, not a UNet")
    inputs = [list(_attn2(block)) for block in diffusion_model.input_blocks]
    outputs = [list(_attn2(block)) for block in diffusion_model.output_blocks]
    middle = list(_attn2(diffusion_model.middle_block or ()))

    input_groups = _spread(inputs, _INPUT_GROUPS, BLOCK_GROUPS.index("IN1"))
    output_groups = _spread(outputs, _OUTPUT_GROUPS, BLOCK_GROUPS.index("OUT1"))
    mid = BLOCK_GROUPS.index("MID")

    layers: list[AttentionLayer] = []
    stacks = [
        *(("input", number, found, input_groups[number]) for number, found in enumerate(inputs)),
        *(("output", number, found, output_groups[number]) for number, found in enumerate(outputs)),
        ("middle", 0, middle, mid),
    ]
    for block, number, found, group in stacks:
        for depth, attention in found:
            width = attention.to_q.weight.shape[0]
            context_dim = attention.to_k.weight.shape[1]
            layers.append(AttentionLayer(block, number, depth, len(layers), width, context_dim, group))
    if not layers:
        raise TypeError("the MODEL's UNet has no cross-attention")
    first = diffusion_model.input_blocks[0][0].weight
    return UNetLayout(tuple(layers), (*input_groups, mid), first.shape[1], first.shape[0])


def _attn2(block: Any) -> Iterator[tuple[int, Any]]:
    for part in block:
        for depth, transformer in enumerate(getattr(part, "transformer_blocks", ())):
            if getattr(transformer, "attn2", None) is not None:
                yield depth, transformer.attn2


def _spread(blocks: list[list[tuple[int, Any]]], groups: int, first: int) -> list[int]:
    count = sum(1 for block in blocks if block)
    result, seen = [], 0
    for block in blocks:
        if block:
            result.append(first + seen * groups // count)
            seen += 1
        else:
            result.append(BLOCK_GROUPS.index("BASE"))
    return result

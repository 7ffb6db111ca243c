"""How much memory HiFi-Net's results take; sizes in bytes."""

from __future__ import annotations

from .config import HiFiNetConfig


def residual_bytes(config: HiFiNetConfig, rows: int, height: int, width: int, itemsize: int) -> int:
    """Return the size of all residuals of one step.

    Parameters
    ----------
    config
        Sizes of the network.
    rows
        Rows of the batch.
    height, width
        Of the latents.
    itemsize
        Bytes of a number.
    """
    widths = config.block_out_channels
    numbers = widths[0] * height * width
    for level, (dim, (h, w)) in enumerate(zip(widths, _sizes(config, height, width), strict=True)):
        numbers += config.layers_per_block * dim * h * w
        if level < len(widths) - 1:
            numbers += dim * _half(h) * _half(w)
        else:
            numbers += dim * h * w  # the middle
    return rows * numbers * itemsize


def prepared_bytes(
    config: HiFiNetConfig,
    rows: int,
    height: int,
    width: int,
    itemsize: int,
    identity_tokens: int,
    detail_tokens: int,
) -> int:
    """Return the size of what `HiFiNet.prepare` gives.

    Parameters
    ----------
    config, rows, height, width, itemsize
        As in `residual_bytes`.
    identity_tokens
        Number of them.
    detail_tokens
        Number of those of all faces; 0: without fusion and UV texture.
    """
    widths, area = config.block_out_channels, height * width
    numbers = rows * widths[0] * area
    if detail_tokens and config.texture_size:
        numbers += rows * (widths[0] + 2 * config.latent_channels) * area
    counts = [depth * config.layers_per_block for depth in config.transformer_depth]
    counts[-1] += config.mid_depth
    sizes = _sizes(config, height, width)
    for count, dim, (h, w), fusion in zip(counts, widths, sizes, config.fusion_levels, strict=True):
        numbers += count * 2 * identity_tokens * dim
        if fusion and detail_tokens and config.detail_channels:
            numbers += count * (2 * (1 + detail_tokens) + rows * h * w) * dim
    return numbers * itemsize


def _sizes(config: HiFiNetConfig, height: int, width: int) -> list[tuple[int, int]]:
    """Return height and width of each level's feature maps."""
    sizes = [(height, width)]
    while len(sizes) < len(config.block_out_channels):
        sizes.append((_half(sizes[-1][0]), _half(sizes[-1][1])))
    return sizes


def _half(n: int) -> int:
    return (n + 1) // 2

"""Small networks with all weights random, and random inputs."""

from dataclasses import replace

import torch
from hifi_portrait.models import FaceBatch, HiFiNetConfig, HiFiPortrait, TargetMaps, build
from torch import Tensor, nn

torch.set_num_threads(1)

SMALL = HiFiNetConfig(
    hint_widths=(8, 12, 16, 24),
    block_out_channels=(32, 64, 64),
    transformer_depth=(0, 1, 2),
    mid_depth=2,
    head_channels=32,
    context_dim=48,
    pooled_dim=40,
    size_embedding_dim=16,
    embedding_dim=24,
    identity_tokens=5,
    resampler_dim=32,
    resampler_depth=2,
    resampler_heads=2,
    resampler_head_channels=64,
    resampler_ff_mult=2,
    crop_size=32,
    pyramid_widths=(8, 16, 16),
    detail_levels=(1, 2),
    detail_channels=32,
    refiner_depth=2,
    refiner_head_channels=16,
    face_queries=3,
    coordinate_frequencies=3,
)
"""An SDXL of the same shape, tiny."""

TEXTURED = replace(SMALL, texture_size=16, texture_widths=(8, 12), texture_encoder_width=16)
"""The same with UV textures."""

OTHER = HiFiNetConfig(
    **{
        **SMALL.__dict__,
        "latent_channels": 8,
        "hint_widths": (16, 16, 32, 32),
        "block_out_channels": (64, 128),
        "layers_per_block": 1,
        "transformer_depth": (1, 3),
        "mid_depth": 3,
        "fusion_levels": (True, False),
    }
)
"""Another shape: attention at the finest level, one layer a level, fusion at one level."""


def randomise(module: nn.Module, seed: int) -> None:
    """Fill every weight with noise of a useful size, also those that start at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            scale = 0.1 if value.ndim < 2 else value[0].numel() ** -0.5
            noise = torch.randn(value.shape, generator=generator) * scale
            value.copy_(noise + 1.0 if value.ndim < 2 and name.endswith("weight") else noise)


def random_portrait(config: HiFiNetConfig, seed: int = 0, fusion_at_zero: bool = False) -> HiFiPortrait:
    """Return networks whose every weight is random; fusion's output may stay at its zero start."""
    module = build(config, seed=seed).eval().requires_grad_(False)
    randomise(module, seed)
    if fusion_at_zero:
        for name, value in module.named_parameters():
            if name.endswith("fusion.to_out.weight") or "texture_embedding.conv_out" in name:
                value.zero_()
    return module


def random_faces(config: HiFiNetConfig, count: int, seed: int = 0) -> FaceBatch:
    """Return faces of one person: noise, but with canonical coordinates that look like a map."""
    generator = torch.Generator().manual_seed(seed)
    size = config.crop_size

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    coords = torch.rand((count, 3, size, size), generator=generator)
    coords[:, 2] = (coords[:, 2] > 0.3).float()
    coords[:, :2] *= coords[:, 2:]
    weights = 0.2 + torch.rand(count, generator=generator)
    crops, embeddings = noise(count, 3, size, size), noise(count, config.embedding_dim)
    return FaceBatch(crops, coords, embeddings, weights, textures=random_textures(config, count, generator))


def random_textures(config: HiFiNetConfig, count: int, generator: torch.Generator) -> Tensor | None:
    """Return UV textures of noise, a third of which nobody sees; None where a network reads none."""
    size = config.texture_size
    if not size:
        return None
    colours = torch.rand(count, 3, size, size, generator=generator) * 2 - 1
    seen = (torch.rand(count, 1, size, size, generator=generator) * 1.5 - 0.5).clamp_min(0)
    return torch.cat([colours, seen], 1)


def random_inputs(
    config: HiFiNetConfig, batch: int = 2, height: int = 16, width: int = 16, seed: int = 0
) -> dict:
    """Return HiFi-Net's inputs, without tokens."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    coords = torch.rand((batch, 3, height, width), generator=generator)
    coords[:, 2] = (coords[:, 2] > 0.5).float()
    coords[:, :2] *= coords[:, 2:]
    picture = (config.latent_downscale * height, config.latent_downscale * width)
    uv_map = torch.rand((batch, 3, *picture), generator=generator)
    uv_map[:, 2] = (uv_map[:, 2] > 0.5).float()
    uv_map[:, :2] *= uv_map[:, 2:]
    x = noise(batch, config.latent_channels, height, width)
    hint = torch.rand((batch, 3, *picture), generator=generator)
    return {
        "x": x,
        "target": TargetMaps(hint, coords, uv_map),
        "timesteps": torch.rand(batch, generator=generator) * 999,
        "y": noise(batch, config.vector_dim),
    }

"""A small random SDXL checkpoint in diffusers' layout, a HiFi-Net for it, and synthetic people as shards."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionXLPipeline
from hifi_portrait.training.config import Recipe
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from harness.host import host_path
from tests.models.reference import diffusers_unet
from tests.patching.small import CONFIG, randomise

NETWORK = {
    name: getattr(CONFIG, name)
    for name in (
        "recognizer",
        "embedding_kind",
        "identity_tokens",
        "resampler_dim",
        "resampler_depth",
        "resampler_heads",
        "resampler_head_channels",
        "crop_size",
        "pyramid_widths",
        "detail_channels",
        "refiner_depth",
        "refiner_head_channels",
        "face_queries",
        "texture_size",
        "texture_widths",
        "texture_encoder_width",
    )
} | {"embedding_dim": 128, "landmark_style": "mesh72"}
"""What a recipe says of the networks; the trunk's sizes come from the base."""


def tokenizer() -> CLIPTokenizer:
    """Return CLIP's tokenizer, from the files that the host carries."""
    return CLIPTokenizer.from_pretrained(str(host_path() / "comfy" / "sd1_tokenizer"))


def small_vae() -> AutoencoderKL:
    """Return a small VAE with SDXL's factor of eight."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=64,
    ).eval()


def write_checkpoint(
    folder: Path, prediction_type: str = "epsilon", unet: torch.nn.Module | None = None
) -> Path:
    """Write the checkpoint with `StableDiffusionXLPipeline.save_pretrained`."""
    torch.manual_seed(0)
    texts = []
    for kind, width in ((CLIPTextModel, 24), (CLIPTextModelWithProjection, 40)):
        config = CLIPTextConfig(
            hidden_size=width,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            projection_dim=1280,
            vocab_size=49408,
        )
        texts.append(kind(config).eval())
    if unet is None:
        unet = diffusers_unet(CONFIG)
        randomise(unet, 20)
        unet.conv_out.weight.data.mul_(0.1)
    pipeline = StableDiffusionXLPipeline(
        vae=small_vae(),
        text_encoder=texts[0],
        text_encoder_2=texts[1],
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        unet=unet,
        scheduler=DDPMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction_type
        ),
    )
    pipeline.save_pretrained(folder)
    return folder


def recipe(checkpoint: Path, **groups) -> Recipe:
    """Return a run of a few steps on the checkpoint."""
    base = Recipe(name="small").changed(
        base={"kind": "sdxl", "checkpoint": str(checkpoint)},
        network=NETWORK,
        optimizer={"learning_rate": 1e-3, "beta2": 0.99},
        schedule={"steps": 4, "warmup": 1, "checkpoint_every": 100, "sheet_every": None},
        data={"batch": 2, "resolution": 128, "reference_counts": [0.5, 0.5], "noise_power": 1.0},
        losses={"face_weight": 0.0, "min_snr_gamma": 5.0, "coarse_x0": 0.5, "texture": 0.1},
    )
    return base.changed(**groups)

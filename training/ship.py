"""Write the tiny base model's file: float16 weights with their configuration and provenance."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from ..models import checkpoint
from ..models.config import HiFiNetConfig
from ..models.portrait import build
from .host import add_comfyui_to_path

add_comfyui_to_path()

from ..patching import tiny  # noqa: E402
from ..patching.tiny_codec import TinyCodec  # noqa: E402
from ..patching.tiny_words import CONCEPTS, WordEncoder  # noqa: E402


def initialise_unet(unet: nn.Module, seed: int = 0) -> None:
    """Give ComfyUI's UNet, which comes without weights, the usual start for training.

    Layers are drawn as torch draws them; the last layer of each residual and transformer block and of the network
    starts at zero.
    """
    torch.manual_seed(seed)
    for name, module in unet.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.Conv2d.reset_parameters(module)
        elif isinstance(module, nn.Linear):
            nn.Linear.reset_parameters(module)
        elif isinstance(module, nn.GroupNorm | nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        if name.endswith(("out_layers.3", "proj_out")) or name == "out.2":
            for parameter in module.parameters():
                nn.init.zeros_(parameter)
        if name == "label_emb.0.0":
            # The six picture sizes that SDXL appends to the pooled text say nothing here.
            nn.init.zeros_(module.weight[:, -6 * 256 :].detach())


def save_base(
    path: Path,
    config: tiny.TinyBaseConfig,
    unet: nn.Module,
    codec: TinyCodec,
    words: WordEncoder,
    trained: bool,
    provenance: dict[str, object],
    summary: str = "",
) -> None:
    """Write a tiny base file atomically.

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
    tensors: dict[str, torch.Tensor] = {}
    for prefix, module in (("diffusion_model.", unet), ("codec.", codec), ("words.", words)):
        for key, value in module.state_dict().items():
            tensors[prefix + key] = value.detach().half().contiguous()
    metadata = {
        "format": tiny.FORMAT,
        "version": "1",
        "config": config.to_json(),
        "trained": "true" if trained else "false",
        "concepts": json.dumps(CONCEPTS),
        "provenance": json.dumps(provenance, sort_keys=True),
        "licence": "Apache-2.0",
    }
    if summary:
        metadata["summary"] = summary
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata)
    partial.replace(path)


def save_untrained(folder: Path, seed: int = 0) -> None:
    """Write both files with seeded random weights, marked untrained, so that graphs can be built and tested."""
    config = tiny.TinyBaseConfig()
    torch.manual_seed(seed)
    codec, words = TinyCodec(config.latent_channels, config.codec_width), WordEncoder(config.context_dim)
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(64, 3, 16, 16, generator=generator)
    codec.fit(torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(-1, 1))
    unet = tiny.build_base(config).diffusion_model
    initialise_unet(unet, seed)
    save_base(
        folder / tiny.BASE_FILE.name, config, unet, codec, words, trained=False, provenance={"seed": seed}
    )
    network = HiFiNetConfig.tiny()
    metadata = {"title": "HiFi-Portrait Tiny (untrained)", "trained": False, "seed": seed}
    checkpoint.save(
        folder / tiny.HIFI_NET_FILE.name, build(network, seed=seed), network, metadata, torch.float16
    )

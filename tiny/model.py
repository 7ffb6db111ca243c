"""The tiny portrait model as ComfyUI's own MODEL, CLIP and VAE.

One safetensors file holds the base UNet (a `comfy.model_base.SDXL` of tiny size, v-prediction on a cosine
schedule), the word embeddings and the picture codec. It works with the standard KSampler, CLIP Text Encode
and VAE Decode. *Ours*: the paper has only SDXL; this model proves the method on any machine.
"""

from __future__ import annotations

from pathlib import Path

import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import torch

from ..boundary.text import name, reason
from ..patching.host import managed
from .base_file import BASE_FILE, base_config, read_base
from .codec import TinyCodec
from .config import TinyBaseConfig
from .prompt import TinyWords, WordEncoder
from .vae import TinyLatent, TinyVAE


def model_config(config: TinyBaseConfig, codec: TinyCodec | None = None) -> comfy.supported_models.SDXL:
    """Return the host's description of the base model: SDXL of our size, cosine schedule."""
    description = comfy.supported_models.SDXL({**config.unet_config(), "dtype": torch.float32})
    description.sampling_settings = {"beta_schedule": "cosine"}
    description.latent_format = TinyLatent(codec)
    return description


def build_base(config: TinyBaseConfig, codec: TinyCodec | None = None) -> comfy.model_base.SDXL:
    """Return the host-native base model with uninitialised weights."""
    # Not through the description's own get_model: that takes more than four latent channels for an
    # inpainting model.
    return comfy.model_base.SDXL(
        model_config(config, codec), model_type=comfy.model_base.ModelType.V_PREDICTION
    )


def load_tiny_portrait_model(
    path: Path | str = BASE_FILE, disable_dynamic: bool = False
) -> tuple[comfy.model_patcher.ModelPatcher, TinyWords, TinyVAE]:
    """Load the tiny base model.

    Parameters
    ----------
    path : Path or str
        A file of format `FORMAT`.
    disable_dynamic : bool
        Keep the base out of the host's dynamic VRAM; the host asks for it when it makes copies.

    Returns
    -------
    tuple
        ``(model, clip, vae)`` for the host's sampler, text encode and VAE nodes.

    Raises
    ------
    ValueError
        If the file is no tiny base model or does not fit its own configuration.
    """
    config = base_config(path)
    weights = read_base(path)
    codec = TinyCodec(config.latent_channels, config.codec_width)
    words = WordEncoder(config.context_dim, config.pooled_dim)
    try:
        codec.load_state_dict(weights["codec"])
        words.load_state_dict(weights["words"])
        model = build_base(config, codec)
        model.diffusion_model.load_state_dict(weights["diffusion_model"])
    except RuntimeError as error:
        shown = name(Path(path).name)
        raise ValueError(f"{shown} does not fit its own configuration ({reason(error)})") from None
    patcher = managed(
        model,
        comfy.model_management.get_torch_device(),
        comfy.model_management.unet_offload_device(),
        reload=(load_tiny_portrait_model, (path,), 0),
        dynamic=not disable_dynamic,
    )
    return patcher, TinyWords(words), TinyVAE(codec)

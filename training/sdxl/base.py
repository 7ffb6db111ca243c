"""An SDXL checkpoint as training reads it: UNet, VAE, text encoders, and its noise schedule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...boundary.text import name as shown
from ...models.config import HiFiNetConfig

PREDICTIONS = {"epsilon": "eps", "v_prediction": "v"}


@dataclass(eq=False)
class Base:
    """The frozen parts of an SDXL checkpoint."""

    unet: Any
    """diffusers' ``UNet2DConditionModel``."""
    vae: Any
    """diffusers' ``AutoencoderKL``."""
    text: TextEncoder
    signal: Tensor
    """``(T,)`` float32: share of the signal at each time step."""
    prediction_type: str
    """``v`` or ``eps``."""

    def encode(self, pictures: Tensor) -> Tensor:
        """Encode pictures ``(B, 3, H, W)`` in -1..1.

        Returns ``(B, 2 C, h, w)``: mean and standard deviation of the scaled latents.
        """
        found = self.vae.encode(pictures.to(self.vae.dtype)).latent_dist
        scale, shift = _scaling(self.vae)
        return torch.cat([(found.mean - shift) * scale, found.std * scale], 1).float()

    def decode(self, latents: Tensor) -> Tensor:
        """Return pictures ``(B, 3, H, W)`` in about -1..1 of scaled latents; differentiable."""
        scale, shift = _scaling(self.vae)
        # SDXL's VAE overflows in half precision.
        with torch.autocast(latents.device.type, enabled=False):
            x = (latents.float() / scale + shift).to(self.vae.dtype)
            picture: Tensor = self.vae.decode(x, return_dict=False)[0]
        return picture.float()


def _scaling(vae: Any) -> tuple[float, float]:
    return vae.config.scaling_factor, getattr(vae.config, "shift_factor", None) or 0.0


class TextEncoder(nn.Module):
    """SDXL's two text encoders: prompts to what the UNet reads.

    Parameters
    ----------
    tokenizers, encoders
        Of transformers: CLIP ViT-L, then OpenCLIP ViT-bigG with projection.
    """

    def __init__(self, tokenizers: tuple[Any, Any], encoders: tuple[Any, Any]) -> None:
        super().__init__()
        self.tokenizers = tokenizers
        self.encoders = nn.ModuleList(encoders)

    @torch.no_grad()
    def forward(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """Return ``(B, 77, context_dim)`` of the last but one layers, and ``(B, pooled_dim)``."""
        hidden, pooled = [], None
        encoder: Any
        for tokenizer, encoder in zip(self.tokenizers, self.encoders, strict=True):
            ids = tokenizer(
                prompts,
                padding="max_length",
                max_length=min(tokenizer.model_max_length, encoder.config.max_position_embeddings),
                truncation=True,
                return_tensors="pt",
            ).input_ids
            device = next(encoder.parameters()).device
            out = encoder(ids.to(device), output_hidden_states=True)
            hidden.append(out.hidden_states[-2])
            pooled = out[0]
        assert pooled is not None
        return torch.cat(hidden, -1), pooled


def load_base(path: Path, dtype: torch.dtype = torch.float32, config: str | None = None) -> Base:
    """Read an SDXL checkpoint.

    Parameters
    ----------
    path
        A folder in diffusers' layout, or one ``.safetensors`` file.
    dtype
        Of the frozen weights.
    config
        For a single file, a folder in diffusers' layout (weights are not needed) that its sizes and
        tokenizers are taken from; None: diffusers' own choice, which it fetches where it is not cached.

    Raises
    ------
    ValueError
        It is neither, or no SDXL; one line with the remedy.
    """
    from diffusers import StableDiffusionXLPipeline

    read: Any
    if path.is_dir() and (path / "model_index.json").is_file():
        read = StableDiffusionXLPipeline.from_pretrained
        more: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}
    elif path.is_file() and path.suffix == ".safetensors":
        read = StableDiffusionXLPipeline.from_single_file
        more = {} if config is None else {"config": config, "local_files_only": True}
    else:
        raise ValueError(
            f"{shown(path.name)}: no SDXL checkpoint; give a folder with model_index.json or a .safetensors"
        )
    try:
        pipeline = read(str(path), torch_dtype=dtype, **more)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise ValueError(f"{shown(path.name)}: diffusers cannot read it as SDXL ({reason})") from None
    kind = pipeline.scheduler.config.prediction_type
    if kind not in PREDICTIONS:
        raise ValueError(f"{shown(path.name)}: predicts {kind!r}, not noise or v; it cannot be trained on")
    text = TextEncoder(
        (pipeline.tokenizer, pipeline.tokenizer_2), (pipeline.text_encoder, pipeline.text_encoder_2)
    )
    pipeline.vae.float()
    for part in (pipeline.unet, pipeline.vae, text):
        part.requires_grad_(False).eval()
    return Base(
        pipeline.unet, pipeline.vae, text, pipeline.scheduler.alphas_cumprod.sqrt(), PREDICTIONS[kind]
    )


def network_config(unet: Any, vae: Any, changes: dict[str, Any]) -> HiFiNetConfig:
    """Return sizes of HiFi-Portrait networks for a base: the trunk's from the UNet, the rest as for SDXL.

    Parameters
    ----------
    changes
        Fields of `HiFiNetConfig` that differ; of the trunk none needs to be given.
    """
    sizes = unet.config
    widths = tuple(sizes.block_out_channels)
    plain = [kind.startswith("CrossAttn") for kind in sizes.down_block_types]
    depths = sizes.transformer_layers_per_block
    depths = (depths,) * len(widths) if isinstance(depths, int) else tuple(depths)
    heads = sizes.attention_head_dim
    heads = heads[0] if isinstance(heads, list | tuple) else heads
    downscale = 2 ** (len(vae.config.block_out_channels) - 1)
    hints = HiFiNetConfig.sdxl().hint_widths
    found: dict[str, Any] = {
        "latent_channels": sizes.in_channels,
        "hint_widths": hints[-1 - (downscale.bit_length() - 1) :],
        "block_out_channels": widths,
        "layers_per_block": sizes.layers_per_block,
        "transformer_depth": tuple(d if has else 0 for d, has in zip(depths, plain, strict=True)),
        "mid_depth": depths[-1],
        "head_channels": widths[0] // heads,
        "context_dim": sizes.cross_attention_dim,
        "pooled_dim": sizes.projection_class_embeddings_input_dim - 6 * sizes.addition_time_embed_dim,
        "size_embedding_dim": sizes.addition_time_embed_dim,
        "norm_groups": sizes.norm_num_groups,
        "fusion_levels": (True,) * len(widths),
    }
    return replace(HiFiNetConfig.sdxl(), **{**found, **changes})

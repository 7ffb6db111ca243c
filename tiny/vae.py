"""The tiny codec as ComfyUI's VAE, and its latents' format."""

from __future__ import annotations

import comfy.latent_formats
import comfy.model_management
import torch
from torch import Tensor

from ..patching.host import managed
from .codec import PATCH, TinyCodec


class TinyLatent(comfy.latent_formats.LatentFormat):
    """Latents of the tiny codec, used by the host for previews and for widening empty latents."""

    latent_channels = 16

    def __init__(self, codec: TinyCodec | None = None) -> None:
        super().__init__()
        if codec is not None:
            self.latent_channels = codec.channels
            patch = codec.to_patch.weight.detach().reshape(3, PATCH**2, codec.channels).mean(1)
            self.latent_rgb_factors = patch.T.tolist()
            bias = codec.to_patch.bias
            assert bias is not None
            self.latent_rgb_factors_bias = bias.detach().reshape(3, PATCH**2).mean(1).tolist()


class TinyVAE:
    """The codec with the methods of ComfyUI's VAE object that core nodes call."""

    downscale_ratio = PATCH
    upscale_ratio = PATCH
    latent_dim = 2

    def __init__(self, codec: TinyCodec) -> None:
        self.first_stage_model = codec.train(False).requires_grad_(False)
        self.latent_channels = codec.channels
        self.patcher = managed(
            codec, comfy.model_management.vae_device(), comfy.model_management.vae_offload_device()
        )
        self.output_device = comfy.model_management.intermediate_device()

    def _load(self) -> torch.device:
        comfy.model_management.load_models_gpu([self.patcher])
        device: torch.device = self.patcher.load_device
        return device

    def decode(self, samples_in: Tensor, vae_options: dict[str, object] | None = None) -> Tensor:
        """Pictures (B, 8h, 8w, 3) in 0..1 of latents (B, C, h, w)."""
        device = self._load()
        with torch.no_grad():
            pictures = self.first_stage_model.decode(samples_in.to(device, torch.float32))
        return ((pictures + 1) / 2).clamp(0, 1).movedim(1, -1).to(self.output_device)

    def encode(self, pixel_samples: Tensor) -> Tensor:
        """Latents (B, C, H//8, W//8) of pictures (B, H, W, 3) in 0..1, centred on multiples of 8."""
        device = self._load()
        height, width = (n // PATCH * PATCH for n in pixel_samples.shape[1:3])
        top, left = ((n % PATCH) // 2 for n in pixel_samples.shape[1:3])
        pictures = pixel_samples[:, top : top + height, left : left + width, :3].movedim(-1, 1)
        with torch.no_grad():
            return self.first_stage_model.encode(pictures.to(device, torch.float32) * 2 - 1).to(
                self.output_device
            )

    def decode_tiled(self, samples: Tensor, **_: object) -> Tensor:
        """As `decode`: pictures of this model are small enough to need no tiles."""
        return self.decode(samples)

    def encode_tiled(self, pixel_samples: Tensor, **_: object) -> Tensor:
        """As `encode`."""
        return self.encode(pixel_samples)

    def spacial_compression_decode(self) -> int:
        """Pixels per latent, sideways (the host's spelling)."""
        return PATCH

    def spacial_compression_encode(self) -> int:
        """Pixels per latent, sideways (the host's spelling)."""
        return PATCH

    def temporal_compression_decode(self) -> None:
        """None: no time axis."""

    def get_sd(self) -> dict[str, Tensor]:
        """Return the codec's weights."""
        return self.first_stage_model.state_dict()

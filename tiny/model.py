"""The tiny portrait model as ComfyUI's own MODEL, CLIP and VAE.

One safetensors file holds the base UNet (a `comfy.model_base.SDXL` of tiny size, v-prediction on a cosine
schedule), the word embeddings and the picture codec. It works with the standard KSampler, CLIP Text Encode
and VAE Decode. *Ours*: the paper has only SDXL; this model proves the method on any machine.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import torch
from torch import Tensor

from ..boundary.fields import Limits, check_fields, from_json
from ..boundary.tensors import BadTensorFileError, read_header, read_tensors
from ..boundary.text import name, reason
from .codec import PATCH, TinyCodec
from .prompt import TinyWords, WordEncoder

FORMAT = "hifi-portrait-tiny-base"
SIZE = 128
ASSETS = Path(__file__).resolve().parent.parent / "assets" / "tiny"
BASE_FILE = ASSETS / "base.safetensors"
HIFI_NET_FILE = ASSETS / "hifi_net.safetensors"
_SIZE_EMBEDDINGS = 6 * 256  # SDXL appends embeddings of six picture sizes to the pooled text


LIMITS = {
    "latent_channels": Limits(1, 64),
    "model_channels": Limits(32, 512),
    "channel_mult": Limits(1, 8),
    "num_res_blocks": Limits(1, 4),
    "transformer_depth": Limits(0, 8, most=16),
    "transformer_depth_output": Limits(0, 8, most=32),
    "transformer_depth_middle": Limits(0, 8),
    "context_dim": Limits(1, 1024),
    "pooled_dim": Limits(1, 2048),
    "num_head_channels": Limits(1, 512),
    "codec_width": Limits(1, 1024),
}
"""Between what the sizes of a tiny base lie."""


@dataclass(frozen=True)
class TinyBaseConfig:
    """Sizes of the tiny base model; written into the file's metadata.

    ``transformer_depth`` counts from the finest level, one number for each residual block of the encoder, as
    in ComfyUI's UNet.
    """

    latent_channels: int = 16
    model_channels: int = 64
    channel_mult: tuple[int, ...] = (1, 1)
    num_res_blocks: tuple[int, ...] = (1, 1)
    transformer_depth: tuple[int, ...] = (0, 1)
    transformer_depth_output: tuple[int, ...] = (0, 0, 1, 1)
    transformer_depth_middle: int = 1
    context_dim: int = 64
    pooled_dim: int = 64
    num_head_channels: int = 32
    codec_width: int = 64

    def __post_init__(self) -> None:
        """Refuse fields of another type or beyond `LIMITS`."""
        check_fields(self, LIMITS)

    @classmethod
    def from_json(cls, text: str) -> TinyBaseConfig:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            Not JSON, or a field of another type or beyond `LIMITS`; one line that names it.
        """
        return from_json(cls, text)

    def to_json(self) -> str:
        """One line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    def unet_config(self) -> dict[str, object]:
        """Arguments of ComfyUI's ``UNetModel``, without ``operations`` and ``device``."""
        return {
            "image_size": SIZE // PATCH,
            "in_channels": self.latent_channels,
            "out_channels": self.latent_channels,
            "model_channels": self.model_channels,
            "channel_mult": list(self.channel_mult),
            "num_res_blocks": list(self.num_res_blocks),
            "transformer_depth": list(self.transformer_depth),
            "transformer_depth_output": list(self.transformer_depth_output),
            "transformer_depth_middle": self.transformer_depth_middle,
            "context_dim": self.context_dim,
            "num_head_channels": self.num_head_channels,
            "num_heads": -1,
            "use_spatial_transformer": True,
            "use_linear_in_transformer": True,
            "adm_in_channels": self.pooled_dim + _SIZE_EMBEDDINGS,
            "num_classes": "sequential",
            "legacy": False,
            "use_temporal_attention": False,
            "dtype": torch.float32,
        }


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
        self.first_stage_model = codec.eval().requires_grad_(False)
        self.latent_channels = codec.channels
        self.patcher = comfy.model_patcher.ModelPatcher(
            codec,
            load_device=comfy.model_management.vae_device(),
            offload_device=comfy.model_management.vae_offload_device(),
        )
        self.output_device = comfy.model_management.intermediate_device()

    def _load(self) -> torch.device:
        comfy.model_management.load_models_gpu([self.patcher])
        return self.patcher.load_device

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


def model_config(config: TinyBaseConfig, codec: TinyCodec | None = None) -> comfy.supported_models.SDXL:
    """Return the host's description of the base model: SDXL of our size, cosine schedule."""
    description = comfy.supported_models.SDXL(config.unet_config())
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


def read_base_metadata(path: Path | str) -> dict[str, str]:
    """Metadata of a tiny base file.

    Raises
    ------
    ValueError
        If the file is no tiny base model.
    """
    shown = name(Path(path).name)
    try:
        metadata = read_header(path).metadata
    except BadTensorFileError as error:
        raise ValueError(f"{shown} is damaged ({error}); install the pack again") from None
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{shown} is not a tiny base model; choose assets/tiny/base.safetensors.")
    return dict(metadata)


def base_config(path: Path | str) -> TinyBaseConfig:
    """Sizes of a tiny base file.

    Raises
    ------
    ValueError
        If the file is no tiny base model, or its configuration is missing or damaged.
    """
    text = read_base_metadata(path).get("config", "")
    try:
        return TinyBaseConfig.from_json(text)
    except ValueError as error:
        shown = name(Path(path).name)
        raise ValueError(f"{shown}: its configuration is damaged ({error}); get the file again") from None


def describe_base(path: Path | str) -> str:
    """One or two lines for the artist: whether the weights are trained, and on what."""
    metadata = read_base_metadata(path)
    if metadata.get("trained") != "true":
        return "UNTRAINED weights: this file shows that the graph runs, it makes no portraits."
    return metadata.get("summary", "Trained on synthetic people; synthetic look; not for identification.")


def load_tiny_portrait_model(
    path: Path | str = BASE_FILE,
) -> tuple[comfy.model_patcher.ModelPatcher, TinyWords, TinyVAE]:
    """Load the tiny base model.

    Parameters
    ----------
    path : Path or str
        A file of format `FORMAT`.

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
    shown = name(Path(path).name)
    try:
        weights = {k: v.float() for k, v in read_tensors(path)[1].items()}
    except BadTensorFileError as error:
        raise ValueError(f"{shown} is damaged ({error}); install the pack again") from None

    def part(prefix: str) -> dict[str, Tensor]:
        return {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}

    codec = TinyCodec(config.latent_channels, config.codec_width)
    words = WordEncoder(config.context_dim, config.pooled_dim)
    try:
        codec.load_state_dict(part("codec."))
        words.load_state_dict(part("words."))
        model = build_base(config, codec)
        model.diffusion_model.load_state_dict(part("diffusion_model."))
    except RuntimeError as error:
        raise ValueError(f"{shown} does not fit its own configuration ({reason(error)})") from None
    patcher = comfy.model_patcher.ModelPatcher(
        model,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    return patcher, TinyWords(words), TinyVAE(codec)

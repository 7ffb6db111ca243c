"""Sizes of the tiny base model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from ..boundary.fields import Limits, check_fields, from_json
from .codec import PATCH

SIZE = 128
"""Width and height of the pictures it was trained on, px."""
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
        """Refuse fields of another type or beyond `LIMITS`.

        Raises
        ------
        ValueError
            One line that names the field.
        """
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
        """Arguments of ComfyUI's ``UNetModel``, without ``dtype``, ``operations`` and ``device``."""
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
        }

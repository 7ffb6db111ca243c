"""Sizes of the networks; one JSON text in the checkpoint's metadata."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from ..boundary import text
from ..boundary.fields import check_fields, from_json
from .limits import LIMITS, MOST_DETAIL_TOKENS, MOST_TRANSFORMERS

FACE72, HEAD = "face72", "head"
UV_LAYOUTS = (FACE72, HEAD)
"""Of the surface that the 72 landmarks carry (``landmarks/head.py``), and of the photographic head
(``head/model.py``)."""
SIZE_EMBEDDINGS = 6
"""SDXL appends sinusoids of six picture sizes to the pooled text."""


@dataclass(frozen=True)
class IdentityLayer:
    """One cross-attention layer (attn2) of the base UNet that identity attention adds to."""

    block: str
    """``input``, ``output`` or ``middle``."""
    number: int
    """Number of the block, as ComfyUI counts (the middle block is 0)."""
    depth: int
    """Which transformer block within."""
    channels: int
    """Width of the layer's queries."""


@dataclass(frozen=True)
class HiFiNetConfig:
    """Every size of `HiFiPortrait`.

    The trunk mirrors the encoder of an SDXL-like base UNet. The decoder is assumed to mirror the encoder with
    one residual block more per level, as in SDXL.
    """

    # The base and the trunk -------------------------------------------------------------------------------
    latent_channels: int = 4
    hint_channels: int = 3
    hint_widths: tuple[int, ...] = (16, 32, 96, 256)
    """Widths of the drawing's encoder; each step after the first halves the size, down to the latents'."""
    block_out_channels: tuple[int, ...] = (320, 640, 1280)
    layers_per_block: int = 2
    transformer_depth: tuple[int, ...] = (0, 2, 10)
    """Transformer blocks in each attention of each level, finest level first; 0: none."""
    base_transformer_depth: tuple[int, ...] = ()
    """The same of the base UNet, where it differs from the trunk's; empty: as ``transformer_depth``."""
    mid_depth: int = 10
    head_channels: int = 64
    context_dim: int = 2048
    pooled_dim: int = 1280
    size_embedding_dim: int = 256
    norm_groups: int = 32

    # What reads faces ---------------------------------------------------------------------------------------
    recognizer: str = "antelopev2"
    """Id of the face recognizer whose embeddings the network was trained with."""
    embedding_dim: int = 512
    embedding_kind: str = "raw"
    """``raw``: embeddings as the recognizer gives them (InstantID); ``unit``: of length one."""
    embedding_scale: float = 1.0
    """Factor on embeddings, before anything else."""
    identity_tokens: int = 16
    resampler_dim: int = 1280
    resampler_depth: int = 4
    resampler_heads: int = 20
    resampler_head_channels: int = 64
    resampler_ff_mult: int = 4
    image_encoder: str = ""
    """Id of the CLIP image encoder; empty: none is needed."""
    clip_dim: int = 0
    crop_size: int = 224
    pyramid_widths: tuple[int, ...] = (64, 128, 256, 384, 512)
    """Widths of the convolutional pyramid on the crop; each halves the size."""
    detail_levels: tuple[int, ...] = (3, 4)
    """Steps of the pyramid that become detail tokens; 3 has one token for 16 x 16 pixels."""
    detail_channels: int = 512
    """Width of a detail token; 0: no detail tokens and no fusion, which is what InstantID has."""
    refiner_depth: int = 2
    refiner_head_channels: int = 64
    face_queries: int = 16
    """Queries with which each face is read before the faces look at each other."""

    # UV textures --------------------------------------------------------------------------------------------
    texture_size: int = 0
    """Side of the UV texture of a head, px; 0: references are read as tokens alone. Needs detail tokens."""
    uv_layout: str = FACE72
    """Layout of that texture, one of `UV_LAYOUTS`; files that name none have the first."""
    texture_widths: tuple[int, int] = (16, 32)
    """Widths of the network that estimates the confidence of each reference."""
    texture_encoder_width: int = 96
    """Width of the encoder of the texture as it is warped onto the target."""
    x0_guidance_gain: float = 1.0
    """Factor on the logits of the x0 guidance weight on the head; chosen after training."""

    # Alignment ----------------------------------------------------------------------------------------------
    fusion_levels: tuple[bool, ...] = (True, True, True)
    """Levels whose transformer blocks have fusion attention; the middle block follows the last."""
    coordinate_frequencies: int = 6
    """Fourier features of u and v: sine and cosine at 1/2, 1, 2, 4, ... periods per face."""
    landmark_style: str = "kps5"
    """How landmarks were drawn in training: a name of ``landmarks.draw.STYLES``."""
    base: str = "sdxl"
    """Base model that the checkpoint was trained on."""

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together.

        Raises
        ------
        ValueError
            One line that names the field.
        """
        check_fields(self, LIMITS)
        self._check_trunk()
        if self.detail_channels:
            self._check_details()
        elif self.texture_size:
            raise ValueError("configuration: texture_size needs detail tokens (detail_channels)")
        if self.uv_layout not in UV_LAYOUTS:
            raise ValueError(
                f"configuration: uv_layout is {text.echoed(self.uv_layout)}, this version knows "
                f"{' and '.join(UV_LAYOUTS)}; update the pack"
            )
        if self.texture_size % 8:
            raise ValueError("configuration: texture_size must be a multiple of 8")

    def _check_trunk(self) -> None:
        levels = len(self.block_out_channels)
        if self.vector_dim < 1:
            raise ValueError(f"configuration: pooled_dim and size_embedding_dim add up to {self.vector_dim}")
        if not levels or not self.hint_widths:
            raise ValueError("configuration: block_out_channels and hint_widths need at least one entry")
        for name in ("transformer_depth", "fusion_levels", "base_transformer_depth"):
            if name == "base_transformer_depth" and not self.base_transformer_depth:
                continue
            if len(getattr(self, name)) != levels:
                raise ValueError(f"configuration: {name} needs one entry for each of the {levels} levels")
        if self.embedding_kind not in ("raw", "unit"):
            raise ValueError(f"configuration: embedding_kind is {self.embedding_kind!r}, not 'raw' or 'unit'")
        for width in self.block_out_channels:
            if width % self.head_channels or width % self.norm_groups:
                raise ValueError(
                    f"configuration: {width} channels do not divide into heads of {self.head_channels} "
                    f"and {self.norm_groups} groups"
                )
        for depths in (self.transformer_depth, self.base_transformer_depth):
            blocks = sum(depths) * (2 * self.layers_per_block + 1) + self.mid_depth
            if blocks > MOST_TRANSFORMERS:
                raise ValueError(
                    f"configuration: its transformer depths make {blocks} blocks, at most "
                    f"{MOST_TRANSFORMERS} are possible"
                )

    def _check_details(self) -> None:
        if self.detail_channels % self.refiner_head_channels:
            raise ValueError("configuration: detail_channels must be a multiple of refiner_head_channels")
        if not self.detail_levels or max(self.detail_levels) >= len(self.pyramid_widths):
            raise ValueError("configuration: detail_levels must name steps of pyramid_widths")
        if self.crop_size % 2 ** (max(self.detail_levels) + 1):
            raise ValueError("configuration: crop_size does not halve as often as detail_levels need")
        if self.detail_tokens > MOST_DETAIL_TOKENS:
            raise ValueError(
                f"configuration: crop_size and detail_levels make {self.detail_tokens} detail tokens of a "
                f"face, more than {MOST_DETAIL_TOKENS}"
            )

    # Presets ------------------------------------------------------------------------------------------------
    @classmethod
    def sdxl(cls, texture_size: int = 0) -> HiFiNetConfig:
        """Sizes for SDXL: InstantID's parts, plus detail tokens and fusion.

        Parameters
        ----------
        texture_size : int
            Side of the UV texture, px, in the photographic head's layout; 0: none.
        """
        return cls(texture_size=texture_size, uv_layout=HEAD if texture_size else FACE72)

    @classmethod
    def tiny(cls) -> HiFiNetConfig:
        """Sizes for the tiny portrait model: 128 px, 16 x 16 latents of 16 channels, SFace."""
        return cls(
            latent_channels=16,
            hint_widths=(4, 8, 16, 32),
            block_out_channels=(64, 64),
            layers_per_block=1,
            transformer_depth=(1, 1),  # fusion at the latents' own resolution
            base_transformer_depth=(0, 1),
            mid_depth=1,
            head_channels=32,
            context_dim=64,
            pooled_dim=64,
            recognizer="sface",
            embedding_dim=128,
            embedding_kind="unit",
            embedding_scale=11.3,  # sqrt(128): entries of a unit embedding get unit variance
            identity_tokens=8,
            resampler_dim=128,
            resampler_depth=2,
            resampler_heads=4,
            resampler_head_channels=32,
            resampler_ff_mult=2,
            crop_size=96,  # a token covers as much of the face as a latent does
            pyramid_widths=(16, 32, 64),
            detail_levels=(2,),
            detail_channels=64,
            refiner_depth=1,
            refiner_head_channels=32,
            face_queries=8,
            texture_size=128,
            fusion_levels=(True, True),
            landmark_style="mesh72",
            base="hifi-portrait-tiny",
        )

    # Derived ------------------------------------------------------------------------------------------------
    @property
    def vector_dim(self) -> int:
        """Length of ``y``: pooled text and the embeddings of picture sizes."""
        return self.pooled_dim + SIZE_EMBEDDINGS * self.size_embedding_dim

    @property
    def latent_downscale(self) -> int:
        """Pixels of the picture per latent pixel, along each side.

        The drawing's encoder brings pictures to the size of the latents, so its depth tells; `patching.apply`
        compares it with what the host's latent format says. Nothing else in the project states the factor.
        """
        return 1 << (len(self.hint_widths) - 1)

    @property
    def coordinate_dim(self) -> int:
        """Length of the Fourier features of canonical coordinates, with the face flag."""
        return 4 * self.coordinate_frequencies + 1

    @property
    def detail_tokens(self) -> int:
        """Detail tokens of one face, without those of CLIP."""
        if not self.detail_channels:
            return 0
        return sum((self.crop_size >> (level + 1)) ** 2 for level in self.detail_levels)

    def identity_layers(self) -> tuple[IdentityLayer, ...]:
        """Cross-attention layers of the base UNet in InstantID's order: encoder, decoder, middle."""
        layers, widths = self.layers_per_block, self.block_out_channels
        depths = self.base_transformer_depth or self.transformer_depth
        found = []
        for level, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for layer in range(layers):
                number = 1 + level * (layers + 1) + layer
                found += [IdentityLayer("input", number, i, width) for i in range(depth)]
        pairs = list(zip(widths, depths, strict=True))
        for level, (width, depth) in enumerate(reversed(pairs)):
            for layer in range(layers + 1):
                number = level * (layers + 1) + layer
                found += [IdentityLayer("output", number, i, width) for i in range(depth)]
        found += [IdentityLayer("middle", 0, i, widths[-1]) for i in range(self.mid_depth)]
        return tuple(found)

    # JSON ---------------------------------------------------------------------------------------------------
    def to_json(self) -> str:
        """One line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> HiFiNetConfig:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            Not JSON, unknown fields, fields of another type or beyond `LIMITS`, or sizes that do not fit
            together; one line that names the field.
        """
        return from_json(cls, text)

"""Between what every size of a network lies; a configuration comes out of a file that others made.

*Ours*: several times what any known base model needs, and little enough that networks of the largest sizes
are described (on the meta device) in seconds.
"""

from __future__ import annotations

from ..boundary.fields import Limits

LIMITS = {
    "latent_channels": Limits(1, 256),
    "hint_channels": Limits(1, 16),
    "hint_widths": Limits(1, 4096),
    "block_out_channels": Limits(1, 8192),
    "layers_per_block": Limits(1, 8),
    "transformer_depth": Limits(0, 64),
    "base_transformer_depth": Limits(0, 64),
    "mid_depth": Limits(0, 64),
    "head_channels": Limits(1, 1024),
    "context_dim": Limits(1, 8192),
    # Negative where a small base has no room for SDXL's embeddings of sizes: only the sum counts.
    "pooled_dim": Limits(-6 * 4096, 16384),
    "size_embedding_dim": Limits(2, 4096),
    "norm_groups": Limits(1, 256),
    "embedding_dim": Limits(1, 8192),
    "embedding_scale": Limits(1e-6, 1e6),
    "identity_tokens": Limits(1, 256),
    "resampler_dim": Limits(1, 16384),
    "resampler_depth": Limits(0, 64),
    "resampler_heads": Limits(1, 256),
    "resampler_head_channels": Limits(1, 1024),
    "resampler_ff_mult": Limits(1, 16),
    "clip_dim": Limits(0, 8192),
    "crop_size": Limits(8, 2048),
    "pyramid_widths": Limits(1, 8192, most=10),
    "detail_levels": Limits(0, 9, most=10),
    "detail_channels": Limits(0, 8192),
    "refiner_depth": Limits(0, 64),
    "refiner_head_channels": Limits(1, 1024),
    "face_queries": Limits(1, 1024),
    "texture_size": Limits(0, 2048),
    "texture_widths": Limits(1, 4096, most=2),
    "texture_encoder_width": Limits(1, 4096),
    "x0_guidance_gain": Limits(-1e3, 1e3),
    "coordinate_frequencies": Limits(0, 16),
}
MOST_TRANSFORMERS = 512
"""Transformer blocks of the base UNet or of the trunk; SDXL has 70."""
MOST_DETAIL_TOKENS = 4096
"""Detail tokens of one face; the paper's sizes have 245."""

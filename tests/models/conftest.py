"""Fixtures: random networks, and InstantID's files with random weights of the same sizes."""

from pathlib import Path

import pytest
import torch
from hifi_portrait.models import HiFiPortrait

from tests.models.networks import SMALL, random_portrait, randomise
from tests.models.parity import write_instantid_files


@pytest.fixture(scope="session")
def small() -> HiFiPortrait:
    """Networks of the configuration SMALL, all weights random."""
    return random_portrait(SMALL)


@pytest.fixture(scope="session")
def instantid_files(tmp_path_factory) -> tuple[Path, Path]:
    """IdentityNet's and the adapter's file, in InstantID's formats, with random weights of SMALL's sizes."""
    return write_instantid_files(tmp_path_factory.mktemp("instantid"))


@pytest.fixture(scope="session")
def comfy_unet():
    """Return a function that makes ComfyUI's UNet for a configuration, all weights random."""
    from harness.host import import_host

    import_host()
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    def make(config):
        widths = config.block_out_channels
        depths = config.base_transformer_depth or config.transformer_depth
        unet = UNetModel(
            image_size=16,
            in_channels=config.latent_channels,
            out_channels=config.latent_channels,
            model_channels=widths[0],
            channel_mult=[w // widths[0] if w % widths[0] == 0 else w / widths[0] for w in widths],
            num_res_blocks=[config.layers_per_block] * len(widths),
            transformer_depth=[d for d in depths for _ in range(config.layers_per_block)],
            transformer_depth_output=[d for d in depths for _ in range(config.layers_per_block + 1)],
            transformer_depth_middle=config.mid_depth,
            context_dim=config.context_dim,
            num_head_channels=config.head_channels,
            num_heads=-1,
            use_spatial_transformer=True,
            use_linear_in_transformer=True,
            adm_in_channels=config.vector_dim,
            num_classes="sequential",
            legacy=False,
            dtype=torch.float32,
            operations=comfy.ops.disable_weight_init,
        )
        randomise(unet, 5)
        return unet.eval().requires_grad_(False)

    return make

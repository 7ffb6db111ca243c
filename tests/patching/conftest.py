"""A small random SDXL on a real host, and a small random HiFi-Net that fits it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hifi_portrait.models import checkpoint
from hifi_portrait.models.portrait import HiFiPortrait, build

from tests.patching.small import (
    CONFIG,
    TWO_LEVELS,
    Identity,
    make_hifi_net,
    make_identity,
    make_landmarks,
    make_model,
    randomise,
)


@pytest.fixture(scope="session")
def model():
    """A small random SDXL."""
    return make_model()


@pytest.fixture(scope="session")
def network() -> HiFiPortrait:
    """A small random HiFi-Net, not in the host's care."""
    made = build(CONFIG).eval()
    randomise(made, 1)
    return made.requires_grad_(False)


@pytest.fixture(scope="session")
def checkpoint_file(network, tmp_path_factory):
    """Its checkpoint."""
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    checkpoint.save(path, network, CONFIG, {"title": "small"})
    return path


@pytest.fixture(scope="session")
def hifi_net(checkpoint_file):
    """It, loaded as ComfyUI loads it."""
    from hifi_portrait.patching.loading import load_hifi_net

    return load_hifi_net(checkpoint_file)


@pytest.fixture(scope="session")
def identity(hifi_net) -> Identity:
    """A random person."""
    return make_identity(hifi_net.network, 0)


@pytest.fixture(scope="session")
def other_identity(hifi_net) -> Identity:
    """Another random person."""
    return make_identity(hifi_net.network, 1)


@pytest.fixture(scope="session")
def landmarks():
    """A face in the middle."""
    return make_landmarks((10.0, 5.0, 0.0))


@pytest.fixture(scope="session")
def two_levels():
    """A MODEL with few layers and a HiFi-Net that fits it, for what is slow or done often."""
    config = replace(
        CONFIG,
        block_out_channels=(32, 64),
        layers_per_block=1,
        transformer_depth=(0, 1),
        mid_depth=1,
        fusion_levels=(True, True),
    )
    return make_model(0, **TWO_LEVELS), make_hifi_net(config, 3)

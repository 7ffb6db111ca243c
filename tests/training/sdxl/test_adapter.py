"""The networks on diffusers' UNet compute what the patch computes on ComfyUI's, with the same weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hifi_portrait.models.portrait import build
from hifi_portrait.models.tokens import FaceBatch
from hifi_portrait.models.warm_start import copy_trunk
from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.settings import PatchSettings
from hifi_portrait.patching.target_maps import picture_maps
from hifi_portrait.training.sdxl.adapter import PortraitUNet
from hifi_portrait.training.sdxl.base import network_config

from tests.models.networks import random_faces
from tests.models.reference import diffusers_unet
from tests.patching.small import (
    CONFIG,
    conditioning,
    make_hifi_net,
    make_identity,
    make_landmarks,
    make_model,
    sample,
    unet_config,
)


def as_diffusers(model) -> torch.nn.Module:
    """Return diffusers' UNet with the weights of a small MODEL, by the host's own table of names."""
    import comfy.utils

    names = comfy.utils.unet_to_diffusers(unet_config())
    ours = model.model.diffusion_model.state_dict()
    unet = diffusers_unet(CONFIG)
    wanted = unet.state_dict()
    unet.load_state_dict({theirs: ours[name] for theirs, name in names.items() if theirs in wanted})
    return unet


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_the_adapter_predicts_what_the_patch_predicts(prediction):
    import comfy.model_sampling

    model, seen = make_model(5), []
    if prediction == "v":

        class Sampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.V_PREDICTION):
            pass

        model.add_object_patch("model_sampling", Sampling(model.model.model_config))
    unet = as_diffusers(model)

    def look(executor, x, timesteps, context, y, control, transformer_options, **kwargs):
        out = executor(x, timesteps, context, y, control, transformer_options, **kwargs)
        seen.append([t.clone() for t in (x, timesteps, context, y, out)])
        return out

    # Registered before the patch, so that it sees what leaves the patch.
    model.add_wrapper_with_key("diffusion_model", "look", look)
    hifi_net = make_hifi_net(CONFIG, 3)
    landmarks = make_landmarks((10.0, 5.0, 0.0))
    batch = random_faces(CONFIG, 2)
    batch = replace(batch, weights=torch.ones(2))
    with torch.no_grad():
        tokens, detail = hifi_net.network.refiner(batch)
    identity = make_identity(hifi_net.network, 0, tokens=tokens, detail=detail)
    full = PatchSettings(identity_strength=1.0, landmark_strength=1.0)
    patched = apply_hifi_net(model, hifi_net, identity, landmarks, full)
    sample(patched, cfg=1.0, steps=2)
    plain = len(seen)
    sample(model, cfg=1.0, steps=2)

    portrait = build(CONFIG)
    portrait.load_state_dict(hifi_net.network.state_dict())
    sigmas = model.get_model_object("model_sampling").sigmas
    system = PortraitUNet(unet, portrait, (1 + sigmas**2).rsqrt(), prediction)
    maps = picture_maps(landmarks, 0, (16, 16), CONFIG, with_uv=True)
    side = torch.tensor([[128.0, 128, 0, 0, 128, 128]])
    pooled = conditioning(0)[0][1]["pooled_output"]
    for (x, time, text, _, wanted), bare in zip(seen[:plain], seen[plain:], strict=True):
        with torch.no_grad():
            made = system(x, time, text, pooled, side, batch.batched(), maps)[0]
        assert (made - wanted).abs().max() < 1e-4
        assert (bare[4] - wanted).abs().max() > 1e-2, "the networks are at work"


def test_a_network_that_starts_from_the_encoder_changes_nothing_until_it_is_trained():
    unet = as_diffusers(make_model(5))

    class Sizes:
        class config:  # noqa: N801
            block_out_channels = (1, 1, 1, 1)

    config = network_config(
        unet, Sizes, {"texture_size": 0, "detail_channels": 32, "refiner_head_channels": 32}
    )
    assert config.block_out_channels == CONFIG.block_out_channels
    assert config.transformer_depth == CONFIG.transformer_depth
    assert len(config.identity_layers()) == len(CONFIG.identity_layers())
    portrait = build(config)
    before = portrait.hifi_net.down_blocks[1].resnets[0].conv1.weight.clone()
    assert copy_trunk(portrait.hifi_net, unet.state_dict()) > 100
    assert not torch.equal(before, portrait.hifi_net.down_blocks[1].resnets[0].conv1.weight)
    system = PortraitUNet(unet, portrait, torch.linspace(1, 0, 1000), "eps")
    x, text, pooled = torch.randn(1, 4, 16, 16), torch.randn(1, 77, 64), torch.randn(1, 1280)
    sizes, time = torch.tensor([[128.0, 128, 0, 0, 128, 128]]), torch.tensor([500])
    maps = picture_maps(make_landmarks(), 0, (16, 16), config, with_uv=False)
    faces: FaceBatch = random_faces(config, 2).batched()
    with torch.no_grad():
        with_networks = system(x, time, text, pooled, sizes, faces, maps)[0]
        alone = unet(x, time, text, added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes}).sample
    assert (with_networks - alone).abs().max() < 1e-5

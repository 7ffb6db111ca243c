"""Works with the host's samplers, ControlNet, LoRA, merging, compilation, inpainting, two passes."""

from __future__ import annotations

import os
import shutil

import pytest
import torch
from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.settings import PatchSettings

from tests.patching.small import (
    TWO_LEVELS,
    Watch,
    conditioning,
    make_identity,
    make_landmarks,
    make_model,
    randomise,
    sample,
    unet_config,
)

ON = PatchSettings(1.0, 1.0)


@pytest.fixture
def patched(model, hifi_net, identity, landmarks):
    return apply_hifi_net(model, hifi_net, identity, landmarks, ON)


@pytest.fixture(scope="module")
def core():
    """ComfyUI's core nodes."""
    import nodes

    assert hasattr(nodes, "KSampler"), "another module named nodes is in the way"
    return nodes


@torch.inference_mode()
def run(node, *args, **kwargs):
    return node(*args, **kwargs)


def empty(size=(16, 16), batch=1):
    return {"samples": torch.zeros(batch, 4, *size)}


# Samplers -------------------------------------------------------------------------------------------------
def test_ksampler(core, model, patched):
    results = [
        run(
            core.KSampler().sample,
            m,
            3,
            2,
            4.0,
            "dpmpp_2m",
            "karras",
            conditioning(0),
            conditioning(1),
            empty(),
        )
        for m in (model, patched, patched)
    ]
    a, b, c = (r[0]["samples"] for r in results)
    assert b.isfinite().all()
    assert not a.equal(b)
    assert b.equal(c)


def test_ksampler_advanced_in_two_parts_is_one_run(core, patched):
    def part(start, end, noise, leftover, latent):
        return run(
            core.KSamplerAdvanced().sample,
            patched,
            noise,
            3,
            4,
            4.0,
            "euler",
            "normal",
            conditioning(0),
            conditioning(1),
            latent,
            start,
            end,
            leftover,
        )[0]

    whole = part(0, 4, "enable", "disable", empty())["samples"]
    first = part(0, 2, "enable", "enable", empty())
    both = part(2, 4, "disable", "disable", first)["samples"]
    torch.testing.assert_close(both, whole, atol=1e-4, rtol=1e-4)


def test_sampler_custom_advanced(patched):
    import comfy.samplers
    from comfy_extras import nodes_custom_sampler as custom

    noise = custom.RandomNoise.execute(3)[0]
    sampler = custom.KSamplerSelect.execute("euler_ancestral")[0]
    sigmas = custom.BasicScheduler.execute(patched, "karras", 3, 1.0)[0]
    guider = custom.CFGGuider.execute(patched, conditioning(0), conditioning(1), 4.0)[0]
    basic = custom.BasicGuider.execute(patched, conditioning(0))[0]
    assert isinstance(guider, comfy.samplers.CFGGuider)
    for each in (guider, basic):
        out = run(custom.SamplerCustomAdvanced.execute, noise, each, sampler, sigmas, empty())[0]
        assert out["samples"].isfinite().all()


def test_two_passes(core, patched):
    first = run(
        core.KSampler().sample,
        patched,
        3,
        2,
        4.0,
        "euler",
        "normal",
        conditioning(0),
        conditioning(1),
        empty(),
    )[0]
    larger = {"samples": torch.nn.functional.interpolate(first["samples"], scale_factor=1.5)}
    watch = Watch(patched)
    second = run(
        core.KSampler().sample,
        watch.model,
        3,
        2,
        4.0,
        "euler",
        "normal",
        conditioning(0),
        conditioning(1),
        larger,
        0.5,
    )[0]["samples"]
    assert second.shape[-2:] == (24, 24)
    assert second.isfinite().all()
    assert [c["output"][0].shape[-1] for c in watch.control] == [24, 24]


# ControlNet -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def controlnet():
    """A small random core ControlNet."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops

    config = unet_config(hint_channels=3, operations=comfy.ops.manual_cast)
    for name in ("out_channels", "transformer_depth_output"):
        config.pop(name)
    network = comfy.cldm.cldm.ControlNet(**config)
    randomise(network, 7)
    return comfy.controlnet.ControlNet(network.requires_grad_(False), load_device=torch.device("cpu"))


def test_core_controlnet_on_the_same_conditioning(core, model, patched, controlnet):
    image = torch.rand(1, 128, 128, 3, generator=torch.Generator().manual_seed(0))
    controlled = run(
        core.ControlNetApplyAdvanced().apply_controlnet,
        conditioning(0),
        conditioning(1),
        controlnet,
        image,
        0.7,
        0.0,
        1.0,
    )
    watches = [Watch(model), Watch(patched), Watch(patched)]
    conds = [controlled, (conditioning(0), conditioning(1)), controlled]
    for watch, (positive, negative) in zip(watches, conds, strict=True):
        sample(watch.model, positive=positive, negative=negative, steps=1)
    theirs, ours, both = (watch.control[0] for watch in watches)
    for name in ("output", "middle"):
        assert len(both[name]) == len(theirs[name])
        for a, b, c in zip(theirs[name], ours[name], both[name], strict=True):
            torch.testing.assert_close(c, a + b)


def test_a_control_with_fewer_residuals_is_aligned_at_the_deep_end():
    from hifi_portrait.patching.residuals import merge_control

    one = torch.ones(1)
    control = {"output": [None, one], "input": [one]}
    merged = merge_control(control, [one, one * 2, one * 3, None], one * 5)
    assert [None if r is None else r.item() for r in merged["output"]] == [1, 2, 3, 1]
    assert merged["middle"] == [one * 5]
    assert merged["input"] == [one]
    assert control == {"output": [None, one], "input": [one]}


# LoRA, merging, attention nodes ---------------------------------------------------------------------------
def lora_weights(model):
    """Return a LoRA for one cross-attention and one convolution of the UNet."""
    generator = torch.Generator().manual_seed(9)
    state = {}
    for key in (
        "middle_block.1.transformer_blocks.0.attn2.to_q",
        "middle_block.1.transformer_blocks.1.attn1.to_v",
    ):
        weight = model.model.diffusion_model.get_submodule(key).weight
        name = "diffusion_model." + key
        state[f"{name}.lora_up.weight"] = torch.randn(weight.shape[0], 2, generator=generator)
        state[f"{name}.lora_down.weight"] = torch.randn(2, weight.shape[1], generator=generator)
    return state


def test_lora_before_or_after_is_the_same(model, hifi_net, identity, landmarks, patched):
    import comfy.sd

    weights = lora_weights(model)
    before, _ = comfy.sd.load_lora_for_models(model, None, weights, 0.5, 0.0)
    assert before.patches
    after, _ = comfy.sd.load_lora_for_models(patched, None, weights, 0.5, 0.0)
    results = [sample(apply_hifi_net(before, hifi_net, identity, landmarks, ON)), sample(after)]
    assert results[0].equal(results[1])
    assert not results[0].equal(sample(patched))
    assert not results[0].equal(sample(before))


def test_lora_as_a_hook_on_the_conditioning(model, patched):
    import comfy.hooks

    hooks = comfy.hooks.create_hook_lora(lora_weights(model), 1.0, 0.0)
    positive = conditioning(0, hooks=hooks)
    result = sample(patched, positive=positive)
    assert result.isfinite().all()
    assert not result.equal(sample(patched))
    assert not result.equal(sample(model, positive=positive))


def test_model_merging(few_layers, two_levels):
    from comfy_extras.nodes_model_merging import ModelMergeSimple

    one, hifi_net = two_levels
    two = make_model(5, **TWO_LEVELS)
    merge = getattr(ModelMergeSimple, "execute", None) or ModelMergeSimple().merge
    identity = make_identity(hifi_net.network, 0)
    after = merge(few_layers, two, 0.5)[0]
    before = apply_hifi_net(merge(one, two, 0.5)[0], hifi_net, identity, make_landmarks(), ON)
    results = [sample(after), sample(before)]
    torch.testing.assert_close(*results)
    assert not results[0].equal(sample(few_layers))


def test_attention_multiply(model, hifi_net, identity, landmarks, patched):
    from comfy_extras.nodes_attention_multiply import UNetCrossAttentionMultiply

    execute = getattr(UNetCrossAttentionMultiply, "execute", None) or UNetCrossAttentionMultiply().patch
    after = execute(patched, 1.2, 0.8, 1.0, 1.1)[0]
    before = apply_hifi_net(execute(model, 1.2, 0.8, 1.0, 1.1)[0], hifi_net, identity, landmarks, ON)
    assert sample(after).equal(sample(before))
    assert not sample(after).equal(sample(patched))


def test_free_lunch_and_hypertile(patched):
    from comfy_extras.nodes_freelunch import FreeU_V2
    from comfy_extras.nodes_hypertile import HyperTile

    free = getattr(FreeU_V2, "execute", None) or FreeU_V2().patch
    tile = getattr(HyperTile, "execute", None) or HyperTile().patch
    for each in (free(patched, 1.1, 1.2, 0.9, 0.4)[0], tile(patched, 64, 2, 0, False)[0]):
        assert sample(each).isfinite().all()


# Coupling regions by attention: the host's own way are masked conditionings -------------------------------
def test_conditionings_with_masks_and_several_prompts(patched, model):
    mask = torch.zeros(1, 16, 16)
    mask[..., :8] = 1.0
    positive = [*conditioning(0, mask=mask, mask_strength=1.0), *conditioning(4, mask=1.0 - mask)]
    watch = Watch(patched)
    sample(watch.model, positive=positive, steps=1)
    _, chunks = watch.inputs[0]
    rows = watch.control[0]["middle"][0]
    assert [bool(rows[i].any()) for i in range(len(chunks))] == [chunk == 0 for chunk in chunks]
    assert len(chunks) == 3


# Inpainting -----------------------------------------------------------------------------------------------
def test_inpainting_model(hifi_net, identity, landmarks):
    model = make_model(0, in_channels=9)
    patched = apply_hifi_net(model, hifi_net, identity, landmarks, ON)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 8:] = 1.0
    latent = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    extra = {"concat_latent_image": latent, "concat_mask": mask}
    results = [
        sample(
            m,
            latent=latent,
            noise_mask=mask,
            positive=conditioning(0, **extra),
            negative=conditioning(1, **extra),
        )
        for m in (model, patched)
    ]
    assert results[1].isfinite().all()
    assert not results[0].equal(results[1])
    torch.testing.assert_close(results[1][..., :8], latent[..., :8])


def test_inpainting_with_a_noise_mask(model, patched):
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 8:] = 1.0
    latent = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    result = sample(patched, latent=latent, noise_mask=mask)
    torch.testing.assert_close(result[..., :8], latent[..., :8])
    assert not result.equal(sample(model, latent=latent, noise_mask=mask))


# Compilation ----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def few_layers(two_levels):
    """A patched MODEL with few layers, for compilers are slow."""
    model, hifi_net = two_levels
    return apply_hifi_net(model, hifi_net, make_identity(hifi_net.network, 0), make_landmarks(), ON)


@pytest.fixture
def compiler(monkeypatch):
    """The compiler with nothing remembered, and the attention that the host uses on a GPU."""
    from comfy.ldm.modules import attention

    monkeypatch.setattr(attention, "optimized_attention", attention.attention_pytorch)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    return torch._dynamo.utils.counters["stats"]


def test_compiled_model_is_one_graph_and_gives_the_same(few_layers, compiler):
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    execute = getattr(TorchCompileModel, "execute", None) or TorchCompileModel().patch
    expected = sample(few_layers)
    compiled = execute(few_layers, "eager")[0]
    torch.testing.assert_close(sample(compiled), expected, atol=1e-4, rtol=1e-4)
    assert compiler["unique_graphs"] == 1
    # Another run must not compile anew for its new state.
    with torch._dynamo.config.patch(error_on_recompile=True):
        torch.testing.assert_close(sample(compiled), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(
    "HIFI_PORTRAIT_COMPILE" not in os.environ, reason="minutes of C++; set HIFI_PORTRAIT_COMPILE"
)
def test_compiled_to_machine_code(few_layers, compiler):
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("no C++ compiler on this machine")
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    execute = getattr(TorchCompileModel, "execute", None) or TorchCompileModel().patch
    compiled = execute(few_layers, "inductor")[0]
    torch.testing.assert_close(sample(compiled), sample(few_layers), atol=1e-3, rtol=1e-3)

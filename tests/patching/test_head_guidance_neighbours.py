"""Guide with Head with every kind of model, sampler and guider, beside other patches, and over many runs."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import pytest
import torch
from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.head_guidance import (
    KEY,
    GuideSettings,
    applied_guides,
    guide_with_head,
)
from hifi_portrait.patching.host import noise_share

from tests.patching.guidance import FULL, Step, noise, one_step, render
from tests.patching.small import (
    CLONE_RULES,
    TWO_LEVELS,
    Watch,
    conditioning,
    make_model,
    randomise,
    sample,
    set_clone_rule,
    unet_config,
)
from tests.patching.test_neighbours import lora_weights


# Any kind of model, sampler and guider --------------------------------------------------------------------
def with_sampling(model, *kinds):
    """Return the MODEL with another kind of prediction, patched in as the host's own nodes do."""

    class Sampling(*kinds):
        pass

    changed = model.clone()
    changed.add_object_patch("model_sampling", Sampling(model.model.model_config))
    return changed


@pytest.mark.parametrize("kind", ["v", "flow", "EDM"])
def test_every_kind_of_prediction(model, kind):
    import comfy.model_sampling as sampling

    kinds = {
        "v": (sampling.ModelSamplingDiscrete, sampling.V_PREDICTION),
        "flow": (sampling.ModelSamplingDiscreteFlow, sampling.CONST),
        "EDM": (sampling.ModelSamplingContinuousEDM, sampling.EDM),
    }[kind]
    changed = with_sampling(model, *kinds)
    wanted = render()
    settings = GuideSettings(0.6, falloff=1.0)
    before, after, sigma = one_step(guide_with_head(changed, wanted, settings))
    target = model.model.process_latent_in(wanted.latents)
    expected = sigma if kind == "flow" else sigma / math.hypot(sigma, 1.0)
    torch.testing.assert_close(after, before + 0.6 * expected * (target - before), atol=2e-4, rtol=1e-4)
    sampled = sample(guide_with_head(changed, wanted, FULL), steps=3)
    torch.testing.assert_close(sampled, wanted.latents, atol=1e-3, rtol=1e-3)


def test_the_share_of_noise():
    import comfy.model_sampling as sampling

    flow = type("Flow", (sampling.CONST,), {})()
    assert [noise_share(flow, sigma) for sigma in (0.0, 0.3, 1.0)] == [0.0, 0.3, 1.0]
    edm = type("Edm", (sampling.EDM,), {})()
    edm.sigma_data = 0.5
    assert noise_share(edm, 0.5) == pytest.approx(0.5**0.5)
    assert noise_share(object(), 0.0) == 0.0


@pytest.mark.parametrize("name", ["euler_ancestral", "dpmpp_2m_sde", "heun", "uni_pc", "lcm"])
def test_every_sampler(model, name):
    import comfy.sample

    wanted = render()
    with torch.inference_mode():
        sampled = comfy.sample.sample(
            guide_with_head(model, wanted, FULL),
            noise(1, 1, 4, 16, 16),
            4,
            3.0,
            name,
            "normal",
            conditioning(0),
            conditioning(1),
            torch.zeros(1, 4, 16, 16),
            disable_pbar=True,
            seed=1,
        )
    # Samplers of higher order mix steps and end beside the last prediction, as they do without a guide.
    assert (sampled - wanted.latents).abs().mean() < 0.15


def guiders(model):
    import comfy.samplers
    from comfy_extras.nodes_custom_sampler import Guider_Basic, Guider_DualCFG
    from comfy_extras.nodes_perpneg import Guider_PerpNeg

    basic = Guider_Basic(model)
    basic.set_conds(conditioning(0))
    cfg = comfy.samplers.CFGGuider(model)
    cfg.set_conds(conditioning(0), conditioning(1))
    cfg.set_cfg(1.0)
    perp = Guider_PerpNeg(model)
    perp.set_conds(conditioning(0), conditioning(1), conditioning(2))
    perp.set_cfg(3.0, 1.0)
    dual = Guider_DualCFG(model)
    dual.set_conds(conditioning(0), conditioning(2), conditioning(1))
    dual.set_cfg(3.0, 2.0)
    return {"basic": basic, "cfg 1": cfg, "perp-neg": perp, "dual": dual}


@pytest.mark.parametrize("name", ["basic", "cfg 1", "perp-neg", "dual"])
def test_every_guider_of_the_host(model, name):
    import comfy.samplers

    def run(guided):
        with torch.inference_mode():
            return guiders(guided)[name].sample(
                noise(1, 1, 4, 16, 16),
                torch.zeros(1, 4, 16, 16),
                comfy.samplers.sampler_object("euler"),
                torch.tensor([8.0, 2.0, 0.0]),
                disable_pbar=True,
                seed=1,
            )

    wanted = render()
    plain, guided = (run(m) - wanted.latents for m in (model, guide_with_head(model, wanted, FULL)))
    # The dual guider adds its second guidance after the post-CFG functions.
    assert guided.abs().mean() < (0.8 if name == "dual" else 1e-3) * plain.abs().mean()


def test_video_latents_are_guided_frame_by_frame(model):
    wanted = render(count=3)
    guide = applied_guides(guide_with_head(model, wanted, FULL))[0]
    x0 = noise(3, 2, 4, 3, 16, 16)
    args = {
        "denoised": x0,
        "sigma": torch.tensor([2.0, 2.0]),
        "model": model.model,
        "model_options": {},
    }
    target = model.model.process_latent_in(wanted.latents).movedim(0, 1)
    torch.testing.assert_close(guide(args), target.expand(2, -1, -1, -1, -1), atol=1e-5, rtol=1e-5)
    single = guide({**args, "denoised": x0[:, :, :1]})
    torch.testing.assert_close(single[:, :, 0], target.movedim(1, 0)[:2], atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="are no pictures"):
        guide({**args, "denoised": x0[0, 0]})


# Neighbours -----------------------------------------------------------------------------------------------
def test_inpainting_keeps_what_is_not_to_be_painted(model):
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 8:] = 1.0
    latent, wanted = noise(1, 1, 4, 16, 16), render()
    result = sample(guide_with_head(model, wanted, FULL), latent=latent, noise_mask=mask)
    torch.testing.assert_close(result[..., :8], latent[..., :8])
    torch.testing.assert_close(result[..., 8:], wanted.latents[..., 8:], atol=1e-4, rtol=1e-4)


def test_it_stacks_with_hifi_net(model, hifi_net, identity, landmarks):
    guide = render(confidence=torch.tensor(0.5))
    first = guide_with_head(apply_hifi_net(model, hifi_net, identity, landmarks), guide)
    second = apply_hifi_net(guide_with_head(model, guide), hifi_net, identity, landmarks)
    results = [sample(each) for each in (first, second)]
    assert results[0].equal(results[1])
    for alone in (guide_with_head(model, guide), apply_hifi_net(model, hifi_net, identity, landmarks)):
        assert not sample(alone).equal(results[0])
    watches = [Watch(each) for each in (first, apply_hifi_net(model, hifi_net, identity, landmarks))]
    for watch in watches:
        sample(watch.model, steps=1)
    for a, b in zip(watches[0].control[0]["output"], watches[1].control[0]["output"], strict=True):
        assert a.equal(b)


def test_it_stacks_with_a_lora(model):
    import comfy.sd

    guide = render(confidence=torch.tensor(0.5))
    weights = lora_weights(model)
    before, _ = comfy.sd.load_lora_for_models(model, None, weights, 0.5, 0.0)
    after, _ = comfy.sd.load_lora_for_models(guide_with_head(model, guide), None, weights, 0.5, 0.0)
    result = sample(guide_with_head(before, guide))
    assert result.equal(sample(after))
    assert not result.equal(sample(before))


def test_it_stacks_with_a_core_controlnet(model):
    """A ControlNet goes into the UNet, the guide acts on what comes out: neither sees the other."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops

    import nodes

    config = unet_config(hint_channels=3, operations=comfy.ops.manual_cast)
    for name in ("out_channels", "transformer_depth_output"):
        config.pop(name)
    network = comfy.cldm.cldm.ControlNet(**config)
    randomise(network, 7)
    control = comfy.controlnet.ControlNet(network.requires_grad_(False), load_device=torch.device("cpu"))
    image = torch.rand(1, 128, 128, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        # mypy takes `nodes` for the pack's own folder.
        apply: Any = vars(nodes)["ControlNetApplyAdvanced"]()
        positive, negative = apply.apply_controlnet(
            conditioning(0), conditioning(1), control, image, 0.7, 0.0, 1.0
        )
    wanted, settings = render(confidence=torch.tensor(0.5)), GuideSettings(0.4, falloff=0.0)
    guided = guide_with_head(model, wanted, settings)
    before, after, _ = one_step(guided, positive=positive, negative=negative)
    target = model.model.process_latent_in(wanted.latents)
    torch.testing.assert_close(after, before + 0.2 * (target - before), atol=1e-4, rtol=1e-4)
    assert not before.equal(one_step(guided)[0]), "the ControlNet acts"


def test_what_others_registered_is_called_in_order(model):
    def double(args):
        return args["denoised"] * 2

    wanted = render()
    target = model.model.process_latent_in(wanted.latents)
    first = model.clone()
    first.set_model_sampler_post_cfg_function(double)
    before = guide_with_head(first, wanted, FULL)
    torch.testing.assert_close(sample(before), wanted.latents, atol=1e-4, rtol=1e-4)
    after = guide_with_head(model, wanted, FULL)
    after.set_model_sampler_post_cfg_function(double)
    sampled = model.model.process_latent_in(sample(after))
    torch.testing.assert_close(sampled, 2 * target, atol=1e-4, rtol=1e-4)


def test_two_renders_act_one_after_the_other(model):
    half = GuideSettings(0.5, falloff=0.0)
    both = guide_with_head(guide_with_head(model, render(0), half), render(1), half)
    assert len(applied_guides(both)) == 2
    watch = Step(both)
    sample(watch.model, steps=1)
    (before, middle, _), (again, after, _) = watch.seen
    targets = [model.model.process_latent_in(render(seed).latents) for seed in (0, 1)]
    assert middle.equal(again)
    torch.testing.assert_close(middle, (before + targets[0]) / 2, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after, (middle + targets[1]) / 2, atol=1e-5, rtol=1e-5)


# Clones and requeues --------------------------------------------------------------------------------------
@pytest.mark.parametrize("rule", CLONE_RULES)
def test_both_clone_rules_share_the_guide_and_part_the_branches(model, rule, monkeypatch):
    set_clone_rule(monkeypatch, rule)
    one = guide_with_head(model, render(0))
    two = guide_with_head(one, render(1))
    alone = sample(one)
    assert len(applied_guides(one)) == 1
    assert applied_guides(two)[0] is applied_guides(one)[0]
    assert sample(one.clone()).equal(alone)
    assert not sample(two).equal(alone)
    assert sample(one).equal(alone)
    assert not model.wrappers
    assert model.model_options == {"transformer_options": {}}


def test_a_run_leaves_nothing_and_an_error_neither(model):
    guided = guide_with_head(model, render())
    first = sample(guided)
    assert KEY not in guided.model_options["transformer_options"]
    kept = []

    def spy(args):
        run = args["model_options"]["transformer_options"][KEY]
        kept.append((run, weakref.ref(next(iter(run.cache.kept.values())))))
        if len(kept) > 1:
            raise RuntimeError("boom")
        return args["denoised"]

    broken = guided.clone()
    broken.set_model_sampler_post_cfg_function(spy)
    with pytest.raises(RuntimeError, match="boom") as caught:
        sample(broken)
    assert caught.value is not None
    assert kept[0][0] is kept[1][0], "one cache serves the whole run"
    assert not kept[0][0].cache.kept
    assert kept[0][1]() is None
    assert KEY not in broken.model_options["transformer_options"]
    assert sample(guided).equal(first)


def test_200_requeues_leave_objects_and_memory_flat():
    model = make_model(0, **TWO_LEVELS)
    wanted = [render(seed, size=(8, 8)) for seed in range(2)]

    def requeue(i):
        mask = torch.zeros(16, 16)
        mask[:, i % 8 :] = 1.0
        settings = GuideSettings(0.4 + 0.002 * i, high_band=0.5, mask_feather=i % 3)
        sample(guide_with_head(model, wanted[i % 2], settings, mask), steps=1, size=(8, 8), cfg=1.0)

    def count():
        gc.collect()
        objects = gc.get_objects()
        ours = sum(str(type(o).__module__).startswith(("hifi_portrait", "comfy")) for o in objects)
        tensors = [o for o in objects if type(o) in (torch.Tensor, torch.nn.Parameter)]
        return ours, sum(t.nelement() * t.element_size() for t in tensors)

    for i in range(4):
        requeue(i)
    before = count()
    for i in range(4, 204):
        requeue(i)
    assert count() == before

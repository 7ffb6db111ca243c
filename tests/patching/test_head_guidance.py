"""Guide with Head keeps the acceptance list for patches (CONTRIBUTING.md), line by line, on a real host."""

from __future__ import annotations

import copy
import gc
import math
import weakref

import pytest
import torch
from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.encode_render import EncodedRender, encode_render, fit_render
from hifi_portrait.patching.head_guidance import (
    COLOUR_CHOICES,
    KEY,
    GuideSettings,
    applied_guides,
    guide_with_head,
)
from hifi_portrait.patching.host import noise_share

from tests.patching.small import TWO_LEVELS, Watch, conditioning, make_model, sample, small_vae
from tests.patching.test_neighbours import lora_weights
from tests.patching.test_placement import tiles

FULL = GuideSettings(strength=1.0, end_percent=1.0, falloff=0.0)
SHAPE_ONLY = COLOUR_CHOICES[1]


def noise(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def render(seed=0, count=1, size=(16, 16), confidence=None, channels=4):
    trust = torch.ones(count, 1, *size) if confidence is None else confidence.expand(count, 1, *size).clone()
    basis = torch.linalg.qr(noise(seed + 50, channels, 2))[0]
    return EncodedRender(noise(seed, count, channels, *size), trust, basis, 8)


@pytest.fixture(scope="module")
def vae():
    """A small random VAE in the host's own class."""
    return small_vae()


class Step:
    """Watches one guide: what the host gave it and what it gave back, step by step."""

    def __init__(self, model):
        self.model = model.clone()
        functions = self.model.model_options["sampler_post_cfg_function"]
        self.seen = []
        self.model.model_options["sampler_post_cfg_function"] = [self._watched(f) for f in functions]

    def _watched(self, function):
        def watched(args):
            before = args["denoised"].clone()
            after = function(args)
            assert args["denoised"].equal(before), "the host's tensor was changed"
            self.seen.append((before, after, float(args["sigma"][0])))
            return after

        return watched


def one_step(model, **options):
    watch = Step(model)
    sample(watch.model, steps=1, **options)
    return watch.seen[0]


# Strength -------------------------------------------------------------------------------------------------
def test_full_strength_gives_the_render(model):
    wanted = render()
    sampled = sample(guide_with_head(model, wanted, FULL))
    torch.testing.assert_close(sampled, wanted.latents, atol=1e-4, rtol=1e-4)


def test_x0_goes_its_share_of_the_way_in_the_models_own_latent_space(model):
    wanted = render(confidence=torch.tensor(0.5))
    before, after, _ = one_step(guide_with_head(model, wanted, GuideSettings(0.4, falloff=0.0)))
    target = model.model.process_latent_in(wanted.latents)
    torch.testing.assert_close(after, before + 0.2 * (target - before), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "changes", [{"strength": 0.0}, {"low_band": 0.0, "high_band": 0.0}], ids=["strength", "bands"]
)
def test_strength_0_equals_no_patch(model, changes):
    guided = guide_with_head(model, render(), GuideSettings(**changes))
    assert sample(guided).equal(sample(model))
    assert not applied_guides(guided)


def test_no_confidence_equals_no_patch(model):
    guided = guide_with_head(model, render(confidence=torch.tensor(0.0)), FULL)
    assert sample(guided).equal(sample(model))


def test_where_it_is_not_believed_nothing_changes(model):
    trust = torch.ones(16, 16)
    trust[:, :8] = 0
    for settings in (
        FULL,
        GuideSettings(0.5, low_band=1.0, high_band=0.2),
        GuideSettings(colours=SHAPE_ONLY),
    ):
        before, after, _ = one_step(guide_with_head(model, render(confidence=trust), settings))
        assert after[..., :8].equal(before[..., :8])
        assert after[..., 8:].ne(before[..., 8:]).all()


# Time -----------------------------------------------------------------------------------------------------
def test_outside_of_its_time_equals_no_patch(model):
    guided = guide_with_head(model, render(), GuideSettings(1.0, 0.9, 1.0))
    assert sample(guided, steps=4, last_step=3).equal(sample(model, steps=4, last_step=3))


def test_start_and_end_percent(model):
    sampling = model.get_model_object("model_sampling")
    sigmas = torch.tensor([sampling.percent_to_sigma(p) for p in (0.1, 0.3, 0.6, 0.8)])
    watch = Step(guide_with_head(model, render(), GuideSettings(1.0, 0.2, 0.7)))
    sample(watch.model, sigmas=torch.cat([sigmas, torch.zeros(1)]))
    assert [not after.equal(before) for before, after, _ in watch.seen] == [False, True, True, False]


def test_falloff_follows_the_share_of_noise(model):
    wanted = render()
    target = model.model.process_latent_in(wanted.latents)
    for falloff in (1.0, 2.0):
        watch = Step(guide_with_head(model, wanted, GuideSettings(0.5, 0.0, 1.0, falloff)))
        sample(watch.model, steps=3)
        for before, after, sigma in watch.seen:
            share = (sigma / math.hypot(sigma, 1.0)) ** falloff
            torch.testing.assert_close(after, before + 0.5 * share * (target - before), atol=1e-4, rtol=1e-4)


# Bands and colours ----------------------------------------------------------------------------------------
def test_bands_add_up_and_part_form_from_texture(model):
    wanted = render()
    target = model.model.process_latent_in(wanted.latents)
    both, low, high = (
        one_step(guide_with_head(model, wanted, GuideSettings(1.0, falloff=0.0, low_band=a, high_band=b)))
        for a, b in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0))
    )
    added = [after - before for before, after, _ in (both, low, high)]
    torch.testing.assert_close(added[0], added[1] + added[2], atol=1e-4, rtol=1e-4)

    def roughness(x):
        return (x.diff(dim=-1).square().mean() / x.square().mean()).item()

    towards = roughness(target - both[0])
    assert roughness(added[1]) < 0.2 * towards
    assert roughness(added[2]) > towards


def test_the_low_band_does_not_take_the_surroundings_in(model):
    trust = torch.zeros(16, 16)
    trust[4:12, 4:12] = 1
    settings = GuideSettings(1.0, falloff=0.0, high_band=0.0)
    wanted = render(confidence=trust)
    other = EncodedRender(wanted.latents + 100 * (1 - trust), wanted.confidence, None, 8)
    torch.testing.assert_close(
        one_step(guide_with_head(model, wanted, settings))[1],
        one_step(guide_with_head(model, other, settings))[1],
        atol=1e-3,
        rtol=1e-3,
    )


def test_shape_only_leaves_hue_and_brightness(model):
    wanted = render()
    settings = GuideSettings(1.0, falloff=0.0, colours=SHAPE_ONLY)
    before, after, _ = one_step(guide_with_head(model, wanted, settings))
    added = after - before
    assert added.abs().mean() > 0.1
    assert added.mean((-2, -1)).abs().max() < 1e-4
    assert torch.einsum("bchw,ck->bkhw", added, wanted.chroma).abs().max() < 1e-4


# Mask -----------------------------------------------------------------------------------------------------
def test_mask_of_all_0_equals_no_patch(model):
    assert sample(guide_with_head(model, render(), FULL, torch.zeros(64, 64))).equal(sample(model))


def test_mask_of_all_1_equals_no_mask(model):
    masked = guide_with_head(model, render(), GuideSettings(), torch.ones(1, 40, 24))
    assert sample(masked).equal(sample(guide_with_head(model, render(), GuideSettings())))


@pytest.mark.parametrize("colours", COLOUR_CHOICES)
def test_half_a_mask(model, colours):
    settings = GuideSettings(high_band=0.3, colours=colours)
    mask = torch.zeros(128, 128)
    mask[:, 64:] = 1.0
    before, half, _ = one_step(guide_with_head(model, render(), settings, mask))
    _, whole, _ = one_step(guide_with_head(model, render(), settings))
    assert half[..., :8].equal(before[..., :8])
    assert half[..., 8:].equal(whole[..., 8:])


def test_two_people_with_masks_do_not_blend(model):
    left = torch.zeros(16, 16)
    left[:, :8] = 1.0
    first, second = render(0), render(1)
    both = guide_with_head(guide_with_head(model, first, FULL, left), second, FULL, 1.0 - left)
    result = sample(both)
    torch.testing.assert_close(result[..., :8], first.latents[..., :8], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(result[..., 8:], second.latents[..., 8:], atol=1e-4, rtol=1e-4)


# Place ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("batched", [False, True])
def test_tiles_inside_the_unet_see_the_whole_render(model, batched):
    wanted = render(size=(24, 24))
    guided = tiles(guide_with_head(model, wanted, FULL), 16, 8, batched)
    sampled = sample(guided, size=(24, 24))
    torch.testing.assert_close(sampled, wanted.latents, atol=1e-4, rtol=1e-4)


def test_areas_and_masked_conditionings_see_the_whole_render(model):
    wanted = render()
    mask = torch.zeros(1, 16, 16)
    mask[..., :8] = 1.0
    positive = [*conditioning(0), *conditioning(2, area=(8, 8, 4, 4)), *conditioning(3, mask=mask)]
    sampled = sample(guide_with_head(model, wanted, FULL), positive=positive)
    torch.testing.assert_close(sampled, wanted.latents, atol=1e-4, rtol=1e-4)


def test_context_windows_keep_each_pictures_render(model):
    import comfy.context_windows as windows

    wanted = render(count=4)
    guided = guide_with_head(model, wanted, FULL)
    guided.model_options["context_handler"] = windows.IndexListContextHandler(
        context_schedule=windows.get_matching_context_schedule("standard_static"),
        fuse_method=windows.get_matching_fuse_method("flat"),
        context_length=2,
        context_overlap=1,
    )
    sampled = sample(guided, batch=4, steps=3)
    torch.testing.assert_close(sampled, wanted.latents, atol=1e-4, rtol=1e-4)


def test_another_aspect_is_centred_never_stretched_and_reported_once(model, caplog):
    wanted = render()
    sampled = sample(guide_with_head(model, wanted, FULL), size=(16, 24), steps=3)
    torch.testing.assert_close(sampled[..., 4:20], wanted.latents, atol=1e-4, rtol=1e-4)
    plain = sample(model, size=(16, 24), steps=3)
    assert not sampled[..., :4].equal(plain[..., :4]), "the model adapts the surroundings"
    assert caplog.text.count("the render is 128 x 128, the picture 192 x 128") == 1


def test_a_larger_picture_scales_the_render():
    latents, trust = fit_render(torch.ones(1, 4, 8, 8), torch.ones(1, 1, 8, 8), 16, 20)
    assert latents.shape == (1, 4, 16, 20)
    assert trust[..., 2:18].eq(1).all()
    assert trust[..., :2].eq(0).all()
    assert trust[..., 18:].eq(0).all()


# Batch ----------------------------------------------------------------------------------------------------
def test_batch_with_a_render_each_equals_single_pictures(model):
    wanted = render(count=3)
    settings = GuideSettings(0.5, high_band=0.4)
    start = noise(5, 3, 4, 16, 16)
    together = sample(guide_with_head(model, wanted, settings), batch=3, noise=start)
    for row in range(3):
        own = EncodedRender(wanted.latents[row : row + 1], wanted.confidence[row : row + 1], None, 8)
        alone = sample(guide_with_head(model, own, settings), noise=start[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=2e-4, rtol=1e-4)


def test_fewer_renders_than_latents_start_again(model):
    wanted = render(count=2)
    sampled = sample(guide_with_head(model, wanted, FULL), batch=3)
    torch.testing.assert_close(sampled, wanted.latents[[0, 1, 0]], atol=1e-4, rtol=1e-4)


def test_masks_for_each_latent(model):
    masks = torch.zeros(2, 16, 16)
    masks[0, :, :8] = 1.0
    masks[1, :, 8:] = 1.0
    before, after, _ = one_step(guide_with_head(model, render(), GuideSettings(), masks), batch=2)
    assert after[0, ..., 8:].equal(before[0, ..., 8:])
    assert after[1, ..., :8].equal(before[1, ..., :8])
    assert after[0, ..., :8].ne(before[0, ..., :8]).all()


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
@pytest.mark.parametrize("rule", ["deep copies", "shared leaves"])
def test_both_clone_rules_share_the_guide_and_part_the_branches(model, rule, monkeypatch):
    if rule == "shared leaves":
        import comfy.model_patcher
        from comfy.patcher_extension import copy_nested_dicts

        shared = type(
            "Shared", (), {"deepcopy": staticmethod(copy_nested_dicts), "copy": staticmethod(copy.copy)}
        )
        monkeypatch.setattr(comfy.model_patcher, "copy", shared)
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
        kept.append((run, weakref.ref(next(iter(run.kept.values())))))
        if len(kept) > 1:
            raise RuntimeError("boom")
        return args["denoised"]

    broken = guided.clone()
    broken.set_model_sampler_post_cfg_function(spy)
    with pytest.raises(RuntimeError, match="boom") as caught:
        sample(broken)
    assert caught.value is not None
    assert kept[0][0] is kept[1][0], "one cache serves the whole run"
    assert not kept[0][0].kept
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


# Encoding -------------------------------------------------------------------------------------------------
def test_the_vae_is_used_in_the_node_alone(model, vae, monkeypatch):
    calls = []
    encode = vae.encode
    monkeypatch.setattr(vae, "encode", lambda pixels: (calls.append(tuple(pixels.shape)), encode(pixels))[1])
    monkeypatch.setattr(vae, "decode", lambda *_: pytest.fail("decoded"))
    image = torch.rand(2, 128, 128, 3, generator=torch.Generator().manual_seed(0))
    encoded = encode_render(vae, image, torch.ones(128, 128))
    assert calls == [(1, 128, 128, 3)] * 2
    sample(guide_with_head(model, encoded, FULL), batch=2)
    assert len(calls) == 2
    encode_render(vae, image, torch.ones(128, 128), chroma=True)
    assert len(calls) == 2 + 2 + 3


def test_encoding_is_the_hosts_own_and_confidence_is_averaged(vae):
    image = torch.rand(2, 64, 48, 3, generator=torch.Generator().manual_seed(0))
    alpha = torch.zeros(64, 48)
    alpha[:, 20:] = 1.0
    believed = torch.full((2, 64, 48), 0.5)
    encoded = encode_render(vae, image, alpha, believed)
    whole = encode_render(vae, image, torch.ones(64, 48))
    torch.testing.assert_close(whole.latents, vae.encode(image), atol=1e-5, rtol=1e-5)
    assert whole.confidence.eq(1).all()
    assert encoded.confidence.shape == (2, 1, 8, 6)
    assert encoded.confidence[..., :3].eq(0).all(), "half covered is not believed"
    assert encoded.confidence[..., 3:].eq(0.5).all()
    assert encoded.chroma is None


def test_what_lies_beside_the_head_does_not_reach_the_latents(vae):
    """A render is black around the head; whatever lies there, the same is encoded."""
    alpha = torch.zeros(64, 64)
    alpha[12:50, 16:52] = 1.0
    head = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    head = (0.6 + 0.2 * head) * alpha[None, ..., None]
    black, green = (
        encode_render(vae, head + (1 - alpha[..., None]) * torch.tensor([0, g, 0]), alpha) for g in (0.0, 1.0)
    )
    assert black.latents.equal(green.latents)
    seen = []
    encode_render(Spy(vae, seen), head, alpha)
    assert seen[0].shape == (1, 64, 64, 3)
    torch.testing.assert_close(seen[0][alpha[None] == 1], head[alpha[None] == 1])
    assert (seen[0] - 0.7).abs().max() < 0.15, "the outline's colours are continued"


class Spy:
    """A VAE that notes what it encodes."""

    def __init__(self, vae, seen):
        self.vae, self.seen = vae, seen
        self.spacial_compression_encode = vae.spacial_compression_encode

    def encode(self, pixels):
        self.seen.append(pixels)
        return self.vae.encode(pixels)


def test_a_size_that_the_vae_cannot_encode_is_fitted(vae):
    encoded = encode_render(vae, torch.rand(1, 65, 70, 3), torch.ones(1, 40, 30))
    assert encoded.latents.shape == (1, 4, 8, 8)
    assert encoded.confidence.eq(1).all()


def test_hues_are_told_apart_from_shape():
    """On a trained VAE: a change of hue lies in the directions found, a change of brightness hardly does."""
    from hifi_portrait.tiny.model import BASE_FILE, load_tiny_portrait_model

    vae = load_tiny_portrait_model(BASE_FILE)[2]
    image = 0.35 + 0.3 * torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(image.movedim(-1, 1), scale_factor=16, mode="bicubic").movedim(
        1, -1
    )
    encoded = encode_render(vae, image, torch.ones(128, 128), chroma=True)
    torch.testing.assert_close(encoded.chroma.T @ encoded.chroma, torch.eye(2), atol=1e-5, rtol=0)

    def inside(change):
        moved = (vae.encode(image + torch.tensor(change)) - encoded.latents)[0].mean((-2, -1))
        return ((encoded.chroma.T @ moved).norm() / moved.norm()).item()

    assert inside((0.1, -0.05, 0.0)) > 0.9
    assert inside((-0.05, 0.0, 0.13)) > 0.9
    assert inside((0.1, 0.1, 0.1)) < 0.5


def test_another_models_vae_is_refused(model):
    with pytest.raises(ValueError, match=r"the VAE gives 16 latent channels, the MODEL \(SDXL\) samples 4"):
        guide_with_head(model, render(channels=16))


def test_hues_follow_the_models_own_scale_of_latents(model, monkeypatch):
    """Some models scale each channel in another way; what is a hue before is another direction then."""
    scale = torch.tensor([1.0, 3.0, 0.2, 2.0])[:, None, None]
    monkeypatch.setattr(model.model, "process_latent_in", lambda latents: latents * scale + 0.3)
    wanted = render()
    settings = GuideSettings(1.0, falloff=0.0, colours=SHAPE_ONLY)
    before, after, _ = one_step(guide_with_head(model, wanted, settings))
    hues = torch.linalg.qr(wanted.chroma * scale[:, 0])[0]
    assert torch.einsum("bchw,ck->bkhw", after - before, hues).abs().max() < 1e-4


def test_shape_only_needs_the_hues(model):
    plain = EncodedRender(noise(0, 1, 4, 16, 16), torch.ones(1, 1, 16, 16), None, 8)
    with pytest.raises(ValueError, match="encoded with its hues"):
        guide_with_head(model, plain, GuideSettings(colours=SHAPE_ONLY))


def test_bad_settings_are_refused():
    for changes, text in (
        ({"strength": 1.5}, "strength must lie between 0 and 1"),
        ({"start_percent": 0.9, "end_percent": 0.1}, "lies after end_percent"),
        ({"falloff": -1.0}, "falloff must be a number of at least 0"),
        ({"band_px": float("nan")}, "band_px must be"),
        ({"colours": "blue"}, "colours must be one of"),
    ):
        with pytest.raises(ValueError, match=text):
            GuideSettings(**changes)

"""Guide with Head keeps the acceptance list for patches (CONTRIBUTING.md), line by line, on a real host."""

from __future__ import annotations

import math

import pytest
import torch
from hifi_portrait.patching.encode_render import EncodedRender, encode_render, fit_render
from hifi_portrait.patching.head_guidance import (
    COLOUR_CHOICES,
    GuideSettings,
    applied_guides,
    guide_with_head,
)

from tests.patching.guidance import FULL, SHAPE_ONLY, Step, noise, one_step, render
from tests.patching.small import conditioning, sample, small_vae
from tests.patching.test_placement import tiles


@pytest.fixture(scope="module")
def vae():
    """A small random VAE in the host's own class."""
    return small_vae()


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


def test_where_confidence_is_0_nothing_changes(model):
    confidence = torch.ones(16, 16)
    confidence[:, :8] = 0
    for settings in (
        FULL,
        GuideSettings(0.5, low_band=1.0, high_band=0.2),
        GuideSettings(colours=SHAPE_ONLY),
    ):
        before, after, _ = one_step(guide_with_head(model, render(confidence=confidence), settings))
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
    confidence = torch.zeros(16, 16)
    confidence[4:12, 4:12] = 1
    settings = GuideSettings(1.0, falloff=0.0, high_band=0.0)
    wanted = render(confidence=confidence)
    other = EncodedRender(wanted.latents + 100 * (1 - confidence), wanted.confidence, None, 8)
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
    latents, confidence = fit_render(torch.ones(1, 4, 8, 8), torch.ones(1, 1, 8, 8), 16, 20)
    assert latents.shape == (1, 4, 16, 20)
    assert confidence[..., 2:18].eq(1).all()
    assert confidence[..., :2].eq(0).all()
    assert confidence[..., 18:].eq(0).all()


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
    given = torch.full((2, 64, 48), 0.5)
    encoded = encode_render(vae, image, alpha, given)
    whole = encode_render(vae, image, torch.ones(64, 48))
    torch.testing.assert_close(whole.latents, vae.encode(image), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(whole.confidence, torch.ones_like(whole.confidence))
    assert encoded.confidence.shape == (2, 1, 8, 6)
    assert encoded.confidence[..., :3].eq(0).all(), "half covered has no confidence"
    edge, inside = encoded.confidence[..., 3], encoded.confidence[..., 4:]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.5))
    assert ((edge > 0.2) & (edge < 0.5)).all(), "fades towards confidence 0"
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
    torch.testing.assert_close(encoded.confidence, torch.ones_like(encoded.confidence))


def test_hues_are_told_apart_from_shape():
    """On a trained VAE: a change of hue lies in the directions found, a change of brightness hardly does."""
    from hifi_portrait.tiny.base_file import BASE_FILE
    from hifi_portrait.tiny.model import load_tiny_portrait_model

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

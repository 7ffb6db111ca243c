"""What each row of the UNet's batch is: its role, its picture, and its place in the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hifi_portrait.landmarks.landmarks import concatenate
from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.settings import PatchSettings
from hifi_portrait.patching.target_maps import picture_maps

from tests.patching.small import CONFIG, Watch, conditioning, make_landmarks, sample

ON = PatchSettings(1.0, 1.0)


@pytest.fixture
def prepared(hifi_net, monkeypatch):
    """The target maps that HiFi-Net was given to prepare."""
    seen = []
    original = hifi_net.network.hifi_net.prepare

    def prepare(target, tokens, detail=None, bias=None):
        seen.append(target.each(torch.clone))
        return original(target, tokens, detail, bias)

    monkeypatch.setattr(hifi_net.network.hifi_net, "prepare", prepare)
    return seen


def test_maps_follow_an_area_by_position(model, hifi_net, identity, landmarks, prepared):
    whole = picture_maps(landmarks, 0, (16, 24), hifi_net.config, with_uv=True)
    positive = [*conditioning(0), *conditioning(2, area=(8, 16, 4, 6))]
    sample(
        apply_hifi_net(model, hifi_net, identity, landmarks, ON), size=(16, 24), positive=positive, steps=1
    )
    crops = [given for given in prepared if given.hint.shape[-2:] == (64, 128)]
    assert len(crops) == 1
    assert crops[0].hint.equal(whole.hint[..., 32:96, 48:176])
    assert crops[0].coords.equal(whole.coords[..., 4:12, 6:22])
    assert crops[0].coords.any()
    assert crops[0].uv_map.equal(whole.uv_map[..., 32:96, 48:176])


def test_a_mask_follows_an_area_by_position(model, hifi_net, identity, landmarks):
    mask = torch.zeros(16, 16)
    mask[:, 8:] = 1.0
    positive = conditioning(0, area=(16, 8, 0, 8))
    watch = Watch(apply_hifi_net(model, hifi_net, identity, landmarks, ON, mask=mask))
    unmasked = Watch(apply_hifi_net(model, hifi_net, identity, landmarks, ON))
    for each in (watch, unmasked):
        sample(each.model, positive=positive, steps=1)
    for ours, theirs in zip(watch.control, unmasked.control, strict=True):
        assert (ours is None) == (theirs is None)
        # The area lies within the mask: squeezing the mask into the crop would cut its left half.
        if ours is not None:
            for a, b in zip(ours["output"], theirs["output"], strict=True):
                torch.testing.assert_close(a, b)


def tiles(model, tile, stride, batched):
    """Return a MODEL that is sampled in tiles, as packs do: exact crops, no word of where."""

    def wrapper(apply_model, args):
        x, t, c = args["input"], args["timestep"], args["c"]
        places = [
            (top, left)
            for top in range(0, x.shape[-2] - tile + 1, stride)
            for left in range(0, x.shape[-1] - tile + 1, stride)
        ]
        total, count = torch.zeros_like(x), torch.zeros_like(x)
        groups = [places] if batched else [[place] for place in places]
        for group in groups:
            crops = torch.cat([x[..., a : a + tile, b : b + tile] for a, b in group])
            n = len(group)
            repeated = {
                k: v.repeat(n, *[1] * (v.ndim - 1)) if isinstance(v, torch.Tensor) else v
                for k, v in c.items()
            }
            out = apply_model(crops, t.repeat(n), **repeated)
            for (a, b), part in zip(group, out.chunk(n), strict=True):
                total[..., a : a + tile, b : b + tile] += part
                count[..., a : a + tile, b : b + tile] += 1
        return total / count

    model = model.clone()
    model.set_model_unet_function_wrapper(wrapper)
    return model


@pytest.mark.parametrize("batched", [False, True])
def test_tiles_are_placed_by_their_content(model, hifi_net, identity, landmarks, prepared, batched):
    whole = picture_maps(landmarks, 0, (24, 24), hifi_net.config, with_uv=False)
    patched = apply_hifi_net(model, hifi_net, identity, landmarks, ON)
    sample(tiles(patched, 16, 8, batched), size=(24, 24), steps=2)
    rows = [row for given in prepared for row in given.hint]
    coordinates = [row for given in prepared for row in given.coords]
    assert len(rows) == 4
    for row, coords, (top, left) in zip(rows, coordinates, ((0, 0), (0, 8), (8, 0), (8, 8)), strict=True):
        assert row.equal(whole.hint[0, :, 8 * top : 8 * top + 128, 8 * left : 8 * left + 128])
        assert coords.equal(whole.coords[0, :, top : top + 16, left : left + 16])


def test_tiles_that_cannot_be_placed_are_reported(model, hifi_net, identity, landmarks, caplog):
    def shrink(apply_model, args):
        x = args["input"]
        small = torch.nn.functional.avg_pool2d(x, 2)
        out = apply_model(small, args["timestep"], **args["c"])
        return torch.nn.functional.interpolate(out, size=x.shape[-2:])

    patched = apply_hifi_net(model, hifi_net, identity, landmarks, ON)
    patched.set_model_unet_function_wrapper(shrink)
    watch = Watch(patched)
    sample(watch.model, steps=1)
    assert "place in the picture cannot be told" in caplog.text
    assert watch.control == [None]
    assert all(calls[0][0].any() for calls in watch.attention.values())


def test_each_latent_has_its_own_landmarks(model, hifi_net, identity):
    poses = [make_landmarks((yaw, 0.0, 0.0)) for yaw in (-25.0, 0.0, 25.0)]
    patched = apply_hifi_net(model, hifi_net, identity, concatenate(poses), ON)
    noise = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(5))
    together = sample(patched, batch=3, noise=noise)
    for row, pose in enumerate(poses):
        alone = sample(apply_hifi_net(model, hifi_net, identity, pose, ON), noise=noise[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-3, rtol=1e-4)


def test_fewer_landmarks_than_latents_start_again(model, hifi_net, identity, prepared):
    poses = concatenate([make_landmarks((yaw, 0.0, 0.0)) for yaw in (-25.0, 25.0)])
    sample(apply_hifi_net(model, hifi_net, identity, poses, ON), batch=3, steps=1)
    hint = prepared[0].hint
    assert len(hint) == 3
    assert hint[0].equal(hint[2])
    assert not hint[0].equal(hint[1])


def test_context_windows_keep_each_pictures_landmarks(model, hifi_net, identity, prepared):
    import comfy.context_windows as windows

    poses = [make_landmarks((yaw, 0.0, 0.0)) for yaw in (-30.0, -10.0, 10.0, 30.0)]
    hints = [picture_maps(pose, 0, (16, 16), hifi_net.config, with_uv=False).hint[0] for pose in poses]
    patched = apply_hifi_net(model, hifi_net, identity, concatenate(poses), ON)
    handler = patched.model_options["context_handler"] = windows.IndexListContextHandler(
        context_schedule=windows.get_matching_context_schedule("standard_static"),
        fuse_method=windows.get_matching_fuse_method("flat"),
        context_length=2,
        context_overlap=1,
    )
    # Newer hosts put the picture before a window in front of it.
    before = 1 if getattr(handler, "causal_window_fix", False) else 0
    expected = [hints[max(0, first - before) : first + 2] for first in range(3)]
    # The host's own handler compares the batch with the list of sigmas, so both have four entries.
    sample(patched, batch=4, steps=3)
    assert [len(given) for given in prepared] == [len(window) for window in expected]
    for window, given in zip(expected, prepared, strict=True):
        assert given.hint.equal(torch.stack(window))


def test_masks_for_each_latent(model, hifi_net, identity, landmarks):
    masks = torch.zeros(2, 16, 16)
    masks[0, :, :8] = 1.0
    masks[1, :, 8:] = 1.0
    watch = Watch(apply_hifi_net(model, hifi_net, identity, landmarks, ON, mask=masks))
    sample(watch.model, batch=2, steps=1)
    chunks = watch.inputs[0][1]
    positive = 2 * chunks.index(0)
    residual = watch.control[0]["output"][0]
    assert residual[positive, ..., 8:].eq(0).all()
    assert residual[positive, ..., :8].any()
    assert residual[positive + 1, ..., :8].eq(0).all()
    assert residual[positive + 1, ..., 8:].any()


def test_another_aspect_is_fitted_and_never_stretched(caplog):
    square = make_landmarks((0.0, 0.0, 0.0), width=128, height=128)
    wide = picture_maps(square, 0, (16, 32), CONFIG, with_uv=False)
    alone = picture_maps(square, 0, (16, 16), CONFIG, with_uv=False)
    assert wide.uv_map is None, "only networks with textures get maps of the head"
    torch.testing.assert_close(wide.coords[..., 8:24], alone.coords, atol=1e-4, rtol=0)
    assert wide.coords[..., :8].eq(0).all()


def test_another_aspect_is_reported_once(model, hifi_net, identity, landmarks, caplog):
    sample(apply_hifi_net(model, hifi_net, identity, landmarks, ON), size=(16, 24), steps=2)
    assert caplog.text.count("canvas is 128 x 128, the picture 192 x 128") == 1


def test_landmarks_scale_with_the_picture(landmarks):
    small, large = (picture_maps(landmarks, 0, (n, n), CONFIG, with_uv=False).coords[0] for n in (16, 48))
    centre = [(np.argwhere(m[2].numpy() > 0).mean(0) + 0.5) / m.shape[-1] for m in (small, large)]
    np.testing.assert_allclose(*centre, atol=0.02)


# Which conditionings are positive, whatever the guider calls them -----------------------------------------
def positives(watch):
    """Return, for each call of the UNet, which chunks of its batch were patched."""
    result = []
    for control, (x, chunks) in zip(watch.control, watch.inputs, strict=True):
        rows = control["middle"][0].chunk(len(chunks)) if control else [torch.zeros(1)] * len(chunks)
        result.append([bool(row.any()) for row in rows])
        assert len(x) == len(chunks)
    return result


def test_self_attention_guidance_computes_the_negative_alone(model, hifi_net, identity, landmarks):
    from comfy_extras.nodes_sag import SelfAttentionGuidance

    patched = apply_hifi_net(model, hifi_net, identity, landmarks, ON)
    guided = SelfAttentionGuidance.execute(patched, 0.5, 2.0)[0]
    watch = Watch(guided)
    sample(watch.model, steps=1)
    # First both halves, then the negative alone, which the host numbers 0 as well.
    assert sorted(positives(watch)[0]) == [False, True]
    assert positives(watch)[1] == [False]


def test_perturbed_attention_computes_the_positive_alone(model, hifi_net, identity, landmarks):
    from comfy_extras.nodes_pag import PerturbedAttentionGuidance

    patched = apply_hifi_net(model, hifi_net, identity, landmarks, ON)
    watch = Watch(PerturbedAttentionGuidance.execute(patched, 3.0)[0])
    result = sample(watch.model, steps=1)
    assert positives(watch)[1] == [True]
    assert not result.equal(sample(patched, steps=1))


def test_dual_guider_puts_the_negative_first(model, hifi_net, identity, landmarks):
    import comfy.samplers
    from comfy_extras.nodes_custom_sampler import Guider_DualCFG

    watch = Watch(apply_hifi_net(model, hifi_net, identity, landmarks, ON))
    guider = Guider_DualCFG(watch.model)
    guider.set_conds(conditioning(0), conditioning(2), conditioning(1))
    guider.set_cfg(3.0, 2.0)
    latent = torch.zeros(1, 4, 16, 16)
    with torch.inference_mode():
        guider.sample(
            torch.randn(1, 4, 16, 16),
            latent,
            comfy.samplers.sampler_object("euler"),
            torch.tensor([8.0, 0.0]),
            disable_pbar=True,
            seed=1,
        )
    for (_, chunks), patched in zip(watch.inputs, positives(watch), strict=True):
        # 0 is the negative, 1 and 2 are positive.
        assert patched == [chunk != 0 for chunk in chunks]


def test_perp_neg_has_two_negatives(model, hifi_net, identity, landmarks):
    import comfy.samplers
    from comfy_extras.nodes_perpneg import Guider_PerpNeg

    watch = Watch(apply_hifi_net(model, hifi_net, identity, landmarks, ON))
    guider = Guider_PerpNeg(watch.model)
    guider.set_conds(conditioning(0), conditioning(1), conditioning(2))
    guider.set_cfg(3.0, 1.0)
    with torch.inference_mode():
        guider.sample(
            torch.randn(1, 4, 16, 16),
            torch.zeros(1, 4, 16, 16),
            comfy.samplers.sampler_object("euler"),
            torch.tensor([8.0, 0.0]),
            disable_pbar=True,
            seed=1,
        )
    for (_, chunks), patched in zip(watch.inputs, positives(watch), strict=True):
        assert patched == [chunk == 0 for chunk in chunks]

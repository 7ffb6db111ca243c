"""The acceptance list for patches (CONTRIBUTING.md), line by line, on a real host."""

from __future__ import annotations

import gc

import pytest
import torch
from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.plan import CALL_KEY, RUN_KEY
from hifi_portrait.patching.settings import BLOCK_GROUPS, PatchSettings

from tests.patching.small import CONFIG, Watch, make_landmarks, sample

BOTH = PatchSettings(identity_strength=1.0, landmark_strength=1.0, unconditional="zero identity")
ON = PatchSettings(identity_strength=1.0, landmark_strength=1.0)
ONLY_IDENTITY = PatchSettings(identity_strength=1.0, landmark_strength=0.0)
ONLY_LANDMARKS = PatchSettings(identity_strength=0.0, landmark_strength=1.0)


def test_it_changes_the_picture(model, hifi_net, identity, landmarks):
    plain = sample(model)
    assert plain.isfinite().all()
    for settings in (ON, ONLY_IDENTITY, ONLY_LANDMARKS, BOTH):
        patched = sample(apply_hifi_net(model, hifi_net, identity, landmarks, settings))
        assert patched.isfinite().all()
        assert (plain - patched).abs().mean() > 0.01
    assert sample(model).equal(plain)


# Strength 0 equals no patch, bit for bit ------------------------------------------------------------------
@pytest.mark.parametrize(
    "settings",
    [
        PatchSettings(identity_strength=0.0, landmark_strength=0.0),
        PatchSettings(block_weights=(0.0,) * len(BLOCK_GROUPS)),
    ],
)
def test_strength_0_equals_no_patch(model, hifi_net, identity, landmarks, settings):
    assert sample(apply_hifi_net(model, hifi_net, identity, landmarks, settings)).equal(sample(model))


def test_weight_0_of_a_block_leaves_it_alone(model, hifi_net, identity, landmarks):
    weights = [1.0] * len(BLOCK_GROUPS)
    weights[BLOCK_GROUPS.index("MID")] = 0.0
    weights[BLOCK_GROUPS.index("BASE")] = 0.0
    watch = Watch(
        apply_hifi_net(model, hifi_net, identity, landmarks, PatchSettings(block_weights=tuple(weights)))
    )
    sample(watch.model, steps=1)
    assert not any(key[0] == "middle" for key in watch.attention)
    control = watch.control[0]
    assert control["middle"] == [None]
    assert [r is None for r in control["output"]] == [
        True,
        True,
        True,
        True,
        False,
        False,
        True,
        False,
        False,
    ]


# Start and end percent ------------------------------------------------------------------------------------
def test_start_and_end_percent(model, hifi_net, identity, landmarks):
    sampling = model.get_model_object("model_sampling")
    sigmas = torch.tensor([sampling.percent_to_sigma(p) for p in (0.1, 0.3, 0.6, 0.8)])
    settings = PatchSettings(start_percent=0.2, end_percent=0.7)
    watch = Watch(apply_hifi_net(model, hifi_net, identity, landmarks, settings))
    sample(watch.model, sigmas=torch.cat([sigmas, torch.zeros(1)]))
    assert [control is not None for control in watch.control] == [False, True, True, False]
    for calls in watch.attention.values():
        assert [bool(added.any()) for added, _ in calls] == [False, True, True, False]


def test_outside_of_its_time_equals_no_patch(model, hifi_net, identity, landmarks):
    patched = apply_hifi_net(model, hifi_net, identity, landmarks, PatchSettings(start_percent=0.9))
    assert sample(patched, steps=4, last_step=3).equal(sample(model, steps=4, last_step=3))


def test_fades_scale_what_is_injected(model, hifi_net, identity, landmarks):
    sampling = model.get_model_object("model_sampling")
    sigmas = torch.tensor([sampling.percent_to_sigma(0.25), 0.0])
    full, faded = (
        Watch(apply_hifi_net(model, hifi_net, identity, landmarks, settings))
        for settings in (ON, PatchSettings(1.0, 1.0, fade_in=0.5))
    )
    for watch in (full, faded):
        sample(watch.model, sigmas=sigmas)
    mid = [w.control[0]["middle"][0] for w in (full, faded)]
    torch.testing.assert_close(mid[1], mid[0] * 0.5, atol=2e-3, rtol=5e-3)


# Masks ----------------------------------------------------------------------------------------------------
def test_mask_of_all_0_equals_no_patch(model, hifi_net, identity, landmarks):
    patched = apply_hifi_net(model, hifi_net, identity, landmarks, ON, mask=torch.zeros(64, 64))
    assert sample(patched).equal(sample(model))


def test_mask_of_all_1_equals_no_mask(model, hifi_net, identity, landmarks):
    masked = apply_hifi_net(model, hifi_net, identity, landmarks, ON, mask=torch.ones(1, 40, 24))
    assert sample(masked).equal(sample(apply_hifi_net(model, hifi_net, identity, landmarks, ON)))


def test_half_mask_at_the_injection_site(model, hifi_net, identity, landmarks):
    mask = torch.zeros(128, 128)
    mask[:, 64:] = 1.0
    half = Watch(apply_hifi_net(model, hifi_net, identity, landmarks, ON, mask=mask))
    whole = Watch(apply_hifi_net(model, hifi_net, identity, landmarks, ON))
    for watch in (half, whole):
        sample(watch.model, steps=1)
    assert len(half.attention) == len(CONFIG.identity_layers())
    # The first layer's queries are the same in both, so what it adds can be compared.
    first = min(half.attention, key=lambda key: (key[0] != "input", key))
    for key, calls in half.attention.items():
        added, shape = calls[0]
        grid = added[1].reshape(*shape[-2:], -1)
        middle = shape[-1] // 2
        assert grid[:, :middle].eq(0).all(), key
        assert grid[:, middle:].ne(0).any(), key
    added, shape = half.attention[first][0]
    expected, _ = whole.attention[first][0]
    torch.testing.assert_close(
        added[1].reshape(*shape[-2:], -1)[:, shape[-1] // 2 :],
        expected[1].reshape(*shape[-2:], -1)[:, shape[-1] // 2 :],
    )
    for name in ("output", "middle"):
        for ours, unmasked in zip(half.control[0][name], whole.control[0][name], strict=True):
            middle = ours.shape[-1] // 2
            assert ours[1, ..., :middle].eq(0).all()
            torch.testing.assert_close(ours[1, ..., middle:], unmasked[1, ..., middle:])


# Batches, and halves together or apart --------------------------------------------------------------------
@pytest.mark.parametrize("settings", [ON, BOTH], ids=["positive only", "both halves"])
def test_batch_equals_single_pictures(model, hifi_net, identity, landmarks, settings):
    patched = apply_hifi_net(model, hifi_net, identity, landmarks, settings)
    noise = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(5))
    together = sample(patched, batch=3, noise=noise)
    for row in range(3):
        alone = sample(patched, noise=noise[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("settings", [ON, BOTH], ids=["positive only", "both halves"])
def test_halves_in_one_batch_or_split(model, hifi_net, identity, landmarks, settings, monkeypatch):
    together = Watch(apply_hifi_net(model, hifi_net, identity, landmarks, settings))
    one = sample(together.model)
    # What the host does when memory is short.
    monkeypatch.setattr(model.model, "memory_required", lambda *a, **k: 1e18)
    split = Watch(apply_hifi_net(model, hifi_net, identity, landmarks, settings))
    two = sample(split.model)
    assert [len(chunks) for _, chunks in together.inputs] == [2, 2]
    assert [len(chunks) for _, chunks in split.inputs] == [1, 1, 1, 1]
    torch.testing.assert_close(one, two, atol=2e-4, rtol=1e-4)


def test_unconditional_half_is_left_alone_by_default(model, hifi_net, identity, landmarks):
    positive_only, both = (
        Watch(apply_hifi_net(model, hifi_net, identity, landmarks, settings)) for settings in (ON, BOTH)
    )
    for watch, patched in ((positive_only, False), (both, True)):
        sample(watch.model, steps=1)
        chunks = watch.inputs[0][1]
        negative, positive = chunks.index(1), chunks.index(0)
        assert watch.control[0]["middle"][0][positive].any()
        assert bool(watch.control[0]["middle"][0][negative].any()) is patched
        for calls in watch.attention.values():
            assert calls[0][0][positive].any()
            assert bool(calls[0][0][negative].any()) is patched


# The middle block, and every other layer ------------------------------------------------------------------
def test_every_attention_layer_is_patched(model, hifi_net, identity, landmarks):
    watch = Watch(apply_hifi_net(model, hifi_net, identity, landmarks))
    sample(watch.model, steps=1)
    wanted = {(layer.block, layer.number, layer.depth) for layer in CONFIG.identity_layers()}
    assert set(watch.attention) == wanted
    assert {key for key in wanted if key[0] == "middle"} == {("middle", 0, 0), ("middle", 0, 1)}
    assert all(calls[0][0].any() for calls in watch.attention.values())
    assert len(watch.control[0]["output"]) == 9
    assert len(watch.control[0]["middle"]) == 1


# A second copy of ourselves -------------------------------------------------------------------------------
def test_a_second_person_adds_up(model, hifi_net, identity, other_identity, landmarks):
    elsewhere = make_landmarks((-20.0, 0.0, 0.0), position=(40.0, 60.0))
    first = apply_hifi_net(model, hifi_net, identity, landmarks, ON)
    watches = [
        Watch(first),
        Watch(apply_hifi_net(model, hifi_net, other_identity, elsewhere, ON)),
        Watch(apply_hifi_net(first, hifi_net, other_identity, elsewhere, ON)),
    ]
    for watch in watches:
        sample(watch.model, steps=1)
    for name in ("output", "middle"):
        for a, b, both in zip(*(watch.control[0][name] for watch in watches), strict=True):
            torch.testing.assert_close(both, a + b)
    layer = ("input", 4, 0)
    # Its queries differ, since the residuals came before; what it adds still is the sum for equal queries.
    only = [
        Watch(apply_hifi_net(model, hifi_net, identity, None, ON)),
        Watch(apply_hifi_net(model, hifi_net, other_identity, None, ON)),
        Watch(
            apply_hifi_net(
                apply_hifi_net(model, hifi_net, identity, None, ON), hifi_net, other_identity, None, ON
            )
        ),
    ]
    for watch in only:
        sample(watch.model, steps=1)
    a, b, both = (watch.attention[layer][0][0] for watch in only)
    torch.testing.assert_close(both, a + b)


def test_two_people_with_masks_do_not_blend(model, hifi_net, identity, other_identity, landmarks):
    left = torch.zeros(16, 16)
    left[:, :8] = 1.0
    both = apply_hifi_net(
        apply_hifi_net(model, hifi_net, identity, landmarks, ON, mask=left),
        hifi_net,
        other_identity,
        landmarks,
        ON,
        mask=1.0 - left,
    )
    alone = [
        Watch(apply_hifi_net(model, hifi_net, identity, landmarks, ON)),
        Watch(apply_hifi_net(model, hifi_net, other_identity, landmarks, ON)),
    ]
    watch = Watch(both)
    for each in (watch, *alone):
        sample(each.model, steps=1)
    for ours, first, second in zip(*(w.control[0]["output"] for w in (watch, *alone)), strict=True):
        middle = ours.shape[-1] // 2
        torch.testing.assert_close(ours[1, ..., :middle], first[1, ..., :middle])
        torch.testing.assert_close(ours[1, ..., middle:], second[1, ..., middle:])


# Requeue, clone, cleanup, offload, reload -----------------------------------------------------------------
def test_requeue_gives_the_same_and_leaves_nothing(model, hifi_net, identity, landmarks):
    patched = apply_hifi_net(model, hifi_net, identity, landmarks)
    first = sample(patched)
    options = patched.model_options["transformer_options"]
    assert not {RUN_KEY, CALL_KEY} & set(options)
    assert sample(patched).equal(first)
    assert sample(patched.clone()).equal(first)
    assert sample(model).equal(sample(model.clone()))
    assert not model.wrappers
    assert not model.callbacks
    assert not model.additional_models
    assert model.model_options == {"transformer_options": {}}


def test_the_network_is_loaded_and_offloaded_by_the_host(model, hifi_net, identity, landmarks):
    import comfy.model_management as management

    patched = apply_hifi_net(model, hifi_net, identity, landmarks)
    first = sample(patched)

    def loaded() -> list:
        # The host holds models weakly; those of other tests may be gone.
        return [entry.model.model for entry in management.current_loaded_models if entry.model is not None]

    assert hifi_net.network in loaded()
    management.unload_all_models()
    assert hifi_net.network not in loaded()
    assert sample(patched).equal(first)
    # Partly in main memory, cast layer by layer, as on a small card.
    management.unload_all_models()
    hifi_net.patcher.load(torch.device("cpu"), lowvram_model_memory=200_000)
    assert any(getattr(m, "comfy_cast_weights", False) for m in hifi_net.network.modules())
    torch.testing.assert_close(sample(patched), first)


def test_a_run_leaves_no_tensors_behind(model, hifi_net, identity, landmarks):
    patched = apply_hifi_net(model, hifi_net, identity, landmarks)

    def count() -> int:
        gc.collect()
        return sum(type(obj) in (torch.Tensor, torch.nn.Parameter) for obj in gc.get_objects())

    sample(patched)
    before = count()
    for _ in range(3):
        sample(patched)
    assert count() <= before

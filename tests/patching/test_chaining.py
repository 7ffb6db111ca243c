"""Living with other packs: their replacements, their callbacks, and both of the host's clone rules."""

from __future__ import annotations

import copy

import pytest
import torch
from hifi_portrait.patching.apply import applied_patches, apply_hifi_net
from hifi_portrait.patching.attention import AddedCallback, IdentityAttention
from hifi_portrait.patching.plan import KEY
from hifi_portrait.patching.settings import PatchSettings

from tests.patching.small import CLONE_RULES, Watch, make_model, sample, set_clone_rule

LAYER = ("input", 4, 0)


@pytest.fixture(params=CLONE_RULES)
def clone_rule(request, monkeypatch):
    """Both of the host's rules for ``model_options`` when a MODEL is cloned: 0.3.75's and newer ones'."""
    set_clone_rule(monkeypatch, request.param)
    return request.param


def chain(model, callback, **options):
    """Chain a callback as IP-Adapter's and InstantID's packs do, on a clone, in place."""
    model = model.clone()
    replacements = dict(
        model.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
    )
    assert LAYER in replacements
    replacements[LAYER].add(callback, **options)
    return model


def replacement(model):
    return model.model_options["transformer_options"]["patches_replace"]["attn2"][LAYER]


def half_more(out, q, k, v, extra_options, weight=1.0, **_):
    assert extra_options["block"] == ("input", 4)
    return out * weight


def test_a_callback_is_added_to_the_output(model, hifi_net, identity):
    patched = apply_hifi_net(model, hifi_net, identity, None)
    one = Watch(patched)
    two = Watch(chain(patched, half_more, weight=0.5, sigma_start=1e9, sigma_end=0.0))
    for watch in (one, two):
        sample(watch.model, steps=1)
    x, y = (watch.attention[LAYER][0][0] for watch in (one, two))
    assert (x - y).abs().max() > 0.01
    sample(two.model, steps=1)


def test_a_callback_runs_in_its_own_time(model, hifi_net, identity):
    sigmas = []

    def note(out, q, k, v, extra_options, **_):
        sigmas.append(float(extra_options["sigmas"][0]))
        return 0

    patched = chain(
        apply_hifi_net(model, hifi_net, identity, None), note, weight=1, sigma_start=10.0, sigma_end=1.0
    )
    sample(patched, sigmas=torch.tensor([14.0, 8.0, 2.0, 0.5, 0.0]))
    assert sigmas == [8.0, 2.0]


def test_a_callback_reaches_no_other_branch(model, hifi_net, identity, clone_rule):
    upstream = apply_hifi_net(model, hifi_net, identity, None)
    before = sample(upstream)
    sibling = upstream.clone()
    downstream = chain(upstream, half_more, weight=0.5)
    further = downstream.clone()
    assert not sample(downstream).equal(before)
    assert sample(further).equal(sample(downstream))
    assert sample(upstream).equal(before)
    assert sample(sibling).equal(before)
    # A callback on a later branch does not reach the one before it either.
    twice = chain(downstream, half_more, weight=0.25)
    assert [len(replacement(m).contributions) for m in (upstream, downstream, twice)] == [1, 2, 3]


def test_requeues_do_not_pile_up(model, hifi_net, identity, clone_rule):
    upstream = apply_hifi_net(model, hifi_net, identity, None)
    lengths = [len(replacement(chain(upstream, half_more, weight=0.5)).contributions) for _ in range(3)]
    assert lengths == [2, 2, 2]


def test_a_replacement_that_was_there_is_kept(model, hifi_net, identity, landmarks, clone_rule):
    calls = []

    def theirs(q, k, v, extra_options):
        calls.append(extra_options["block_index"])
        return torch.zeros_like(q)

    base = model.clone()
    base.set_model_attn2_replace(theirs, *LAYER)
    patched = apply_hifi_net(base, hifi_net, identity, landmarks)
    seen = {}

    def see(q, k, v, extra_options):
        seen["out"] = ours(q, k, v, extra_options)
        return seen["out"]

    ours = replacement(patched)
    patched.set_model_attn2_replace(see, *LAYER)
    sample(patched, steps=1)
    assert calls == [0]
    # On top of their zeros, only the positive half has something.
    halves = seen["out"].chunk(2)
    assert sorted(bool(half.any()) for half in halves) == [False, True]


def test_a_replacement_of_the_whole_block_is_kept(model, hifi_net, identity):
    # The host prefers the replacement of a single layer, so ours has to call that of the block.
    def theirs(q, k, v, extra_options):
        return torch.zeros_like(q)

    before, after = model.clone(), apply_hifi_net(model, hifi_net, identity, None)
    before.set_model_attn2_replace(theirs, "input", 4)
    after.set_model_attn2_replace(theirs, "input", 4)
    results = [sample(apply_hifi_net(before, hifi_net, identity, None)), sample(after)]
    assert results[0].equal(results[1])
    assert not results[0].equal(sample(apply_hifi_net(model, hifi_net, identity, None)))


def test_a_replaced_layer_is_reported(model, hifi_net, identity, caplog):
    patched = apply_hifi_net(model, hifi_net, identity, None)
    patched.set_model_attn2_replace(lambda q, k, v, extra: q, *LAYER)
    sample(patched, steps=1)
    assert "1 of 17 layers" in caplog.text


def test_a_clone_copies_no_weights(model, hifi_net, identity, landmarks):
    patched = apply_hifi_net(model, hifi_net, identity, landmarks, mask=torch.rand(8, 8))
    for each in (copy.deepcopy(replacement(patched)), replacement(patched.clone())):
        assert isinstance(each, IdentityAttention)
        assert each is not replacement(patched)
    ours, theirs = applied_patches(patched)[0], applied_patches(patched.clone())[0]
    assert ours is theirs
    assert copy.deepcopy(ours) is ours
    assert ours.identity is identity
    assert [m.model for m in patched.clone().get_additional_models_with_key(KEY)] == [hifi_net.network]


def test_other_packs_objects_move_and_load_with_ours():
    class Theirs:
        def __init__(self, where="cpu"):
            self.where = where

        def to(self, where):
            return Theirs(where)

        def models(self):
            return ["model"]

    patch = IdentityAttention(LAYER, ("uid", AddedCallback(half_more, {})), Theirs())
    moved = patch.to("meta")
    assert moved.previous.where == "meta"
    assert moved.contributions == patch.contributions
    assert patch.previous.where == "cpu"
    assert patch.models() == ["model"]
    alone = IdentityAttention(LAYER, ("uid",))
    assert alone.to("meta") is alone
    assert alone.models() == []


def test_branches_of_one_graph_give_what_they_give_alone(
    model, hifi_net, identity, other_identity, landmarks
):
    settings = PatchSettings(1.0, 1.0)
    alone = [
        sample(apply_hifi_net(make_model(), hifi_net, who, landmarks, settings))
        for who in (identity, other_identity)
    ]
    branches = [
        apply_hifi_net(model, hifi_net, who, landmarks, settings) for who in (identity, other_identity)
    ]
    assert not alone[0].equal(alone[1])
    for _ in range(2):
        for branch, expected in zip(branches, alone, strict=True):
            assert sample(branch).equal(expected)

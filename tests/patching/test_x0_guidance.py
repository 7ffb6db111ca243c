"""The coarse x0 of UV textures guides what the base predicts: where, when and how far."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hifi_portrait.models.texture import CoarseX0
from hifi_portrait.patching import wrappers
from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.masks import MaskPyramid
from hifi_portrait.patching.plan import Call
from hifi_portrait.patching.residuals import add_residuals, guide_to_coarse_x0
from hifi_portrait.patching.settings import PatchSettings

from tests.patching.small import CONFIG, make_hifi_net, make_identity, make_landmarks, make_model, sample

SIGMA = 1.5
ALPHA = (1 + SIGMA**2) ** -0.5


class Job:
    """What `guide_to_coarse_x0` reads of a job."""

    def __init__(self, coarse_x0, rows=None, guidance=1.0, masks=None):
        self.prepared = type("Prepared", (), {"coarse_x0": coarse_x0})()
        self.rows, self.guidance, self.masks = rows, guidance, masks


def noise(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def call(*jobs, kind="eps"):
    return Call(SIGMA, kind, {}, jobs, {}, add_residuals, guide_to_coarse_x0)


@pytest.mark.parametrize("kind", ["eps", "v"])
def test_clean_latents_move_towards_the_coarse_x0(kind):
    sigma = SIGMA * ALPHA
    clean, rest, wanted = noise(0, 2, 4, 8, 8), noise(1, 2, 4, 8, 8), noise(2, 1, 4, 8, 8)
    x = ALPHA * clean + sigma * rest
    before = rest if kind == "eps" else ALPHA * rest - sigma * clean
    coarse = CoarseX0(wanted, torch.full_like(wanted, 0.6))
    after = guide_to_coarse_x0(call(Job(coarse, guidance=0.5), kind=kind), x, before)
    found = (x - sigma * after) / ALPHA if kind == "eps" else ALPHA * x - sigma * after
    assert torch.allclose(found, clean + 0.3 * sigma * (wanted - clean), atol=1e-5)


def test_only_its_rows_and_its_side_of_the_mask_and_never_in_place():
    x, before = noise(0, 3, 4, 8, 8), noise(1, 3, 4, 8, 8)
    kept = before.clone()
    coarse = CoarseX0(noise(2, 1, 4, 8, 8), torch.full((1, 4, 8, 8), 0.9))
    half = torch.zeros(1, 1, 8, 8)
    half[..., 4:] = 1
    rows = torch.tensor([0, 2])
    after = guide_to_coarse_x0(call(Job(coarse, rows, masks=MaskPyramid(half))), x, before)
    assert torch.equal(before, kept)
    assert torch.equal(after[1], before[1])
    assert torch.equal(after[..., :4], before[..., :4])
    assert (after[rows][..., 4:] != before[rows][..., 4:]).all()
    whole = guide_to_coarse_x0(call(Job(coarse, rows)), x, before)
    assert torch.equal(after[..., 4:], whole[..., 4:])


def test_no_strength_no_change_and_other_predictions_are_left_alone():
    x, before = noise(0, 1, 4, 8, 8), noise(1, 1, 4, 8, 8)
    coarse = CoarseX0(noise(2, 1, 4, 8, 8), torch.full((1, 4, 8, 8), 0.9))
    assert guide_to_coarse_x0(call(Job(coarse, guidance=0.0)), x, before) is before
    assert guide_to_coarse_x0(call(Job(None)), x, before) is before
    assert guide_to_coarse_x0(call(Job(coarse), kind="other"), x, before) is before
    with pytest.raises(ValueError, match="'other'"):
        coarse.guide(before, x, 0.5, 0.5, "other")


def test_a_strength_above_1_never_goes_beyond_the_coarse_x0():
    x, before = noise(0, 1, 4, 8, 8), noise(1, 1, 4, 8, 8)
    coarse = CoarseX0(noise(2, 1, 4, 8, 8), torch.full((1, 4, 8, 8), 0.5))
    limit = replace(coarse, weight=torch.ones(1, 4, 8, 8))
    assert torch.equal(
        guide_to_coarse_x0(call(Job(coarse, guidance=7.0)), x, before),
        guide_to_coarse_x0(call(Job(limit)), x, before),
    )


@pytest.fixture(scope="module")
def scene():
    hifi_net = make_hifi_net(CONFIG, 5)
    return make_model(), hifi_net, make_identity(hifi_net.network, 7), make_landmarks()


def guided(scene, **settings):
    model, hifi_net, identity, landmarks = scene
    return sample(apply_hifi_net(model, hifi_net, identity, landmarks, PatchSettings(**settings)))


def test_a_whole_run_is_guided_and_fusion_strength_0_leaves_it_out(scene, monkeypatch):
    assert not torch.equal(guided(scene), guided(scene, fusion_strength=0.0))
    guided_run = guided(scene)
    monkeypatch.setattr(wrappers, "prediction_type", lambda _: "other")
    assert not torch.equal(guided(scene), guided_run)
    assert torch.equal(guided(scene, fusion_strength=0.0), guided(scene, fusion_strength=0.0))


def test_a_model_that_predicts_something_else_is_reported(scene, monkeypatch, caplog):
    monkeypatch.setattr(wrappers, "prediction_type", lambda _: "other")
    guided(scene)
    assert caplog.text.count("neither noise nor v") == 1

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hifi_portrait.patching.tiny_words import PADDING
from hifi_portrait.training.batches import PreparedPeople, draw_batch
from hifi_portrait.training.losses import IdentityLoss, SmallRecognizer, aligned_crops
from hifi_portrait.training.recipe import Recipe
from hifi_portrait.training.ship import read_average, ship_run
from hifi_portrait.training.trainer import Trainer, encode, fit_codec, learning_rate, to_bytes

torch.set_num_threads(1)

RECIPE = Recipe(name="micro", steps=6, batch=3, warmup=2, checkpoint_every=100, sheet_every=100)


@pytest.fixture(scope="module")
def people(prepared) -> PreparedPeople:
    return PreparedPeople.load(prepared)


def make(people, folder, recipe=RECIPE, **more) -> Trainer:
    return Trainer(recipe, people, folder, log=lambda line: None, **more)


def test_recipes_round_trip_and_refuse_unknown_fields(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(RECIPE.to_json(), encoding="utf-8")
    assert Recipe.load(path) == RECIPE
    assert Recipe.load("tiny").name == "tiny"
    path.write_text(json.dumps({"stepz": 3}), encoding="utf-8")
    with pytest.raises(ValueError, match="stepz"):
        Recipe.load(path)
    with pytest.raises(ValueError, match="not a recipe"):
        Recipe.load("nothing")


def test_learning_rate_warms_up_holds_and_falls():
    recipe = replace(RECIPE, steps=100, warmup=10, hold=0.5)
    rates = [learning_rate(recipe, s) for s in range(100)]
    assert rates[0] == pytest.approx(recipe.learning_rate / 10)
    assert rates[30] == recipe.learning_rate
    assert rates[-1] < 0.05 * recipe.learning_rate
    assert all(b <= a for a, b in itertools.pairwise(rates[50:]))


def test_the_linear_codec_loses_little(people):
    from hifi_portrait.patching.tiny import TinyBaseConfig

    codec, psnr = fit_codec(people, TinyBaseConfig())
    assert psnr > 28
    encode(people, codec)
    made = to_bytes(codec.decode(people.latents[:4]))
    assert np.abs(made.astype(int) - people.image[:4]).mean() < 8
    assert people.latents.std() < 2


def test_references_never_include_the_target(people):
    from hifi_portrait.patching.tiny import TinyBaseConfig

    encode(people, fit_codec(people, TinyBaseConfig())[0])
    seen = set()
    for step in range(12):
        batch = draw_batch(people, 0, step, 4, (0.3, 0.4, 0.3), 0.2)
        seen.add(batch.faces.weights.shape[1])
        for i, row in enumerate(batch.rows):
            person = people.person[row]
            for crop in batch.faces.crops[i]:
                matches = [
                    r for r in range(len(people.person))
                    if torch.equal(crop, torch.from_numpy(people.crop[r].transpose(2, 0, 1) /
                    np.float32(127.5) - 1))
                ]  # fmt: skip
                assert matches
                assert row not in matches
                assert people.person[matches[0]] == person
        assert ((batch.concepts == PADDING).int().diff(dim=1) >= 0).all(), "words first, padding after"
    assert seen == {1, 2, 3}
    again = draw_batch(people, 0, 3, 4, (0.3, 0.4, 0.3), 0.2)
    assert torch.equal(again.noise, draw_batch(people, 0, 3, 4, (0.3, 0.4, 0.3), 0.2).noise)


def test_a_resumed_run_ends_bit_for_bit_like_an_unbroken_one(people, tmp_path):
    recipe = replace(RECIPE, mend_loss=0.5, identity_max_noise=1.0, extra_losses_from=2)
    whole = make(people, tmp_path / "whole", recipe)
    whole.run()
    make(people, tmp_path / "parts", recipe).run(until=3)
    parts = make(people, tmp_path / "parts", recipe)
    assert parts.step == 3
    parts.run()
    assert parts.step == whole.step == 6
    for name, a, b in zip(whole.names, whole.parameters, parts.parameters, strict=True):
        assert torch.equal(a, b), name
        assert torch.equal(whole.average[name], parts.average[name]), name


def test_gradients_lower_the_loss_of_a_batch(people, tmp_path):
    trainer = make(people, tmp_path, replace(RECIPE, zero_start=0.5))
    batch = draw_batch(people, 7, 0, 4, (0.0, 1.0), 0.0)
    losses = []
    for _ in range(25):
        total = trainer.loss(batch)[0]
        trainer.optimizer.zero_grad(set_to_none=True)
        total.backward()
        trainer.optimizer.step()
        losses.append(float(total.detach()))
    assert losses[-1] < 0.9 * losses[0], losses
    unmoved = [n for n, p in zip(trainer.names, trainer.parameters, strict=True) if p.grad is None]
    assert not unmoved, "every part of base and identity networks takes part"


def test_base_first_then_frozen(people, tmp_path):
    trainer = make(people, tmp_path, replace(RECIPE, base_steps=2, freeze_base=True, steps=4))
    net = {n: p.detach().clone() for n, p in trainer.system.portrait.named_parameters()}
    trainer.run(until=2)
    assert all(torch.equal(net[n], p) for n, p in trainer.system.portrait.named_parameters())
    base = {n: p.detach().clone() for n, p in trainer.system.unet.named_parameters()}
    trainer.run()
    assert all(torch.equal(base[n], p) for n, p in trainer.system.unet.named_parameters())
    assert any(not torch.equal(net[n], p) for n, p in trainer.system.portrait.named_parameters())


def test_identity_loss_reaches_the_network_and_is_zero_for_the_truth(people, tmp_path):
    torch.manual_seed(0)
    loss = IdentityLoss(SmallRecognizer())
    truth = torch.from_numpy(people.image[:3])
    real = truth.permute(0, 3, 1, 2).float() / 127.5 - 1
    assert float(loss(real, people.points[:3], truth)) == pytest.approx(0, abs=1e-5)
    assert float(loss(real.flip(0), people.points[:3], truth)) > 1e-4
    crops = aligned_crops(real, people.points[:3])
    assert crops.shape == (3, 3, 64, 64)
    recipe = replace(RECIPE, identity_loss=1.0, identity_share=1.0, identity_max_noise=1.0)
    trainer = make(people, tmp_path, recipe, identity_loss=loss)
    parts = trainer.one_step()
    assert parts["identity"] > 0


def test_mending_brings_the_models_own_pictures_nearer_to_the_truth(people, tmp_path):
    from hifi_portrait.training.mend import repaint, train_mend

    trainer = make(people, tmp_path, replace(RECIPE, steps=8))
    trainer.run()
    painted, truth = repaint(trainer.system, people, 32, 1, 1.0)
    assert painted.shape == (32, 32, 16, 16)
    assert truth.shape == (32, 3, 128, 128)
    result = train_mend(trainer.system.codec, painted, truth, 2.0)
    assert result["after"] < result["before"]
    assert not any(p.requires_grad for p in trainer.system.codec.parameters())


def test_shipped_files_paint_what_the_run_paints(people, tmp_path):
    from hifi_portrait.training.evaluate import load_shipped

    trainer = make(people, tmp_path / "run")
    trainer.run(until=3)
    ship_run(tmp_path / "run", tmp_path / "ship", people.people, RECIPE)
    assert sum(f.stat().st_size for f in (tmp_path / "ship").iterdir()) < 25e6
    system = load_shipped(tmp_path / "ship")
    trainer.averaged()
    noise = torch.randn(2, 32, 16, 16, generator=torch.Generator().manual_seed(0))
    batch = draw_batch(people, 0, 0, 2, (0, 1.0), 0.0)
    arguments = (noise, batch.concepts, batch.hint, batch.coords, batch.faces, 2)
    a, b = (s.sample(*arguments) for s in (system, trainer.system))
    assert (a - b).abs().max() < 0.02, "float16 rounding"
    assert read_average(tmp_path / "run")[2] == 3

"""Runs: resumed to the bit, in stages, started from others, exported."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hifi_portrait.tiny.base_file import ASSETS
from hifi_portrait.tiny.config import TinyBaseConfig
from hifi_portrait.tiny.prompt import PADDING
from hifi_portrait.training.checkpoints import CHECKPOINT
from hifi_portrait.training.data.batches import draw_batch, to_bytes, to_signed
from hifi_portrait.training.export import export_run
from hifi_portrait.training.latents import encode, fit_codec
from hifi_portrait.training.losses import IdentityLoss, LandmarkLoss
from hifi_portrait.training.networks.landmark_regressor import load_regressor, train_regressor
from hifi_portrait.training.runs import load_exported, read_ema_weights
from hifi_portrait.training.train import learning_rate
from safetensors.torch import load_file, save_file

from tests.training.micro import RECIPE, make


def test_learning_rate_warms_up_holds_and_falls():
    recipe = RECIPE.changed(schedule={"steps": 100, "warmup": 10, "hold": 0.5})
    rates = [learning_rate(recipe, s) for s in range(100)]
    assert rates[0] == pytest.approx(recipe.optimizer.learning_rate / 10)
    assert rates[30] == recipe.optimizer.learning_rate
    assert rates[-1] < 0.05 * recipe.optimizer.learning_rate
    assert all(b <= a for a, b in itertools.pairwise(rates[50:]))


def test_the_linear_codec_loses_little(people):
    codec, psnr = fit_codec(people, TinyBaseConfig())
    assert psnr > 28
    encode(people, codec)
    made = to_bytes(codec.decode(people.latents[:4]))
    assert np.abs(made.astype(int) - people.image[:4]).mean() < 8
    assert people.latents.std() < 2


def test_references_never_include_the_target(people):
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


def test_a_resumed_run_ends_bit_for_bit_like_an_unbroken_one(people, sface, tmp_path):
    recipe = RECIPE.changed(
        optimizer={"base_multiplier": 0.5},
        losses={"identity": 0.5, "pictures_from": 2},
        rollout={"people": 2, "every": 2},
    )
    loss = IdentityLoss(sface, people.embedding.mean(0))
    whole = make(people, tmp_path / "whole", recipe, identity_loss=loss)
    whole.run()
    make(people, tmp_path / "parts", recipe, identity_loss=loss).run(until=3)
    parts = make(people, tmp_path / "parts", recipe, identity_loss=loss)
    assert parts.step == 3
    parts.run()
    assert parts.step == whole.step == 6
    for name, a, b in zip(whole.state.names, whole.state.parameters, parts.state.parameters, strict=True):
        assert torch.equal(a, b), name
        assert torch.equal(whole.ema()[name], parts.ema()[name]), name


def test_gradients_lower_the_loss_of_a_batch(people, tmp_path):
    trainer = make(people, tmp_path, RECIPE.changed(stage={"zero_layer_scale": 0.5}))
    batch = draw_batch(people, 7, 0, 4, (0.0, 1.0), 0.0)
    losses = []
    for _ in range(25):
        total = trainer.objective(batch, 0)[0]
        trainer.state.optimizer.zero_grad(set_to_none=True)
        total.backward()
        trainer.state.optimizer.step()
        losses.append(float(total.detach()))
    assert losses[-1] < 0.9 * losses[0], losses
    unmoved = [
        n for n, p in zip(trainer.state.names, trainer.state.parameters, strict=True) if p.grad is None
    ]
    assert not unmoved, "every part of base and identity networks takes part"


def test_base_first_then_frozen(people, tmp_path):
    trainer = make(
        people,
        tmp_path,
        RECIPE.changed(stage={"identity_from": 2, "freeze_base": True}, schedule={"steps": 4}),
    )
    net = {n: p.detach().clone() for n, p in trainer.system.portrait.named_parameters()}
    trainer.run(until=2)
    assert all(torch.equal(net[n], p) for n, p in trainer.system.portrait.named_parameters())
    base = {n: p.detach().clone() for n, p in trainer.system.unet.named_parameters()}
    trainer.run()
    assert all(torch.equal(base[n], p) for n, p in trainer.system.unet.named_parameters())
    assert any(not torch.equal(net[n], p) for n, p in trainer.system.portrait.named_parameters())


def test_identity_loss_is_small_for_the_person_and_reaches_the_network(people, sface, tmp_path):
    mean = people.embedding.mean(0)
    loss = IdentityLoss(sface, mean)
    identities = torch.from_numpy(people.identities(mean))
    assert identities.norm(dim=1).numpy() == pytest.approx(1, abs=1e-5)
    rows = np.arange(people.people) * people.pictures
    own = float(loss(to_signed(people.image[rows]), people.points[rows], identities))
    others = float(loss(to_signed(people.image[rows]), people.points[rows], identities.roll(1, 0)))
    assert own < 0.6 < 0.9 < others
    recipe = RECIPE.changed(losses={"identity": 1.0, "picture_share": 1.0, "picture_max_noise": 1.0})
    trainer = make(people, tmp_path, recipe, identity_loss=loss)
    assert trainer.one_step()["identity"] > 0


def test_landmark_loss_falls_with_the_distance(people, prepared, tmp_path):
    result = train_regressor(prepared, tmp_path / "regressor.safetensors", 15.0)
    assert result["error_px"] < 8, "it starts at 12; minutes bring it to 1"
    loss = LandmarkLoss(load_regressor(tmp_path / "regressor.safetensors"))
    points = people.points[:6].copy()
    true = float(loss(to_signed(people.image[:6]), points))
    points[:, 48:68, 1] += 8
    assert float(loss(to_signed(people.image[:6]), points)) > true + 0.1
    recipe = RECIPE.changed(losses={"landmarks": 1.0, "picture_share": 1.0, "picture_max_noise": 1.0})
    assert make(people, tmp_path / "run", recipe, landmark_loss=loss).one_step()["landmarks"] > 0


def test_a_run_starts_with_the_base_of_another(people, tmp_path):
    first = make(people, tmp_path / "base", RECIPE.changed(stage={"identity_from": None}))
    first.run()
    recipe = RECIPE.changed(
        stage={"freeze_base": True},
        schedule={"steps": 2},
        network={"detail_channels": 0, "texture_size": 0},
    )
    second = make(people, tmp_path / "identity", recipe, start_from=tmp_path / "base")
    first.use_ema()
    wanted = first.system.unet.state_dict()
    second.run()
    for name, value in second.system.unet.state_dict().items():
        assert torch.equal(value, wanted[name]), name
    assert torch.equal(second.people.latents, first.people.latents)


def test_identity_parts_can_start_anew_on_the_base_of_another_run(people, tmp_path):
    first = make(people, tmp_path / "first", RECIPE.changed(schedule={"steps": 2}))
    first.run()
    again = make(people, tmp_path / "again", start_from=tmp_path / "first").system.state_dict()
    bare = make(
        people,
        tmp_path / "bare",
        RECIPE.changed(stage={"transfer": "base"}, seed=5),
        start_from=tmp_path / "first",
    ).system.state_dict()
    first.use_ema()
    for name, value in first.system.state_dict().items():
        assert torch.equal(again[name], value), name
        if name.startswith(("unet.", "words.")):
            assert torch.equal(bare[name], value), name
    drawn = "portrait.refiner.image_proj.latents"
    assert not torch.equal(bare[drawn], again[drawn])


def test_a_run_starts_with_the_exported_files(people, tmp_path):
    ours = make(people, tmp_path / "run", start_from=ASSETS).system
    exported = load_exported()
    for name, value in exported.unet.state_dict().items():
        assert torch.equal(ours.unet.state_dict()[name], value), name
    for name, value in exported.portrait.state_dict().items():
        assert torch.equal(ours.portrait.state_dict()[name], value), name


def test_coarse_x0_is_learned_first_and_by_nothing_else(people, sface, tmp_path):
    recipe = RECIPE.changed(
        schedule={"steps": 40},
        data={"batch": 4},
        optimizer={"learning_rate": 4e-3},
        stage={"denoising_from": None},
        losses={"coarse_x0": 1.0, "texture": 0.3, "identity": 0.1, "coarse_x0_identities": 1},
    )
    identity = IdentityLoss(sface, people.embedding.mean(0))
    trainer = make(people, tmp_path, recipe, identity_loss=identity)
    before = {k: v.clone() for k, v in trainer.system.state_dict().items()}
    parts = [trainer.one_step() for _ in range(40)]
    assert set(parts[0]) == {"texture", "coarse x0", "coarse x0 identity"}
    assert np.mean([p["coarse x0"] for p in parts[-8:]]) < 0.85 * np.mean([p["coarse x0"] for p in parts[:4]])
    changed = {k for k, v in trainer.system.state_dict().items() if not torch.equal(v, before[k])}
    assert changed
    assert all(".texture" in k for k in changed), "the rest waits"


def test_exported_files_sample_what_the_run_samples(people, tmp_path):
    trainer = make(people, tmp_path / "run")
    trainer.run(until=3)
    export_run(tmp_path / "run", tmp_path / "export", people.people, RECIPE)
    assert sum(f.stat().st_size for f in (tmp_path / "export").iterdir()) < 25e6
    system = load_exported(tmp_path / "export")
    trainer.use_ema()
    noise = torch.randn(2, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    batch = draw_batch(people, 0, 0, 2, (0, 1.0), 0.0)
    arguments = (noise, batch.concepts, batch.maps, batch.faces, 2)
    a, b = (s.sample(*arguments) for s in (system, trainer.system))
    assert (a - b).abs().max() < 0.02, "float16 rounding"
    assert read_ema_weights(tmp_path / "run")[2] == 3


def test_runs_saved_under_earlier_names_go_on(people, tmp_path):
    trainer = make(people, tmp_path / "now")
    trainer.run(until=2)
    today = load_file(str(tmp_path / "now" / CHECKPOINT))
    earlier = {"ema/": "average/", "codec/refinement.": "codec/mend.", ".to_coarse_x0.": ".to_draft."}
    former = {}
    for name, value in today.items():
        old_name = name
        for new, old in earlier.items():
            old_name = old_name.replace(new, old)
        former[old_name] = value
    assert set(former) != set(today)
    (tmp_path / "then").mkdir()
    save_file(former, tmp_path / "then" / CHECKPOINT, {"step": "2"})
    resumed = make(people, tmp_path / "then")
    assert resumed.step == 2
    trainer.run()
    resumed.run()
    for name, a, b in zip(
        trainer.state.names, trainer.state.parameters, resumed.state.parameters, strict=True
    ):
        assert torch.equal(a, b), name

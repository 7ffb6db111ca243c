from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hifi_portrait.faces.geometry import RECOGNIZER_SIZE, RECOGNIZER_TEMPLATE
from hifi_portrait.tiny import model as tiny
from hifi_portrait.tiny.prompt import PADDING
from hifi_portrait.training.config import Recipe
from hifi_portrait.training.data.batches import PreparedPeople, draw_batch
from hifi_portrait.training.data.preparation import embed
from hifi_portrait.training.decoder_refinement import repaint, train_mend
from hifi_portrait.training.export import ship_run
from hifi_portrait.training.losses import IdentityLoss, LandmarkLoss
from hifi_portrait.training.networks.crops import SIDE, aligned_crops, jittered_crops
from hifi_portrait.training.networks.landmark_regressor import (
    load_regressor,
    train_regressor,
)
from hifi_portrait.training.networks.sface import SFace
from hifi_portrait.training.runs import load_shipped, read_average
from hifi_portrait.training.trainer import Trainer, encode, fit_codec, learning_rate, to_bytes

torch.set_num_threads(1)

RECIPE = Recipe(name="micro", steps=6, batch=3, warmup=2, checkpoint_every=100, sheet_every=100)


@pytest.fixture(scope="module")
def people(prepared) -> PreparedPeople:
    return PreparedPeople.load(prepared)


@pytest.fixture(scope="module")
def sface_file(face_models):
    return face_models / "face_recognition_sface_2021dec_int8bq.onnx"


@pytest.fixture(scope="module")
def sface(sface_file) -> SFace:
    return SFace(sface_file)


def make(people, folder, recipe=RECIPE, **more) -> Trainer:
    return Trainer(recipe, people, folder, log=lambda line: None, **more)


def test_recipes_round_trip_and_refuse_unknown_fields(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(RECIPE.to_json(), encoding="utf-8")
    assert Recipe.load(path) == RECIPE
    assert Recipe.load("tiny-joint").name == "tiny-joint"
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
    from hifi_portrait.tiny.model import TinyBaseConfig

    codec, psnr = fit_codec(people, TinyBaseConfig())
    assert psnr > 28
    encode(people, codec)
    made = to_bytes(codec.decode(people.latents[:4]))
    assert np.abs(made.astype(int) - people.image[:4]).mean() < 8
    assert people.latents.std() < 2


def test_references_never_include_the_target(people):
    from hifi_portrait.tiny.model import TinyBaseConfig

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
    recipe = replace(
        RECIPE, base_rate=0.5, identity_loss=0.5, own_pictures=2, own_every=2, extra_losses_from=2
    )
    loss = IdentityLoss(sface, people.embedding.mean(0))
    whole = make(people, tmp_path / "whole", recipe, identity_loss=loss)
    whole.run()
    make(people, tmp_path / "parts", recipe, identity_loss=loss).run(until=3)
    parts = make(people, tmp_path / "parts", recipe, identity_loss=loss)
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


def signed(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_sface_in_torch_is_sface_in_onnx_runtime(people, sface, sface_file):
    images, points = people.image[:3], people.points[:3]
    expected = np.stack([embed(i, p, str(sface_file)) for i, p in zip(images, points, strict=True)])
    crops = aligned_crops(signed(images), points, RECOGNIZER_TEMPLATE, RECOGNIZER_SIZE, True)
    found = torch.nn.functional.normalize(sface(crops), dim=1).numpy()
    assert (found * expected).sum(1).min() > 0.995, "the crops are cut by different code"


def test_another_graph_is_refused(face_models):
    other = face_models / "face_detection_yunet_2023mar_int8bq.onnx"
    with pytest.raises(ValueError, match="not SFace's graph"):
        SFace(other)


def test_identity_loss_is_small_for_the_person_and_reaches_the_network(people, sface, tmp_path):
    mean = people.embedding.mean(0)
    loss = IdentityLoss(sface, mean)
    identities = torch.from_numpy(people.identities(mean))
    assert identities.norm(dim=1).numpy() == pytest.approx(1, abs=1e-5)
    rows = np.arange(people.people) * people.pictures
    own = float(loss(signed(people.image[rows]), people.points[rows], identities))
    others = float(loss(signed(people.image[rows]), people.points[rows], identities.roll(1, 0)))
    assert own < 0.6 < 0.9 < others
    recipe = replace(RECIPE, identity_loss=1.0, identity_share=1.0, identity_max_noise=1.0)
    trainer = make(people, tmp_path, recipe, identity_loss=loss)
    assert trainer.one_step()["identity"] > 0


def test_landmark_loss_falls_with_the_distance(people, prepared, tmp_path):
    result = train_regressor(prepared, tmp_path / "regressor.safetensors", 15.0)
    assert result["error_px"] < 8, "it starts at 12; minutes bring it to 1"
    loss = LandmarkLoss(load_regressor(tmp_path / "regressor.safetensors"))
    points = people.points[:6].copy()
    true = float(loss(signed(people.image[:6]), points))
    points[:, 48:68, 1] += 8
    assert float(loss(signed(people.image[:6]), points)) > true + 0.1
    recipe = replace(RECIPE, landmark_loss=1.0, identity_share=1.0, identity_max_noise=1.0)
    assert make(people, tmp_path / "run", recipe, landmark_loss=loss).one_step()["landmarks"] > 0


def test_jittered_crops_know_where_the_landmarks_went(people):
    points = people.points[:2]
    dots = torch.full((2, 3, 128, 128), -1.0)
    for i, (x, y) in enumerate(points[:, 30, :2].round().astype(int)):
        dots[i, :, y - 1 : y + 1, x - 1 : x + 1] = 1
    crops, wanted = jittered_crops(dots, points, np.random.default_rng(1))
    side = SIDE
    grid = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="xy"), -1) + 0.5
    weight = (crops[:, 0] + 1)[..., None]
    found = (grid * weight).sum((1, 2)) / weight.sum((1, 2))
    assert (found - wanted[:, 30]).abs().max() < 1


def test_a_run_starts_with_the_base_of_another(people, tmp_path):
    first = make(people, tmp_path / "base", replace(RECIPE, base_steps=10**6))
    first.run()
    recipe = replace(RECIPE, freeze_base=True, steps=2, network=(("detail_channels", 0), ("texture_size", 0)))
    second = make(people, tmp_path / "identity", recipe, start_from=tmp_path / "base")
    first.averaged()
    wanted = first.system.unet.state_dict()
    second.run()
    for name, value in second.system.unet.state_dict().items():
        assert torch.equal(value, wanted[name]), name
    assert torch.equal(second.people.latents, first.people.latents)


def test_identity_parts_can_start_anew_on_the_base_of_another_run(people, tmp_path):
    first = make(people, tmp_path / "first", replace(RECIPE, steps=2))
    first.run()
    again = make(people, tmp_path / "again", start_from=tmp_path / "first").system.state_dict()
    bare = make(
        people, tmp_path / "bare", replace(RECIPE, base_alone=True, seed=5), start_from=tmp_path / "first"
    ).system.state_dict()
    first.averaged()
    for name, value in first.system.state_dict().items():
        assert torch.equal(again[name], value), name
        if name.startswith(("unet.", "words.")):
            assert torch.equal(bare[name], value), name
    drawn = "portrait.refiner.image_proj.latents"
    assert not torch.equal(bare[drawn], again[drawn])


def test_a_run_starts_with_the_shipped_files(people, tmp_path):
    ours = make(people, tmp_path / "run", start_from=tiny.ASSETS).system
    shipped = load_shipped()
    for name, value in shipped.unet.state_dict().items():
        assert torch.equal(ours.unet.state_dict()[name], value), name
    for name, value in shipped.portrait.state_dict().items():
        assert torch.equal(ours.portrait.state_dict()[name], value), name


def test_drafts_are_learned_first_and_by_nothing_else(people, sface, tmp_path):
    recipe = replace(
        RECIPE, steps=40, batch=4, learning_rate=4e-3, draft_steps=40, draft_loss=1.0, texture_loss=0.3,
        identity_loss=0.1, draft_identities=1,
    )  # fmt: skip
    identity = IdentityLoss(sface, people.embedding.mean(0))
    trainer = make(people, tmp_path, recipe, identity_loss=identity)
    before = {k: v.clone() for k, v in trainer.system.state_dict().items()}
    parts = [trainer.one_step() for _ in range(40)]
    assert set(parts[0]) == {"texture", "draft", "draft identity"}
    assert np.mean([p["draft"] for p in parts[-8:]]) < 0.85 * np.mean([p["draft"] for p in parts[:4]])
    changed = {k for k, v in trainer.system.state_dict().items() if not torch.equal(v, before[k])}
    assert changed
    assert all(".texture" in k for k in changed), "the rest waits"


@pytest.mark.parametrize(
    "name",
    ["baseline-mean-embedding", "baseline-concat", "without-alignment", "without-textures", "without-fusion"],
)
def test_baselines_train_like_the_model_with_less_in_it(people, tmp_path, name):
    recipe = Recipe.load(name)
    ours = Recipe.load("tiny-equal")
    less = {"name": ours.name, "network": (), "alignment": True}
    if dict(recipe.network).get("texture_size") == 0:
        fields = ("texture_loss", "draft_loss", "draft_steps", "draft_identities")
        less |= {field: getattr(ours, field) for field in fields}
    assert replace(recipe, **less) == ours, "equally long, same data"
    trainer = make(people, tmp_path, replace(recipe, identity_loss=0.0, landmark_loss=0.0, batch=2, steps=1))
    trainer.run()
    assert trainer.step == 1


def test_mending_brings_the_models_own_pictures_nearer_to_the_truth(people, sface, tmp_path):
    trainer = make(people, tmp_path, replace(RECIPE, steps=8))
    trainer.run()
    codec = trainer.system.codec
    painted, rows = repaint(trainer.system, people, 32, 1, 1.0)
    assert painted.shape == (32, 16, 16, 16)
    assert torch.equal(codec.decode(painted), codec.decode_linear(painted)), "untrained, it changes nothing"
    result = train_mend(codec, painted, rows, people, 20.0, sface)
    assert result["after"] < result["before"]
    assert not any(p.requires_grad for p in codec.parameters())


def test_shipped_files_paint_what_the_run_paints(people, tmp_path):
    from hifi_portrait.training.runs import load_shipped

    trainer = make(people, tmp_path / "run")
    trainer.run(until=3)
    ship_run(tmp_path / "run", tmp_path / "ship", people.people, RECIPE)
    assert sum(f.stat().st_size for f in (tmp_path / "ship").iterdir()) < 25e6
    system = load_shipped(tmp_path / "ship")
    trainer.averaged()
    noise = torch.randn(2, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    batch = draw_batch(people, 0, 0, 2, (0, 1.0), 0.0)
    arguments = (noise, batch.concepts, batch.maps, batch.faces, 2)
    a, b = (s.sample(*arguments) for s in (system, trainer.system))
    assert (a - b).abs().max() < 0.02, "float16 rounding"
    assert read_average(tmp_path / "run")[2] == 3

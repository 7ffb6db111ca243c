"""Runs on a small SDXL, from shards to a checkpoint that the node loads."""

from __future__ import annotations

import numpy as np
import torch
from hifi_portrait.models import checkpoint
from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.loading import load_hifi_net
from hifi_portrait.training.sdxl.task import SdxlTask
from hifi_portrait.training.train import train

from tests.patching.small import make_identity, make_landmarks, make_model, sample
from tests.training.sdxl.small import recipe

SILENT = {"log": lambda line: None}


def test_a_run_lowers_the_loss_and_its_checkpoint_changes_the_picture(sdxl, shards, sface, tmp_path):
    run = recipe(
        sdxl,
        schedule={"steps": 12, "hold": 1.0, "sheet_every": 12},
        losses={"identity": 0.1},
    )
    task = SdxlTask(run, shards, held_out=shards, recognizer=sface, cache=tmp_path / "cache")
    frozen = {k: v.clone() for k, v in task.base.unet.state_dict().items()}
    before, lines = task.validate(torch.device("cpu")), []
    state = train(run, task, tmp_path / "run", log=lines.append)
    after = task.validate(torch.device("cpu"))
    assert after["held out/diffusion"] < 0.97 * before["held out/diffusion"]
    assert state.step == 12
    assert "identity" in lines[-1]
    assert (tmp_path / "run" / "sheet-000012.png").stat().st_size > 10000
    assert all(torch.equal(frozen[k], v) for k, v in task.base.unet.state_dict().items()), (
        "the base is frozen"
    )
    file = tmp_path / "hifi_net.safetensors"
    task.export(file, state.ema_state(), state.step)
    info = checkpoint.read_metadata(file)
    assert info.provenance["recipe"]["name"] == "small"
    assert (info.provenance["steps"], info.provenance["people"]) == (12, 6)

    model, hifi_net = make_model(2), load_hifi_net(file)
    made = make_identity(hifi_net.network, 0)
    patched = apply_hifi_net(model, hifi_net, made, make_landmarks())
    assert (sample(patched) - sample(model)).abs().max() > 1e-3


def test_a_resumed_run_ends_bit_for_bit_like_an_unbroken_one(sdxl, shards, tmp_path):
    run = recipe(sdxl, hardware={"accumulation": 2}, data={"batch": 1})

    def weights(state):
        return dict(zip(state.names, state.parameters, strict=True)), state.ema.shadow_params

    whole = train(run, SdxlTask(run, shards, cache=tmp_path), tmp_path / "whole", **SILENT)
    train(run, SdxlTask(run, shards, cache=tmp_path), tmp_path / "parts", until=2, **SILENT)
    parts = train(run, SdxlTask(run, shards, cache=tmp_path), tmp_path / "parts", **SILENT)
    assert whole.step == parts.step == 4
    for name, value in weights(whole)[0].items():
        assert torch.equal(value, weights(parts)[0][name]), name
    for a, b in zip(weights(whole)[1], weights(parts)[1], strict=True):
        assert torch.equal(a, b)


def test_examples_are_a_function_of_their_number(sdxl, shards, tmp_path):
    run = recipe(sdxl, data={"identity_dropout": 0.3, "word_dropout": 0.3})
    task = SdxlTask(run, shards, cache=tmp_path)
    one, again = task.examples(48), task.examples(48)
    targets, blank, silent = [], 0, 0
    for n in range(24):
        a, b = one[n], again[n]
        assert all(torch.equal(a[k], b[k]) for k in a)
        row = int(a["row"])
        targets.append(row)
        assert row not in one.references(row, np.random.default_rng(n))
        assert {int(task.index.person[r]) for r in one.references(row, np.random.default_rng(n))} == {
            int(task.index.person[row])
        }
        blank += not a["embeddings"].any()
        silent += torch.equal(a["text"], task.caches[shards].text("", "")[0])
        assert int(a["weights"].sum()) in (1, 2)
    assert sorted(targets) == list(range(24)), "an epoch shows every picture once"
    assert 0 < blank < 24
    assert 0 < silent < 24

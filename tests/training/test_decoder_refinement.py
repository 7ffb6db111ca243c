"""The decoder refinement learns what a run's own samples lack."""

from __future__ import annotations

import torch
from hifi_portrait.training.decoder_refinement import resample, train_refinement

from tests.training.micro import RECIPE, make


def test_refinement_brings_the_models_samples_nearer_to_the_truth(people, sface, tmp_path):
    trainer = make(people, tmp_path, RECIPE.changed(schedule={"steps": 8}))
    trainer.run()
    codec = trainer.system.codec
    sampled, rows = resample(trainer.system, people, 32, 1, 1.0)
    assert sampled.shape == (32, 16, 16, 16)
    assert torch.equal(codec.decode(sampled), codec.decode_linear(sampled)), "untrained, it changes nothing"
    result = train_refinement(codec, sampled, rows, people, 20.0, sface)
    assert result["after"] < result["before"]
    assert not any(p.requires_grad for p in codec.parameters())

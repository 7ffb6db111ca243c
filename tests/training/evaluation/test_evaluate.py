"""Evaluation: what is asked of the model, who recognizes, and that what is taken away is missed."""

import numpy as np
import pytest
import torch
from hifi_portrait.models.config import HiFiNetConfig
from hifi_portrait.training.data.batches import without_alignment, without_textures
from hifi_portrait.training.data.preparation import prepare
from hifi_portrait.training.data.synthetic.dataset import synthesize
from hifi_portrait.training.evaluation.evaluate import evaluate, sample
from hifi_portrait.training.evaluation.evaluation_set import TARGET, EvaluationSet
from hifi_portrait.training.evaluation.figures import open_analyzer, write_contact_sheet
from hifi_portrait.training.evaluation.recognizers import SFACE, sface_recognizer
from hifi_portrait.training.runs import load_exported

PEOPLE = 3


@pytest.fixture(scope="module")
def analyzer(face_models):
    return open_analyzer(face_models)


@pytest.fixture(scope="module")
def unseen(head_data, face_models, analyzer, tmp_path_factory) -> EvaluationSet:
    """Three people that no model has seen, with eight pictures each."""
    folder = tmp_path_factory.mktemp("unseen")
    assert list(synthesize(folder, PEOPLE, 8, seed=200000, data=head_data))
    assert list(prepare(folder, face_models / SFACE))
    return EvaluationSet.build(folder, analyzer)


@pytest.fixture(scope="module")
def system():
    torch.set_num_threads(1)
    return load_exported()


def test_landmarks_come_from_the_references_and_never_from_the_target(unseen):
    points, maps = unseen.landmarks(4, HiFiNetConfig.tiny())
    people, targets = unseen.people, unseen.rows[:, TARGET]
    assert points.shape == (PEOPLE, 72, 3)
    assert maps.hint.shape == (PEOPLE, 3, 128, 128)
    away = np.linalg.norm(points[..., :2] - people.points[targets][..., :2], axis=2).mean(1)
    assert (away > 0.3).all(), "not the truth"
    assert (away < 4).all(), "but near it, in px"
    kept = people.points.copy()
    people.points[targets] = 0
    assert np.array_equal(unseen.landmarks(4, HiFiNetConfig.tiny())[0], points)
    people.points[:] = kept
    assert not np.array_equal(unseen.landmarks(1, HiFiNetConfig.tiny())[0], points)


def test_figures_of_the_exported_model(unseen, system, analyzer, face_models, tmp_path):
    recognizer = sface_recognizer(face_models / SFACE, (unseen.people.image, unseen.people.points))
    figures, samples = evaluate(system, unseen, [recognizer], analyzer, counts=(1, 4), steps=4)
    found = figures["sface"]
    assert found["ceiling"]["mean"] > found["strangers"]["mean"] + 0.3
    assert set(found["similarity"]) == {"1", "4"}
    assert found["similarity"]["4"]["mean"] > found["floor"]["mean"] + 0.1
    assert found["textures_removed_at_sampling"]["mean"] < found["similarity"]["4"]["mean"]
    gain = found["similarity"]["4"]["mean"] - found["similarity"]["1"]["mean"]
    assert found["gain_4_over_1"]["mean"] == pytest.approx(gain, abs=2e-4)
    assert 0 <= figures["detect_rate"] <= 1
    write_contact_sheet(tmp_path / "sheet.jpg", unseen, samples)
    assert (tmp_path / "sheet.jpg").stat().st_size > 10_000


def test_what_is_taken_away_changes_the_picture(unseen, system):
    whole = sample(system, unseen, 2, steps=2).images
    bare = sample(system, unseen, 2, steps=2, change=without_textures).images
    lost = sample(system, unseen, 2, steps=2, change=without_alignment).images
    assert np.array_equal(whole, sample(system, unseen, 2, steps=2).images), "the same noise for a person"
    assert np.abs(whole.astype(int) - bare).mean() > 1
    assert np.abs(bare.astype(int) - lost).mean() > 1

"""Inference, the preparation of training data and evaluation show a network one and the same thing."""

import numpy as np
import pytest
import torch
from hifi_portrait.landmarks import target_maps
from hifi_portrait.models.config import HiFiNetConfig
from hifi_portrait.patching.target_maps import picture_maps
from hifi_portrait.training.data import preparation
from hifi_portrait.training.data.batches import PreparedPeople
from hifi_portrait.training.evaluation import evaluation_set
from hifi_portrait.training.evaluation.evaluation_set import EvaluationSet

CONFIG = HiFiNetConfig.tiny()


@pytest.fixture
def recorded(monkeypatch):
    """Return a function that lets a module record the landmarks that it asks maps of."""

    def record(module):
        seen = []

        def target_arrays(landmarks, index, *args, **kwargs):
            seen.append(landmarks[index])
            return target_maps.target_arrays(landmarks, index, *args, **kwargs)

        monkeypatch.setattr(module, "target_arrays", target_arrays)
        return seen

    return record


def at_inference(landmarks):
    """What the patch gives HiFi-Net for these landmarks."""
    return picture_maps(landmarks, 0, (16, 16), CONFIG, with_uv=True)


def test_training_data_is_what_inference_shows(prepared, face_models, tmp_path, recorded):
    seen = recorded(preparation)
    shard = next(prepared.glob("shard-*[0-9].npz"))
    sface = face_models / "face_recognition_sface_2021dec_int8bq.onnx"
    preparation.prepare_shard((str(shard), str(tmp_path / shard.name), str(sface), 96, 128))
    people = PreparedPeople.load(prepared)
    stored = people.maps(np.arange(len(people.person)))
    assert len(seen) == len(stored) == 24
    for row, landmarks in enumerate(seen):
        wanted, found = at_inference(landmarks), stored[row : row + 1]
        assert torch.equal(found.hint, wanted.hint)
        # Coordinates are stored in half precision, and in nothing else do they differ.
        assert torch.equal(found.coords, wanted.coords.half().float())
        assert torch.equal(found.uv_map, wanted.uv_map.half().float())


def test_evaluation_is_what_inference_shows(prepared, recorded):
    people, seen = PreparedPeople.load(prepared), recorded(evaluation_set)
    poses = np.array([[20.0, -5.0, 3.0], [-35.0, 10.0, 0.0]])
    places = [(np.array([60.0, 66.0]), 34.0), (np.array([70.0, 58.0]), 28.0)]
    asked = EvaluationSet(
        people, np.arange(8).reshape(2, 4), poses, np.zeros((2, 52)), places, [[None] * 4, [None] * 4]
    )
    _, maps = asked.landmarks(1, CONFIG)
    assert len(seen) == 2
    for row, landmarks in enumerate(seen):
        wanted = at_inference(landmarks)
        for name in ("hint", "coords", "uv_map"):
            assert torch.equal(getattr(maps, name)[row : row + 1], getattr(wanted, name)), name

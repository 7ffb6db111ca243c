"""Crops for the small networks, and SFace with gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hifi_portrait.faces.geometry import RECOGNIZER_SIZE, RECOGNIZER_TEMPLATE
from hifi_portrait.training.data.batches import to_signed
from hifi_portrait.training.data.preparation import embed
from hifi_portrait.training.networks.crops import SIDE, aligned_crops, jittered_crops
from hifi_portrait.training.networks.sface import SFace


def test_sface_in_torch_is_sface_in_onnx_runtime(people, sface, sface_file):
    images, points = people.image[:3], people.points[:3]
    expected = np.stack([embed(i, p, str(sface_file)) for i, p in zip(images, points, strict=True)])
    crops = aligned_crops(to_signed(images), points, RECOGNIZER_TEMPLATE, RECOGNIZER_SIZE, True)
    found = torch.nn.functional.normalize(sface(crops), dim=1).numpy()
    assert (found * expected).sum(1).min() > 0.995, "the crops are cut by different code"


def test_another_graph_is_refused(face_models):
    other = face_models / "face_detection_yunet_2023mar_int8bq.onnx"
    with pytest.raises(ValueError, match="not SFace's graph"):
        SFace(other)


def test_jittered_crops_know_where_the_landmarks_went(people):
    points = people.points[:2]
    dots = torch.full((2, 3, 128, 128), -1.0)
    for i, (x, y) in enumerate(points[:, 30, :2].round().astype(int)):
        dots[i, :, y - 1 : y + 1, x - 1 : x + 1] = 1
    crops, wanted = jittered_crops(dots, points, np.random.default_rng(1))
    grid = torch.stack(torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="xy"), -1) + 0.5
    weight = (crops[:, 0] + 1)[..., None]
    found = (grid * weight).sum((1, 2)) / weight.sum((1, 2))
    assert (found - wanted[:, 30]).abs().max() < 1

"""The acceptance list for patches, on a real host; CONTRIBUTING.md names it."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.patching.small import CONFIG, conditioning, make_identity, make_landmarks, make_model, sample

from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.settings import PatchSettings


def test_it_changes_the_picture(model, hifi_net, identity, landmarks):
    plain = sample(model)
    patched = sample(apply_hifi_net(model, hifi_net, identity, landmarks))
    assert plain.isfinite().all()
    assert (plain - patched).abs().mean() > 0.01
    assert sample(model).equal(plain)

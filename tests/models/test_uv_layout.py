"""Checkpoints name the layout of the UV texture that they were trained with."""

import json
from dataclasses import replace

import pytest
from hifi_portrait.models import HiFiNetConfig
from hifi_portrait.models.checkpoint import read_metadata, save

from tests.models.networks import SMALL


def test_a_checkpoint_names_its_uv_layout_and_an_older_one_has_the_first(small, tmp_path):
    assert replace(SMALL, uv_layout="head").to_json() != SMALL.to_json()
    without = {key: value for key, value in json.loads(SMALL.to_json()).items() if key != "uv_layout"}
    assert HiFiNetConfig.from_json(json.dumps(without)).uv_layout == "face72"
    save(tmp_path / "head.safetensors", small, replace(SMALL, uv_layout="head"))
    assert read_metadata(tmp_path / "head.safetensors").config.uv_layout == "head"
    with pytest.raises(ValueError, match="face72 and head"):
        replace(SMALL, uv_layout="other")
    assert HiFiNetConfig.sdxl(512).uv_layout == "head"
    assert HiFiNetConfig.sdxl().uv_layout == "face72"

"""A small SDXL on disk and synthetic people in shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.sdxl.small import write_checkpoint


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory) -> Path:
    """Folder of a small random SDXL checkpoint that predicts noise."""
    return write_checkpoint(tmp_path_factory.mktemp("sdxl") / "small")


@pytest.fixture(scope="session")
def shards(prepared, sface_file, tmp_path_factory) -> Path:
    """The six people of `prepared` as two shards."""
    from hifi_portrait.training.data.synthetic.shards import write_synthetic_shards

    folder = tmp_path_factory.mktemp("shards") / "people"
    assert write_synthetic_shards(prepared, folder, sface_file, pictures_per_shard=12) == 24
    return folder

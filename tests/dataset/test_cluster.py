"""A real Ray on this machine, two workers, one of which is killed: the same bytes as a single process."""

import os
import sys
from pathlib import Path

import pytest
from hifi_portrait.dataset.cluster import LOCAL, RayRunner
from hifi_portrait.dataset.config import PipelineConfig

from tests.dataset.conftest import contents

KILLED = "HIFI_TEST_KILLED"


def dies_once(pixels, record):
    """A captioner whose worker is killed at its first picture, once."""
    mark = Path(os.environ[KILLED])
    if not mark.exists():
        mark.touch()
        os._exit(9)
    return record.caption


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_the_bytes_are_the_same(few, made, choice, tmp_path, monkeypatch):
    monkeypatch.setenv(KILLED, str(tmp_path / "killed"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    settings = {"shards": {"chunk": 2}, "caption": {"captioner": "tests.dataset.test_cluster:dies_once"}}
    config = PipelineConfig.from_dict(settings)
    made(few, tmp_path / "ray", settings, through=RayRunner(config, choice, LOCAL, 2))
    assert (tmp_path / "killed").exists()
    made(few, tmp_path / "single", settings)
    assert contents(tmp_path / "ray") == contents(tmp_path / "single")


def test_an_address_without_a_cluster_is_said_in_one_line(choice):
    with pytest.raises(ValueError, match="no Ray cluster at nowhere") as error:
        RayRunner(PipelineConfig(), choice, "nowhere", 1)
    assert len(str(error.value)) < 300

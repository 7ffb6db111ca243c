"""Real reference faces, and untrained networks that read them."""

import pytest
import torch
from hifi_portrait.faces.open_analyzer import OpenAnalyzer
from hifi_portrait.faces.pictures import NamedImage, read_image
from hifi_portrait.faces.records import ReferenceFaces
from hifi_portrait.faces.references import load_references
from hifi_portrait.identity.identity import Identity
from hifi_portrait.identity.refine import refine_faces
from hifi_portrait.models import HiFiNetConfig, HiFiPortrait, build

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def references(photos, face_models) -> ReferenceFaces:
    """Three photos of one person."""
    names = ("obama", "obama2", "obama3")
    pictures = [NamedImage(f"{name}.jpg", read_image(photos[name])) for name in names]
    return load_references(pictures, OpenAnalyzer([face_models]))


@pytest.fixture(scope="session")
def network() -> HiFiPortrait:
    """The tiny configuration, untrained."""
    return build(HiFiNetConfig.tiny(), seed=0).eval()


@pytest.fixture(scope="session")
def identity(references, network) -> Identity:
    """The person in the three photos."""
    return refine_faces(references, network)

"""The open analyzer, the photos as pictures, and stand-ins for what cannot be fetched."""

from __future__ import annotations

import pytest
from hifi_portrait.faces.analyzer import DetectedFace
from hifi_portrait.faces.open_analyzer import OpenAnalyzer
from hifi_portrait.faces.pictures import NamedImage, read_image
from hifi_portrait.faces.references import clear_cache


@pytest.fixture(scope="session")
def analyzer(face_models) -> OpenAnalyzer:
    """The open analyzer with the real model files."""
    return OpenAnalyzer([face_models])


@pytest.fixture(scope="session")
def pictures(photos) -> dict[str, NamedImage]:
    """The photos, read."""
    return {name: NamedImage(f"{name}.jpg", read_image(path)) for name, path in photos.items()}


@pytest.fixture(scope="session")
def person(pictures) -> list[NamedImage]:
    """The five photos of one person, the two cut-off ones last."""
    names = ("obama", "obama2", "obama3", "obama_partial_face", "obama_partial_face2")
    return [pictures[name] for name in names]


class Counting:
    """An analyzer that counts what it is asked, around a real one."""

    def __init__(self, inner: OpenAnalyzer) -> None:
        self.inner = inner
        self.analyzed: list[str] = []
        self.recognizer, self.licence = inner.recognizer, inner.licence
        self.commercial_use, self.provider = inner.commercial_use, inner.provider
        self.licences = inner.licences
        self.fingerprint = f"counting-{inner.fingerprint}"

    def analyze(self, image, name) -> list[DetectedFace]:
        self.analyzed.append(name)
        return self.inner.analyze(image, name)

    def embed(self, image, keypoints):
        return self.inner.embed(image, keypoints)

    def person_mask(self, view):
        return self.inner.person_mask(view)


@pytest.fixture
def counting(analyzer) -> Counting:
    """The analyzer, counting, with an empty cache."""
    clear_cache()
    return Counting(analyzer)

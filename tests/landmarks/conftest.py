"""The model, an analyzer, and the faces of the packaged photos."""

import numpy as np
import pytest
from hifi_portrait.faces.pictures import read_image
from hifi_portrait.faces.registry import OPEN, load_analyzer
from hifi_portrait.faces.runtime import PROVIDER_CHOICES
from hifi_portrait.landmarks import camera
from hifi_portrait.landmarks.model import FaceModel


@pytest.fixture(scope="session")
def model() -> FaceModel:
    return FaceModel.load()


@pytest.fixture(scope="session")
def analyzer(face_models):
    return load_analyzer(OPEN, PROVIDER_CHOICES[0], [face_models], [])


@pytest.fixture(scope="session")
def photo_faces(photos, analyzer):
    """Face mesh points of every face: name -> list of (468, 3)."""
    return {
        name: [face.landmarks for face in analyzer.analyze(read_image(path), name)]
        for name, path in photos.items()
    }


@pytest.fixture
def person(model):
    """A function that draws a random person: shape, and noisy points in a pose with an expression."""

    def draw(seed: int, pose=(0.0, 0.0, 0.0), expression=None, noise=0.02, scale=200.0):
        rng = np.random.default_rng(seed)
        shape = rng.normal(size=model.components)
        values = model.coefficients(expression or {})
        points = camera.project(model.points(shape, values), camera.rotation(*pose), scale, (512.0, 480.0))[
            :, :2
        ]
        return shape, points + rng.normal(size=points.shape) * noise * scale

    return draw

"""The source pixels that a record keeps for the head's texture."""

import numpy as np
import pytest
from hifi_portrait.faces.open_analyzer import OpenAnalyzer
from hifi_portrait.faces.photo import MASK_SIZE, MAX_SIDE, head_photo
from hifi_portrait.faces.pictures import NamedImage, read_image
from hifi_portrait.faces.references import load_references


@pytest.fixture(scope="module")
def analyzer(face_models):
    return OpenAnalyzer([face_models])


def test_photo_is_the_picture_itself_around_the_head(photos, analyzer):
    image = NamedImage("obama", read_image(photos["obama"]))
    face = load_references([image], analyzer).faces[0]
    photo = face.photo
    x, y = (-photo.matrix[:, 2]).astype(int)
    height, width = photo.pixels.shape[:2]
    np.testing.assert_array_equal(photo.pixels, image.pixels[y : y + height, x : x + width])
    inside = face.landmarks[:, :2] @ photo.matrix[:, :2].T + photo.matrix[:, 2]
    assert (inside > 0).all()
    assert (inside < (width, height)).all()
    shown = (inside * np.array(photo.mask.shape[::-1]) / (width, height)).astype(int)
    assert (photo.mask[shown[:, 1], shown[:, 0]] > 127).mean() > 0.95


def test_a_large_photo_is_bounded_and_a_small_one_not_enlarged(photos, analyzer):
    image = read_image(photos["obama3"])
    points = analyzer.analyze(image, "")[0].landmarks
    large = np.repeat(np.repeat(image, 3, 0), 3, 1)
    photo = head_photo(large, points * 3, analyzer.person_mask)
    assert max(photo.pixels.shape) == MAX_SIDE
    assert max(photo.mask.shape) <= MASK_SIZE
    plain = head_photo(image, points, None)
    assert max(plain.pixels.shape) < MAX_SIDE
    assert (plain.mask == 255).all()
    np.testing.assert_array_equal(plain.matrix[:, :2], np.eye(2))

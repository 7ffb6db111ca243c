"""What the parts of the quality respond to, and that they leave the rest alone."""

import cv2
import numpy as np
import pytest
from hifi_portrait.faces.pictures import NamedImage
from hifi_portrait.faces.quality import size_part
from hifi_portrait.faces.references import load_references


def rate(analyzer, image):
    return load_references([NamedImage("one", np.ascontiguousarray(image))], analyzer).faces[0].quality


@pytest.mark.parametrize("name", ["obama", "obama2", "obama3", "biden"])
def test_blur_lowers_sharpness_and_the_score(analyzer, pictures, name):
    scores = []
    for sigma in (0, 1.5, 3, 6):
        image = pictures[name].pixels
        quality = rate(analyzer, cv2.GaussianBlur(image, (0, 0), sigma) if sigma else image)
        scores.append((quality.sharpness, quality.score))
        assert quality.exposure > 0.9
        assert quality.completeness > 0.9
    assert scores == sorted(scores, reverse=True)
    assert scores[-1][0] < 0.5


@pytest.mark.parametrize("change", [lambda x: x * 0.08, lambda x: 255 - (255 - x) * 0.1, lambda x: x * 3.0])
def test_bad_light_lowers_exposure(analyzer, pictures, change):
    image = change(pictures["obama"].pixels.astype(np.float32)).clip(0, 255).astype(np.uint8)
    try:
        assert rate(analyzer, image).exposure < 0.6
    except ValueError as error:
        assert "no face found" in str(error)  # noqa: PT017


def test_cutting_a_face_lowers_completeness_in_step(analyzer, pictures):
    image = pictures["obama"].pixels
    box = analyzer.analyze(image, "")[0].box
    values = []
    for share in (0.0, 0.15, 0.3, 0.45):
        left = int(box[0] + share * (box[2] - box[0])) if share else 0
        values.append(rate(analyzer, image[:, left:]).completeness)
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.95
    assert values[-1] < 0.8


def test_a_turned_head_is_less_frontal(analyzer, pictures):
    assert rate(analyzer, pictures["obama"].pixels).frontality > 0.98
    assert rate(analyzer, pictures["obama2"].pixels).frontality < 0.97


def test_size_counts_until_the_crop_is_full():
    assert size_part(0) == size_part(32) == 0
    assert size_part(224) == size_part(4000) == 1
    assert 0 < size_part(50) < size_part(100) < size_part(200) < 1


def test_agreement_compares_with_the_others(analyzer, person):
    alone = load_references(person[:1], analyzer).faces[0].quality
    assert alone.agreement == 1
    together = {f.source: f.quality for f in load_references(person, analyzer).faces}
    assert together["obama2.jpg"].agreement < 1
    assert together["obama2.jpg"].score < rate(analyzer, person[1].pixels).score


def covered(image, face, kind):
    """Hide part of a face: a paper mask over the mouth, a board over one half, sunglasses."""
    out = image.copy()
    x0, y0, x1, y1 = face.box.astype(int)
    nose = int(face.keypoints[2, 1])
    if kind == "mask":
        out[nose + 10 : y1 + 10, x0:x1] = (230, 235, 240)
    elif kind == "board":
        out[y0:y1, x0 : (x0 + x1) // 2] = (60, 90, 60)
    elif kind == "sunglasses":
        for x, y in face.keypoints[:2].astype(int):
            out[y - 28 : y + 42, x - 52 : x + 52] = (10, 10, 12)
    return out


@pytest.mark.parametrize(("kind", "most"), [("mask", 0.65), ("board", 0.8), ("sunglasses", 0.92)])
def test_what_covers_a_face_lowers_completeness(analyzer, pictures, kind, most):
    image = pictures["obama"].pixels
    face = analyzer.analyze(image, "")[0]
    assert rate(analyzer, covered(image, face, kind)).completeness < most


@pytest.mark.parametrize(
    "tint", [(1, 1, 1), (0.35, 0.35, 0.35), (1.2, 0.95, 0.7), (0.8, 0.95, 1.2), "grey"], ids=str
)
@pytest.mark.parametrize("name", ["obama", "obama2", "obama3", "biden"])
def test_light_covers_nothing(analyzer, pictures, name, tint):
    image = pictures[name].pixels
    if tint == "grey":
        changed = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    else:
        changed = (image * np.array(tint)).clip(0, 255).astype(np.uint8)
    assert rate(analyzer, changed).completeness > 0.9

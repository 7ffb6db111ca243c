"""Comparing pictures with a person: similarity to references and held-out photos, pose and expression."""

import numpy as np
import pytest
from hifi_portrait.faces.open_analyzer import OpenAnalyzer
from hifi_portrait.faces.pictures import NamedImage, UnreadableImage, read_image
from hifi_portrait.faces.references import load_references
from hifi_portrait.identity.compare import compare
from hifi_portrait.identity.compare_sheet import comparison_sheet
from hifi_portrait.landmarks.fit import fit_face
from hifi_portrait.landmarks.generate import generate
from hifi_portrait.landmarks.model import FaceModel
from PIL import Image


@pytest.fixture(scope="module")
def face_analyzer(face_models):
    return OpenAnalyzer([face_models])


@pytest.fixture(scope="module")
def pictures(photos):
    return {name: NamedImage(name, read_image(path)) for name, path in photos.items()}


@pytest.fixture(scope="module")
def references(face_analyzer, pictures):
    return load_references([pictures["obama"], pictures["obama3"]], face_analyzer)


def test_the_person_is_alike_and_others_are_not(face_analyzer, pictures, references, artifacts):
    images = [pictures["obama2"], pictures["biden"], NamedImage("black", np.zeros((64, 64, 3), np.uint8))]
    images.append(UnreadableImage("torn", "the picture is empty"))
    held_out = [pictures["obama_partial_face"]]
    result = compare(images, references, face_analyzer, held_out)
    mine, other, black, torn = result.pictures
    assert mine.similarity > 0.65
    assert mine.held_out > 0.6
    assert other.similarity < 0.35
    assert other.held_out < 0.35
    assert black.similarity == black.held_out == 0
    assert black.face is torn.face is None
    assert mine.pose_error is None
    assert result.mean("similarity") == pytest.approx(np.mean([p.similarity for p in result.pictures]))
    assert np.isnan(result.mean("pose_error"))
    assert any("black: no face" in note for note in result.notes)
    assert any("conditioned on it" in note for note in result.notes)
    sheet = comparison_sheet(result, images)
    Image.fromarray(sheet).save(artifacts / "compare_sheet.png")
    assert sheet.dtype == np.uint8


def test_in_company_the_person_is_compared(face_analyzer, pictures, references):
    both = np.hstack([pictures["biden"].pixels[200:1337], pictures["obama2"].pixels[:1137]])
    (item,) = compare([NamedImage("both", both)], references, face_analyzer).pictures
    assert item.similarity > 0.65
    assert item.face.box[0] > 970


def test_weights_count(face_analyzer, pictures, references):
    from dataclasses import replace

    only = tuple(replace(f, weight=1.0 if f.source == "obama" else 0.0) for f in references.faces)
    (item,) = compare([pictures["obama"]], replace(references, faces=only), face_analyzer).pictures
    assert item.similarity == pytest.approx(1, abs=1e-5)


def test_pose_and_expression_against_a_target(face_analyzer, pictures, references):
    model = FaceModel.load()
    image = pictures["obama2"]
    fit = fit_face(face_analyzer.analyze(image.pixels, "")[0].landmarks, model)
    same = generate(model, pose=fit.pose, expression=fit.expression, width=512, height=512)
    (item,) = compare([image], references, face_analyzer, target=same).pictures
    assert item.pose_error < 0.5
    assert item.expression_error < 0.01
    turned = generate(model, pose=(fit.pose[0] + 20, *fit.pose[1:]), width=512, height=512)
    (item,) = compare([image], references, face_analyzer, target=turned).pictures
    assert 15 < item.pose_error < 25
    assert item.turn[0] == pytest.approx(-20, abs=0.5)
    assert item.expression_error > 0.02


def test_another_recognizer_embeds_the_crops(face_analyzer, pictures, references):
    class Other:
        """The same network under another name: the references must be embedded anew, from their crops."""

        recognizer = "other"
        fingerprint = "other"
        licence, commercial_use, provider, licences = "", None, "", ()

        def __init__(self):
            self.embedded = []

        def analyze(self, image, name):
            return face_analyzer.analyze(image, name)

        def embed(self, image, keypoints):
            self.embedded.append(image.shape)
            return face_analyzer.embed(image, keypoints)

    other = Other()
    result = compare([pictures["obama2"], pictures["biden"]], references, other)
    assert other.embedded == [(224, 224, 3)] * 2
    own = compare([pictures["obama2"], pictures["biden"]], references, face_analyzer)
    # A matted crop of 224 px says nearly what the photo said.
    for a, b in zip(result.pictures, own.pictures, strict=True):
        assert abs(a.similarity - b.similarity) < 0.12
    assert not any("conditioned on it" in note for note in result.notes)


def test_what_does_not_fit_is_refused(face_analyzer, pictures, references):
    with pytest.raises(ValueError, match="no pictures"):
        compare([], references, face_analyzer)
    target = generate(FaceModel.load(), pose=np.zeros((2, 3)), width=64, height=64)
    with pytest.raises(ValueError, match="2 target landmarks for 3 pictures"):
        compare([pictures["obama"]] * 3, references, face_analyzer, target=target)

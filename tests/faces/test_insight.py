"""The InsightFace analyzer against the real package, with stand-in model files (see stand_ins.py)."""

import sys

import numpy as np
import pytest
from hifi_portrait.faces.analyzer import FaceAnalyzer, describe
from hifi_portrait.faces.insight import InsightFaceAnalyzer, find_packs
from hifi_portrait.faces.pictures import NamedImage
from hifi_portrait.faces.references import load_references
from hifi_portrait.faces.registry import OPEN, analyzer_names, load_analyzer, other_recognizer
from hifi_portrait.faces.runtime import MissingPackageError
from hifi_portrait.landmarks.names import FACEMESH_INDEX

from .stand_ins import write_pack


@pytest.fixture(scope="session")
def truth(analyzer, pictures):
    """The face of one photo as the open analyzer sees it."""
    return analyzer.analyze(pictures["obama"].pixels, "obama")[0]


@pytest.fixture(scope="session")
def pack_root(tmp_path_factory, truth, pictures):
    """models/insightface with a stand-in pack, unpacked into a folder of its own name as antelopev2's archive
    is."""
    height, width = pictures["obama"].pixels.shape[:2]
    zoom = 640 / max(height, width)
    side = 1.5 * max(truth.box[2:] - truth.box[:2])
    centre = (truth.box[:2] + truth.box[2:]) / 2
    points = truth.landmarks[FACEMESH_INDEX[:68]].copy()
    points[:, :2] = (points[:, :2] - centre) / (side / 2)
    points[:, 2] /= side / 2
    root = tmp_path_factory.mktemp("models") / "insightface"
    write_pack(
        root / "models" / "antelopev2" / "antelopev2", truth.box * zoom, truth.keypoints * zoom, points
    )
    return root


@pytest.fixture(scope="session")
def insight(pack_root, face_models):
    """The analyzer on the stand-in pack."""
    return InsightFaceAnalyzer("antelopev2", [pack_root], "auto", [face_models])


def test_faces_come_out_in_source_pixels(insight, truth, pictures):
    assert isinstance(insight, FaceAnalyzer)
    (face,) = insight.analyze(pictures["obama"].pixels, "obama")
    assert face.score == pytest.approx(0.9)
    assert np.abs(face.box - truth.box).max() < 3
    assert np.abs(face.keypoints - truth.keypoints).max() < 3
    assert face.landmarks.shape == (68, 3)
    assert np.abs(face.landmarks[:, :2] - truth.landmarks[FACEMESH_INDEX[:68], :2]).max() < 4
    assert face.landmarks[30, 2] > face.landmarks[[0, 16], 2].max()
    assert face.embedding.shape == (512,)
    assert np.linalg.norm(face.embedding) == pytest.approx(1, abs=1e-5)


def test_embedding_again_gives_the_same(insight, pictures):
    image = pictures["obama"].pixels
    (face,) = insight.analyze(image, "obama")
    assert face.embedding @ insight.embed(image, face.keypoints) > 0.99999


def test_references_come_out_whole(insight, pictures, truth, analyzer):
    (face,) = load_references([pictures["obama"]], insight).faces
    (own,) = load_references([pictures["obama"]], analyzer).faces
    assert face.landmarks.shape == (68, 3)
    assert (face.crop == 127).mean() > 0.1
    assert np.abs(face.crop.astype(int) - own.crop).mean() < 12
    assert np.abs(face.crop_matrix - own.crop_matrix)[:, :2].max() < 0.03


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (7, 7)])
def test_pictures_of_a_few_pixels_have_no_face(insight, shape):
    assert insight.analyze(np.zeros((*shape, 3), np.uint8), "dot") == []


def test_licence_and_provider_are_told(insight):
    about = describe(insight)
    assert "NOT allowed" in about
    assert "non-commercial" in about
    assert "runs on: " in about


def test_packs_are_found_where_people_put_them(pack_root, tmp_path):
    nested = pack_root / "models" / "antelopev2" / "antelopev2"
    for place in ("models/plain", "misplaced", "models/zip_name/inner"):
        target = tmp_path / place
        target.mkdir(parents=True)
        for file in nested.iterdir():
            (target / file.name).symlink_to(file)
    (tmp_path / "models" / "empty").mkdir()
    found = find_packs([tmp_path])
    assert set(found) == {"plain", "misplaced", "zip_name"}
    assert found["zip_name"].name == "inner"
    assert find_packs([pack_root])["antelopev2"] == nested
    names = analyzer_names([tmp_path])
    assert names[0] == OPEN
    assert {"antelopev2", "buffalo_l", "auraface", "plain", "misplaced"} < set(names)


def test_a_missing_pack_says_where_it_belongs_and_comes_from(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        InsightFaceAnalyzer("antelopev2", [tmp_path])
    message = str(caught.value)
    assert str(tmp_path / "models" / "antelopev2") in message
    assert "antelopev2.zip" in message
    assert "non-commercial" in message


def test_an_incomplete_pack_says_what_is_lacking(pack_root, tmp_path):
    source = pack_root / "models" / "antelopev2" / "antelopev2"
    half = tmp_path / "models" / "half"
    half.mkdir(parents=True)
    (half / "scrfd_stand_in.onnx").symlink_to(source / "scrfd_stand_in.onnx")
    with pytest.raises(ValueError, match=r"lacks a recognizer and 3D landmarks.*scrfd_stand_in\.onnx"):
        InsightFaceAnalyzer("half", [tmp_path])
    blind = tmp_path / "models" / "blind"
    blind.mkdir()
    (blind / "arcface_stand_in.onnx").symlink_to(source / "arcface_stand_in.onnx")
    with pytest.raises(ValueError, match="no face detector"):
        InsightFaceAnalyzer("blind", [tmp_path])
    broken = tmp_path / "models" / "broken"
    broken.mkdir()
    (broken / "det_10g.onnx").write_bytes(b"torn")
    with pytest.raises(ValueError, match="cannot be opened"):
        InsightFaceAnalyzer("broken", [tmp_path])


def test_without_the_package_the_install_line_is_given(pack_root, monkeypatch):
    monkeypatch.setitem(sys.modules, "insightface.app", None)
    with pytest.raises(MissingPackageError, match=r"pip install --no-deps insightface") as caught:
        InsightFaceAnalyzer("antelopev2", [pack_root])
    assert sys.executable in str(caught.value)


def test_the_other_recognizer_compares(pack_root, tmp_path):
    assert other_recognizer("sface", [pack_root]) == "antelopev2"
    assert other_recognizer("antelopev2", [pack_root]) == OPEN
    assert other_recognizer("sface", [tmp_path]) == OPEN


def test_face_alignment_is_optional(analyzer, face_models, monkeypatch, pictures, truth):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(MissingPackageError, match="pip install face-alignment"):
        load_analyzer(OPEN, "CPU", [face_models], [], "face-alignment")

    class StandIn:
        """The package's interface as of 1.5; its weights cannot be fetched here."""

        class LandmarksType:
            THREE_D = 3

        def FaceAlignment(self, kind, device, face_detector):  # noqa: N802
            return self

        def get_landmarks_from_image(self, image, detected_faces):
            points = truth.landmarks[FACEMESH_INDEX[:68]] * (1, 1, -1) + (0, 0, 900)
            return [points] * len(detected_faces)

    monkeypatch.setitem(sys.modules, "face_alignment", StandIn())
    mixed = load_analyzer(OPEN, "CPU", [face_models], [], "face-alignment")
    assert mixed.fingerprint != analyzer.fingerprint
    (face,) = mixed.analyze(pictures["obama"].pixels, "obama")
    assert face.landmarks.shape == (68, 3)
    assert face.landmarks[30, 2] > face.landmarks[[0, 16], 2].max()
    (record,) = load_references([NamedImage("obama", pictures["obama"].pixels)], mixed).faces
    assert record.landmarks.shape == (68, 3)

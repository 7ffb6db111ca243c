"""The open analyzer on real photos, and on pictures that ask too much."""

import cv2
import numpy as np
import pytest
from hifi_portrait.faces.analyzer import FaceAnalyzer, describe
from hifi_portrait.faces.files import MODEL_FILES, MissingModelFileError
from hifi_portrait.faces.geometry import head_pose, pose_degrees
from hifi_portrait.faces.open_analyzer import OpenAnalyzer


def test_it_is_an_analyzer_and_says_what_it_is(analyzer):
    assert isinstance(analyzer, FaceAnalyzer)
    assert analyzer.recognizer == "sface"
    about = describe(analyzer)
    assert "commercial use: allowed" in about
    assert "runs on: CPU" in about


@pytest.mark.parametrize(
    ("name", "count"),
    [("obama", 1), ("obama2", 1), ("obama3", 1), ("obama_partial_face", 1), ("biden", 1), ("t1", 6)],
)
def test_everybody_is_found(analyzer, pictures, name, count):
    faces = analyzer.analyze(pictures[name].pixels, name)
    assert len(faces) == count
    for face in faces:
        assert np.isclose(np.linalg.norm(face.embedding), 1, atol=1e-5)
        assert (face.keypoints >= face.box[:2]).all()
        assert (face.keypoints <= face.box[2:]).all()
        assert face.landmarks.shape == (468, 3)
        # Eyes as the detector and as the mesh see them: subject's right first.
        eyes = np.stack([face.landmarks[[33, 133], :2].mean(0), face.landmarks[[362, 263], :2].mean(0)])
        assert np.abs(eyes - face.keypoints[:2]).max() < 0.15 * face.size
        # The nose is nearer to the viewer than the cheeks' edges.
        assert face.landmarks[4, 2] > face.landmarks[[234, 454], 2].mean()


def test_the_same_faces_as_opencv_4_gives(analyzer, pictures):
    """Similarities of SFace by OpenCV 4's own class, as measured once on these photos: 0.65 to 0.89, 0.00 to
    0.22."""
    names = ("obama", "obama2", "obama3", "obama_partial_face", "obama_partial_face2")
    vectors = np.stack([analyzer.analyze(pictures[n].pixels, n)[0].embedding for n in names])
    other = analyzer.analyze(pictures["biden"].pixels, "biden")[0].embedding
    same = (vectors @ vectors.T)[np.triu_indices(5, 1)]
    assert same.min() > 0.6
    assert same.max() < 0.93
    assert (vectors @ other).max() < 0.3


def test_mirroring_turns_yaw_and_roll_around(analyzer, pictures):
    image = pictures["obama2"].pixels
    straight = pose_degrees(head_pose(analyzer.analyze(image, "")[0].landmarks)[1])
    mirrored = pose_degrees(
        head_pose(analyzer.analyze(np.ascontiguousarray(image[:, ::-1]), "")[0].landmarks)[1]
    )
    assert abs(straight[0] + mirrored[0]) < 5
    assert abs(straight[1] - mirrored[1]) < 5
    assert abs(straight[2] + mirrored[2]) < 5


def test_a_turned_picture_turns_the_roll(analyzer, pictures):
    image = pictures["obama"].pixels
    height, width = image.shape[:2]
    clockwise = cv2.getRotationMatrix2D((width / 2, height / 2), -20, 1)
    face = analyzer.analyze(cv2.warpAffine(image, clockwise, (width, height)), "")[0]
    assert 14 < pose_degrees(head_pose(face.landmarks)[1])[2] < 26


def test_forty_faces(analyzer, pictures):
    image = pictures["obama"].pixels
    x0, y0, x1, y1 = analyzer.analyze(image, "")[0].box.astype(int)
    head = image[max(y0 - 80, 0) : y1 + 40, x0 - 80 : x1 + 80]
    tile = cv2.resize(head, (160, 160), interpolation=cv2.INTER_AREA)
    assert len(analyzer.analyze(np.tile(tile, (5, 8, 1)), "forty")) == 40


def test_a_small_face_in_a_huge_picture(analyzer, pictures):
    photo = pictures["obama"].pixels
    huge = np.full((8000, 6000, 3), 90, np.uint8)
    huge[5000 : 5000 + photo.shape[0], 3000 : 3000 + photo.shape[1]] = photo
    faces = analyzer.analyze(huge, "huge")
    alone = analyzer.analyze(photo, "")[0]
    assert len(faces) == 1
    assert np.abs(faces[0].box - (alone.box + np.tile((3000, 5000), 2))).max() < 40


def test_a_face_that_fills_the_picture(analyzer, pictures):
    image = pictures["obama"].pixels
    x0, y0, x1, y1 = analyzer.analyze(image, "")[0].box.astype(int)
    assert len(analyzer.analyze(np.ascontiguousarray(image[y0:y1, x0:x1]), "close")) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (3, 2), (64, 64)])
def test_pictures_without_faces(analyzer, shape):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert analyzer.analyze(noise, "noise") == []


def test_missing_files_are_all_named(tmp_path):
    with pytest.raises(MissingModelFileError) as caught:
        OpenAnalyzer([tmp_path])
    message = str(caught.value)
    for file in MODEL_FILES:
        assert file.name in message
        assert file.licence in message
        assert file.url in message
    assert str(tmp_path) in message
    assert "missing_files to automatic" in message
    assert "\n" not in message


def test_a_damaged_file_is_named(tmp_path, face_models):
    for file in MODEL_FILES:
        (tmp_path / file.name).symlink_to(face_models / file.name)
    damaged = tmp_path / MODEL_FILES[0].name
    damaged.unlink()
    damaged.write_bytes(b"not a model")
    with pytest.raises(ValueError, match=r"yunet.*damaged"):
        OpenAnalyzer([tmp_path])


def test_an_unavailable_provider_falls_back_and_says_so(face_models):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("CUDA is there")
    assert OpenAnalyzer([face_models], "CUDA").provider.startswith("CPU (CUDA was chosen")
    with pytest.raises(ValueError, match="unknown provider"):
        OpenAnalyzer([face_models], "Abacus")

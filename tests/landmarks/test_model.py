"""The 3D face and its file, and the page that documents them."""

import json

import numpy as np
import pytest
from hifi_portrait.landmarks import names
from hifi_portrait.landmarks.camera import CAMERA_DISTANCE, angles, project, rotation
from hifi_portrait.landmarks.generate import DEFAULT_CENTRE, DEFAULT_SCALE
from hifi_portrait.landmarks.model import DATA_FILE, FaceModel, pack
from hifi_portrait.landmarks.sliders import DATA_FILE as SLIDERS


def test_file_is_small_and_says_where_it_comes_from(model):
    assert DATA_FILE.stat().st_size < 60_000
    assert "CC0" in model.provenance
    assert "MakeHuman" in model.provenance


def test_shapes_units_and_symmetry(model):
    assert model.mean.shape == (72, 3)
    assert model.identity.shape == (model.components, 72, 3)
    assert model.expression.shape == (52, 72, 3)
    right, left = model.mean[36:42].mean(0), model.mean[42:48].mean(0)
    assert np.linalg.norm(left - right) == pytest.approx(1, abs=1e-3)
    assert np.abs(right + left).max() < 1e-3
    assert right[0] < 0 < left[0]  # the subject's right eye is on the picture's left
    assert np.abs(model.mean - model.mean[names.MIRROR] * [-1, 1, 1]).max() < 1e-3
    assert model.mean[30, 2] > model.mean[27, 2] > model.mean[0, 2]
    assert model.uv.min() >= 0
    assert model.uv.max() <= 1


def test_arrays_cannot_be_changed_by_accident(model):
    with pytest.raises(ValueError, match="read-only"):
        model.mean[0, 0] = 1.0


def test_triangles_cover_the_face_once_and_face_the_viewer(model):
    a, b, c = (model.uv[model.triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    assert (area > 0).all()  # clockwise as seen, v down
    edges = np.sort(np.concatenate([model.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]))
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert counts.max() == 2
    assert set(model.triangles.ravel()) >= set(range(68))


@pytest.mark.parametrize(
    ("name", "point", "axis", "sign"),
    [
        ("jawOpen", 8, 1, -1),
        ("mouthSmileLeft", 54, 1, 1),
        ("mouthSmileRight", 48, 1, 1),
        ("mouthFrownLeft", 54, 1, -1),
        ("browInnerUp", 21, 1, 1),
        ("browDownLeft", 22, 1, -1),
        ("eyeBlinkLeft", 43, 1, -1),
        ("eyeLookOutLeft", 69, 0, 1),
        ("jawLeft", 8, 0, 1),
        ("jawForward", 8, 2, 1),
    ],
)
def test_expressions_move_the_right_points_the_right_way(model, name, point, axis, sign):
    moved = model.expression[model.expression_index[name]][point]
    assert np.sign(moved[axis]) == sign
    assert abs(moved[axis]) > 0.02
    assert point in model.acts_on(name)


def test_left_and_right_expressions_mirror_each_other(model):
    for name in model.expression_names:
        if name.endswith("Left") and not name.startswith(("jaw", "mouthLeft")):
            left = model.expression[model.expression_index[name]]
            right = model.expression[model.expression_index[name[:-4] + "Right"]]
            assert np.abs(left - right[names.MIRROR] * [-1, 1, 1]).max() < 0.03, name


def test_what_nobody_can_see_is_known(model):
    assert "tongueOut" not in model.observable
    assert {"jawOpen", "mouthSmileLeft", "eyeBlinkRight", "browDownLeft"} <= set(model.observable)


def test_wrong_input_is_named(model, tmp_path):
    with pytest.raises(ValueError, match="jawopen"):
        model.coefficients({"jawopen": 1.0})
    with pytest.raises(ValueError, match="identity shape"):
        model.points(np.zeros(model.components + 1))
    with pytest.raises(ValueError, match="52 ARKit"):
        model.points(expression=np.zeros(51))
    broken = tmp_path / "face.safetensors"
    broken.write_bytes(b"no model")
    with pytest.raises(ValueError, match="not a face model"):
        FaceModel.load(broken)


def test_pack_and_load_keep_values(model, tmp_path):
    path = tmp_path / "face.safetensors"
    arrays = {
        key: np.array(getattr(model, key)) for key in ("mean", "identity", "expression", "triangles", "uv")
    }
    pack(path, arrays, {"expression_names": json.dumps(model.expression_names), "provenance": "x"})
    again = FaceModel.load(path)
    for key, array in arrays.items():
        assert np.abs(getattr(again, key) - array).max() < 2e-4
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("pose", [(0, 0, 0), (35, -20, 10), (-80, 15, -40), (10, 50, 170)])
def test_angles_undo_rotation(pose):
    assert angles(rotation(*pose)) == pytest.approx(pose, abs=1e-9)
    assert np.linalg.det(rotation(*pose)) == pytest.approx(1)


def test_signs_of_the_pose():
    nose, top = np.array([0, -0.5, 1.0]), np.array([0, 1.0, 0])
    still = project(np.array([nose, top]), rotation(0, 0, 0), 100, (500, 500))
    turned = project(np.array([nose, top]), rotation(20, 0, 0), 100, (500, 500))
    raised = project(np.array([nose, top]), rotation(0, 20, 0), 100, (500, 500))
    tilted = project(np.array([nose, top]), rotation(0, 0, 20), 100, (500, 500))
    assert turned[0, 0] > still[0, 0] + 20  # nose to the picture's right
    assert raised[0, 1] < still[0, 1] - 20  # looks up
    assert tilted[1, 0] > still[1, 0] + 20  # top of the head to the right: clockwise


def test_projection_is_the_documented_formula():
    x, y, z = 0.4, -0.6, 0.7
    seen = project(np.array([[x, y, z]]), np.eye(3), 150, (300, 200))[0]
    enlarge = 150 * CAMERA_DISTANCE / (CAMERA_DISTANCE - z)
    assert seen == pytest.approx([300 + x * enlarge, 200 - y * enlarge, 150 * z])


def test_the_shared_table_agrees_with_the_code():
    table = json.loads(SLIDERS.read_text(encoding="utf-8"))
    assert table["camera_distance"] == CAMERA_DISTANCE
    assert tuple(table["canvas"]["centre"]) == DEFAULT_CENTRE
    assert table["canvas"]["scale"] == DEFAULT_SCALE


def test_the_page_of_the_face_is_up_to_date():
    from hifi_portrait.tools.document_face import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m hifi_portrait.tools.document_face"

"""Fits find pose, expression and shape again, and bear noise and missing points."""

import numpy as np
import pytest
from hifi_portrait.landmarks import names
from hifi_portrait.landmarks.camera import project, rotation
from hifi_portrait.landmarks.fit import fit_face, fit_faces
from hifi_portrait.landmarks.fit_layouts import to_72


def distance(model, shape, other):
    return float(np.linalg.norm(model.points(shape) - model.points(other), axis=1).mean())


def expression_of(fit, model, *members):
    return float(np.mean([fit.expression[model.expression_index[name]] for name in members]))


@pytest.mark.parametrize("pose", [(0, 0, 0), (25, -10, 15), (-35, 15, -30), (10, 0, 100)])
def test_exact_points_give_the_pose_back(model, person, pose):
    shape, points = person(5, pose, {"jawOpen": 0.4}, noise=0.0)
    fit = fit_face(points, model, sigma=0.003)
    assert fit.pose == pytest.approx(pose, abs=1.0)
    assert fit.residual < 0.006
    assert distance(model, fit.shape, shape) < 0.03  # one picture does not tell all depths
    assert expression_of(fit, model, "jawOpen") == pytest.approx(0.4, abs=0.1)
    assert fit.points(model)[:, :2] == pytest.approx(points, abs=4.0)


def test_noise_of_two_percent(model, person):
    rng = np.random.default_rng(0)
    errors, claimed = [], []
    for seed in range(30):
        pose = rng.uniform([-35, -15, -10], [35, 15, 10])
        fit = fit_face(person(seed, pose)[1], model)
        errors.append(np.array(fit.pose) - pose)
        claimed.append(fit.uncertainty.pose)
    assert np.abs(errors).mean(0).max() < 1.3
    # What the fit says about itself is right within a factor of two, and on the safe side.
    ratio = np.array(claimed).mean(0) / np.array(errors).std(0)
    assert (ratio > 0.8).all()
    assert (ratio < 3).all()


def test_more_references_know_the_person_better(model, person):
    rng = np.random.default_rng(1)
    errors = {1: [], 4: []}
    for seed in range(12):
        shape = person(seed)[0]
        pictures = []
        for number in range(4):
            pose = rng.uniform([-35, -15, -10], [35, 15, 10])
            expression = [
                {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8},
                {"jawOpen": 0.5},
                {},
                {"mouthPucker": 0.6},
            ]
            exact = person(seed, pose, expression[number], noise=0.0)[1]
            pictures.append(exact + rng.normal(size=exact.shape) * 4)
        for count, list_ in errors.items():
            fits = fit_faces(pictures[:count], None, model)
            assert all(np.array_equal(fits[0].shape, fit.shape) for fit in fits)
            list_.append(distance(model, fits[0].shape, shape))
    assert np.mean(errors[4]) < 0.7 * np.mean(errors[1])


def test_order_does_not_matter(model, person):
    pictures = [person(2, pose)[1] for pose in ((0, 0, 0), (30, 0, 0), (-20, 10, 0))]
    forward, backward = fit_faces(pictures, None, model), fit_faces(pictures[::-1], None, model)
    assert distance(model, forward[0].shape, backward[0].shape) < 1e-6


def test_a_weight_of_zero_is_not_there(model, person):
    pictures = [person(3, (20, 0, 0))[1], person(3, (-20, 0, 0))[1]]
    stranger = person(77)[1]
    without = fit_faces(pictures, None, model)[0].shape
    ignored = fit_faces([*pictures, stranger], [1.0, 1.0, 0.0], model)
    assert distance(model, without, ignored[0].shape) < 1e-3
    assert np.isfinite(ignored[2].points(model)).all()


def test_quality_weights_pull_towards_the_better_picture(model, person):
    good, bad = person(4, (15, 0, 0))[1], person(91)[1]
    target = fit_face(good, model).shape
    even = fit_faces([good, bad], [1.0, 1.0], model)[0].shape
    trusting = fit_faces([good, bad], [1.0, 0.1], model)[0].shape
    assert distance(model, trusting, target) < 0.6 * distance(model, even, target)


def test_outliers_are_sorted_out(model, person):
    _, points = person(6, (15, 5, 0))
    clean = fit_face(points, model)
    spoiled = points.copy()
    spoiled[[20, 33, 54, 60]] += [[70, -50], [0, 90], [80, 0], [-60, 60]]
    fit = fit_face(spoiled, model)
    assert fit.pose == pytest.approx(clean.pose, abs=2.5)
    assert fit.weights[[20, 33, 54, 60]].max() < 0.4 < np.median(fit.weights)


def test_missing_points_and_profiles(model, person):
    _, points = person(7, (65, 0, 0))
    points[[*range(9, 17), *range(22, 27), *range(42, 48)]] = np.nan  # the far half
    fit = fit_face(points, model)
    assert fit.pose[0] == pytest.approx(65, abs=6)
    whole = fit_face(person(7, (65, 0, 0))[1], model)
    assert fit.uncertainty.shape.mean() > whole.uncertainty.shape.mean()


def test_68_points_have_no_gaze(model, person):
    _, points = person(8, (10, 0, 0), {"eyeLookOutLeft": 0.6, "eyeLookInRight": 0.6}, noise=0.005)
    full, plain = fit_face(points, model), fit_face(points[:68], model)
    row = model.expression_index["eyeLookOutLeft"]
    assert full.expression[row] > 0.25
    assert plain.expression[row] == 0
    assert np.isnan(plain.uncertainty.expression[row])
    assert plain.pose == pytest.approx(full.pose, abs=3)


def test_known_shape_is_kept(model, person):
    shape, points = person(9, (20, 0, 0))
    fit = fit_face(points, model, shape=shape)
    assert np.array_equal(fit.shape, shape)
    assert fit.pose == pytest.approx((20, 0, 0), abs=2)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((5, 2)), "understood"),
        (np.full((68, 2), np.nan), "only 0 of 68"),
        (np.zeros((68, 3)), "within 2 px"),
        (np.r_[np.random.default_rng(0).uniform(0, 100, (20, 2)), np.full((52, 2), np.nan)], "only 20"),
        (np.zeros((72, 4)), "shape"),
    ],
)
def test_useless_landmarks_fail_clearly(model, points, message):
    with pytest.raises(ValueError, match=message):
        fit_face(points, model)


def test_the_bad_picture_is_named(model, person):
    with pytest.raises(ValueError, match="face 2 of 2"):
        fit_faces([person(1)[1], np.full((68, 2), np.nan)], None, model)
    with pytest.raises(ValueError, match="weights"):
        fit_faces([person(1)[1]], [-1.0], model)
    with pytest.raises(ValueError, match="no landmarks"):
        fit_faces([], None, model)


def test_garbage_never_hangs_or_returns_nonsense(model):
    rng = np.random.default_rng(0)
    for _ in range(10):
        fit = fit_face(rng.uniform(0, 500, (68, 2)), model)
        assert np.isfinite(fit.points(model)).all()
        assert fit.expression.min() >= 0
        assert fit.expression.max() <= 1
        assert fit.residual > 0.05  # and says that it does not fit


def test_layouts():
    mesh = np.random.default_rng(0).uniform(0, 400, (478, 3))
    points, weights, facemesh = to_72(mesh)
    assert facemesh
    assert points[30] == pytest.approx(mesh[4, :2])
    assert points[68] == pytest.approx(mesh[468, :2])
    assert weights[0] < weights[30]
    points, weights, facemesh = to_72(mesh[:468])
    assert np.isnan(points[68]).all()
    assert weights[68] == 0
    assert not to_72(mesh[:68])[2]


def test_photos_of_one_person_together(model, photo_faces):
    faces = [photo_faces[name][0] for name in sorted(photo_faces) if name.startswith("obama")]
    fits = fit_faces(faces, None, model)
    assert len(fits) == 5
    for points, fit in zip(faces, fits, strict=True):
        detected = points[names.FACEMESH_INDEX[:68], :2]
        drawn = fit.points(model, as_detected=True)[:68, :2]
        off = np.linalg.norm(detected - drawn, axis=1)[list(names.INNER_FACE)].mean()
        assert off / fit.scale < 0.025
        assert fit.residual < 0.025


def test_frontal_photos_look_straight_ahead(model, photo_faces):
    frontal = ("obama", "obama_partial_face", "obama_partial_face2", "biden")
    pitch = [abs(fit_face(photo_faces[name][0], model).pose[1]) for name in frontal]
    assert np.mean(pitch) < 5


def test_expressions_of_photos(model, photo_faces):
    smiling = fit_face(photo_faces["obama"][0], model)
    speaking = fit_face(photo_faces["obama2"][0], model)
    serious = fit_face(photo_faces["biden"][0], model)
    smile = ("mouthSmileLeft", "mouthSmileRight")
    assert expression_of(smiling, model, *smile) > 0.5 > 0.25 > expression_of(serious, model, *smile)
    assert expression_of(speaking, model, "jawOpen") > expression_of(serious, model, "jawOpen") + 0.1


def test_two_people_differ_more_than_two_photos(model, photo_faces):
    shapes = {
        name: fit_face(photo_faces[name][0], model).shape for name in ("obama", "obama_partial_face", "biden")
    }
    same = distance(model, shapes["obama"], shapes["obama_partial_face"])
    other = distance(model, shapes["obama"], shapes["biden"])
    assert same < other


def as_face_mesh(points):
    """Put 72 points where MediaPipe's mesh has them."""
    mesh = np.zeros((468, 3))
    known = names.FACEMESH_INDEX < 468
    mesh[names.FACEMESH_INDEX[known], :2] = points[known]
    return mesh


@pytest.mark.parametrize("real", [True, False])
def test_real_faces_and_renders_are_told_apart(model, real):
    """Points of an average real face, and of the base mesh: which calibration fits shows by itself."""
    rng = np.random.default_rng(0)
    right = 0
    for _ in range(10):
        shape = rng.normal(size=model.components) * 0.8
        face = model.points(shape) + (model.facemesh_offset if real else 0.0)
        pose = rng.uniform([-25, -10, -10], [25, 10, 10])
        points = project(face, rotation(*pose), 200.0, (500.0, 500.0))[:, :2]
        fit = fit_face(as_face_mesh(points + rng.normal(size=points.shape) * 2.5), model)
        right += fit.offset.any() == real
        assert fit.pose == pytest.approx(pose, abs=5)
    assert right >= 9


def test_photos_are_calibrated(model, photo_faces):
    fits = [fit_face(points, model) for faces in photo_faces.values() for points in faces]
    assert len(fits) == 12
    assert all(fit.offset.any() for fit in fits)
    assert not fit_face(photo_faces["biden"][0], model, calibrated=False).offset.any()

"""Bending the head to a person: detected points of several photos, known truth, and real photos."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hifi_portrait.faces.open_analyzer import OpenAnalyzer
from hifi_portrait.faces.pictures import NamedImage, read_image
from hifi_portrait.faces.references import ReferenceOptions, load_references
from hifi_portrait.head.bend import FARTHEST, fit_head
from hifi_portrait.head.expression import expressed
from hifi_portrait.head.model import REGIONS, HeadModel
from hifi_portrait.head.surface import points_of, spread
from hifi_portrait.landmarks.camera import project, rotation
from hifi_portrait.landmarks.fit import fit_face, fit_faces
from hifi_portrait.landmarks.model import FaceModel
from hifi_portrait.landmarks.raster import rasterise

FACE, HEAD = FaceModel.load(), HeadModel.load()
FRONT = np.isin(HEAD.geometry_region, [REGIONS.index(n) for n in ("face", "lids", "lips")])
FRONT &= HEAD.mean[:, 2] > -0.9
SCALE, CENTRE = 90.0, (256.0, 240.0)
POSES = ((4, 2, 0), (-25, 3, 4), (30, -4, -3), (-3, -8, 2))


def person(seed):
    """(G, 3) a head that no identity coefficients make: a smooth bump field on top."""
    rng = np.random.default_rng(seed)
    points = points_of(HEAD, "facemesh")
    bumps = spread(HEAD, points, rng.normal(size=(468, 3)) * 0.5, np.full(468, 40.0), stiffness=0.3)
    bumps *= 0.07 / np.linalg.norm(bumps[FRONT], axis=1).mean()
    return HEAD.geometry(rng.normal(size=FACE.components) * 0.5) + bumps


def record(geometry, pose, seed=0, weight=1.0, noise=0.008, smile=0.0, name="photo"):
    """What a detector says of a photo of this head: its points, not exact, and its depth, worse."""
    rng = np.random.default_rng([seed, 7])
    moved = FACE.coefficients({"mouthSmileLeft": smile, "mouthSmileRight": smile})
    points = HEAD.facemesh(geometry + HEAD.expressed(moved))
    seen = project(points, rotation(*pose), SCALE, CENTRE)
    seen += rng.normal(size=seen.shape) * SCALE * noise * [1, 1, 4]
    seen[:, 2] += 31.0  # depth counts from anywhere
    return SimpleNamespace(
        landmarks=seen.astype(np.float32), weight=weight, quality=SimpleNamespace(score=0.7), source=name
    )


def bent(records):
    fits = fit_faces([r.landmarks for r in records], [r.weight for r in records], FACE, calibrated=False)
    return fit_head(records, fits, HEAD)


def error(geometry, truth):
    """Mean distance on the face after a similarity, interocular distances."""
    a, b = geometry[FRONT].astype(float), truth[FRONT].astype(float)
    a, b = a - a.mean(0), b - b.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    return float(np.linalg.norm(s.sum() / (a**2).sum() * a @ (u @ vt).T - b, axis=1).mean())


def eye_pixels(geometry):
    """How many pixels of a front view show the eyeballs."""
    points = project(geometry[HEAD.source], np.eye(3), 110.0, (250, 250))
    shown = HEAD.triangles[rasterise(points, HEAD.triangles, 500, 500).triangle, 0]
    return int(HEAD.in_region("left_eye", "right_eye")[shown].sum())


def photos_of(seed, count=4, **options):
    truth = person(seed)
    return truth, [record(truth, pose, i, **options) for i, pose in enumerate(POSES[:count])]


@pytest.mark.parametrize("seed", range(3))
def test_bent_head_is_nearer_to_the_person_than_the_template(seed):
    truth, records = photos_of(seed)
    found = bent(records)
    template = error(HEAD.geometry(found.shape), truth)
    assert error(found.geometry(), truth) < 0.6 * template
    assert error(bent(records[:1]).geometry(), truth) < 0.85 * error(
        HEAD.geometry(bent(records[:1]).shape), truth
    )


def test_expression_of_the_photos_is_taken_off():
    truth = person(5)
    smiling = [record(truth, pose, i, smile=0.6) for i, pose in enumerate(POSES)]
    found = bent(smiling)
    with_smile = truth + HEAD.expressed(FACE.coefficients({"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6}))
    assert error(found.geometry(), truth) < 0.75 * error(found.geometry(), with_smile)


def test_vertices_in_a_photo_lie_on_its_points():
    _, records = photos_of(1)
    found = bent(records)
    place_of = np.zeros(len(HEAD.mean), int)
    place_of[HEAD.source] = np.arange(len(HEAD.source))
    for i, r in enumerate(records):
        seen, unregistered = (HEAD.facemesh(found.in_photo(i, how)[place_of]) for how in (True, False))
        distance = np.linalg.norm(seen[:, :2] - r.landmarks[:, :2], axis=1) / SCALE
        assert np.median(distance) < 0.02
        assert (
            distance.mean() <= np.linalg.norm(unregistered[:, :2] - r.landmarks[:, :2], axis=1).mean() / SCALE
        )


def test_weight_0_is_not_there_and_order_changes_nothing():
    _, records = photos_of(2)
    other = record(person(9), (10, 0, 0), 5, weight=0.0)
    alone, beside = bent(records), bent([*records, other])
    assert np.abs(alone.geometry() - beside.geometry()).max() < 1e-3
    assert len(beside.photos) == 5
    assert beside.photos[4].share == 0
    turned = bent(records[::-1])
    assert np.abs(alone.geometry() - turned.geometry()).max() < 1e-3
    assert np.abs(alone.in_photo(0) - turned.in_photo(3)).max() < 0.3


@pytest.mark.parametrize("poses", [((68, 0, 0),), ((-75, 5, 3),), ((0, 30, 0),), ((20, 0, 40),)])
def test_profile_only_stays_bounded(poses):
    truth = person(3)
    found = bent([record(truth, pose, i) for i, pose in enumerate(poses)])
    assert np.isfinite(found.geometry()).all()
    assert np.isfinite(found.in_photo(0)).all()
    assert np.linalg.norm(found.bend, axis=1).max() < 1.5 * FARTHEST
    assert error(found.geometry(), truth) < 0.2


def test_mirrored_selfies_stay_bounded():
    truth = person(4)
    mirrored = truth[HEAD.mirror] * np.array([-1, 1, 1], np.float32)
    found = bent([record(truth, POSES[0], 0), record(mirrored, POSES[0], 1), record(truth, POSES[1], 2)])
    assert np.linalg.norm(found.bend, axis=1).max() < 1.5 * FARTHEST
    assert error(found.geometry(), truth) < 0.12


def test_eyeballs_stay_round_and_lids_still_close():
    _truth, records = photos_of(0)
    found = bent(records)
    closed = found.geometry(FACE.coefficients({"eyeBlinkLeft": 1, "eyeBlinkRight": 1}))
    for side in ("left_eye", "right_eye"):
        ball = HEAD.geometry_region == REGIONS.index(side)
        before, after = (np.ptp(g[ball], axis=0) for g in (HEAD.geometry(found.shape), found.geometry()))
        assert np.ptp(after / before) < 0.02
    shown = [eye_pixels(found.geometry()), eye_pixels(closed)]
    assert shown[0] > 200
    assert shown[1] < 0.12 * shown[0]


@pytest.mark.parametrize("opening", [-0.05, 0.06])
def test_lids_of_narrow_and_wide_eyes_meet(opening):
    neutral = HEAD.geometry()
    lids = HEAD.geometry_region == REGIONS.index("lids")
    rise = np.zeros_like(neutral)
    upper = lids & (neutral[:, 1] > HEAD.landmarks(neutral)[36:42, 1].mean())
    rise[upper, 1] += opening
    blink = FACE.coefficients({"eyeBlinkLeft": 1, "eyeBlinkRight": 1})
    person_ = neutral + rise
    ours, template = person_ + expressed(HEAD, person_, blink), person_ + HEAD.expressed(blink)
    usual = HEAD.landmarks(neutral + HEAD.expressed(blink))
    for up, low in ((37, 41), (38, 40), (43, 47), (44, 46)):
        gap = [
            (HEAD.landmarks(g)[up] - HEAD.landmarks(g)[low])[1] - (usual[up] - usual[low])[1]
            for g in (ours, template)
        ]
        assert abs(gap[0]) < 0.3 * abs(gap[1])


def test_points_of_another_layout_and_unknown_ones():
    truth = person(6)
    whole = record(truth, (5, 0, 0))
    points = project(HEAD.landmarks(truth)[:68], rotation(-20, 0, 0), SCALE, CENTRE)
    few = SimpleNamespace(landmarks=points, weight=1.0, quality=SimpleNamespace(score=0.7), source="few")
    found = bent([whole, few])
    assert error(found.geometry(), truth) < error(HEAD.geometry(found.shape), truth)
    wrong = SimpleNamespace(
        landmarks=points[:50], weight=1.0, quality=SimpleNamespace(score=1.0), source="x.jpg"
    )
    with pytest.raises(ValueError, match=r"'x\.jpg': 50 face landmarks"):
        fit_head([wrong], fit_faces([few.landmarks], None, FACE), HEAD)


def test_real_photos_of_a_person_foretell_one_that_was_held_out(photos, face_models):
    """Points of another occasion and pose lie nearer to the bent head than to the template."""
    analyzer = OpenAnalyzer([face_models])
    images = [NamedImage(n, read_image(photos[n])) for n in ("obama", "obama2", "obama3")]
    faces = {f.source: f for f in load_references(images, analyzer, ReferenceOptions()).faces}
    for train, held in ((("obama", "obama3"), "obama2"), (("obama", "obama2"), "obama3")):
        known = [faces[n] for n in train]
        found = fit_head(known, fit_faces([f.landmarks for f in known], None, FACE), HEAD)
        fit = fit_face(faces[held].landmarks, FACE, shape=found.shape)
        plain = project(
            HEAD.facemesh(HEAD.geometry(found.shape, fit.expression)),
            fit.rotation,
            fit.scale,
            fit.translation,
        )
        beside = replace(faces[held], weight=0.0)
        joint = fit_head([*known, beside], [*fit_faces([f.landmarks for f in known], None, FACE), fit], HEAD)
        place_of = np.zeros(len(HEAD.mean), int)
        place_of[HEAD.source] = np.arange(len(HEAD.source))
        seen = HEAD.facemesh(joint.in_photo(len(known), registered=False)[place_of])
        sure = HEAD.facemesh_spread < 0.09
        ours, template = (
            np.linalg.norm((s - faces[held].landmarks)[sure, :2], axis=1).mean() / fit.scale
            for s in (seen, plain)
        )
        assert ours < 0.75 * template

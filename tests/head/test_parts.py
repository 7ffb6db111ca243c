"""Light, registration, blending and filling, each on input whose answer is known."""

import cv2
import numpy as np
import pytest
from hifi_portrait.faces.photo import HeadPhoto
from hifi_portrait.head.balance import agreement, solve_lights
from hifi_portrait.head.blend import blend, pull_push
from hifi_portrait.head.fill import continued, with_pores
from hifi_portrait.head.layout import UVLayout, enlarge
from hifi_portrait.head.light import basis, fit_light, light_from, unit
from hifi_portrait.head.matting import person_alpha
from hifi_portrait.head.model import HeadModel
from hifi_portrait.head.raster import interpolate, triangle_ids
from hifi_portrait.head.register import SIDE, moved, registered
from hifi_portrait.head.unwrap import TO_LINEAR, to_srgb8
from hifi_portrait.landmarks.raster import rasterise


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def picture(rng, size=SIDE):
    noise = cv2.GaussianBlur(rng.random((size, size, 3)).astype(np.float32), (0, 0), 3)
    return ((noise - noise.mean()) * 3 + 0.5).clip(0.05, 0.95).astype(np.float32)


def test_lights_of_two_photos_of_one_face_are_told_from_its_albedo(rng):
    normals = unit(rng.normal(size=(2000, 3)) * [1, 1, 0.6] + [0, 0, 1])
    albedo = rng.normal(-1, 0.2, (2000, 1)) + np.array([0.3, 0.0, -0.2])
    second = light_from(-50, 10, 0.4)
    second[0] += 0.4
    lights = np.stack([light_from(60, 20, 0.4), second])
    logs = albedo + np.einsum("pt,ntc->npc", basis(normals), lights)
    found, _ = solve_lights(logs, np.ones((2, 2000)), normals)
    apart = logs - np.einsum("pt,ntc->npc", basis(normals), found)
    assert np.abs(apart[0] - apart[1]).mean() < 0.15 * np.abs(logs[0] - logs[1]).mean()


def test_what_only_one_photo_shows_in_front_is_found():
    flat = np.zeros((3, 400, 3))
    flat[1, :50] = -1.5
    says = agreement(flat, np.ones((3, 400)), np.arange(400))
    assert says[1, :50].max() < 0.05
    assert says[0].min() > 0.95
    assert (agreement(flat[:1], np.ones((1, 400)), np.arange(400)) == 1).all()


def test_a_light_is_fitted_and_frontal_brightness_kept(rng):
    normals = unit(rng.normal(size=(3000, 3)))
    wanted = light_from(30, 40, 0.6)
    found = fit_light(basis(normals) @ wanted, np.ones(3000), normals)
    shown = basis(normals)
    assert np.abs(shown @ found - shown @ wanted).mean() < 0.3 * np.abs(shown @ wanted).mean()
    front = normals[normals[:, 2] > 0.8]
    assert np.abs((basis(front) @ light_from(0, 0, 0.8)).mean()) < 0.2
    with pytest.raises(ValueError, match="light"):
        light_from(np.nan, 0)


def test_registration_finds_a_shift_and_pulls_nobody_along(rng):
    still = picture(rng)
    shifted = np.roll(still, 3, axis=1)
    weights = np.ones((2, SIDE, SIDE), np.float32)
    moves = registered(np.stack([still, shifted]), weights)
    inner = np.s_[60:-60, 60:-60]
    difference = moves[1][inner] - moves[0][inner]
    assert np.median(difference[..., 0]) == pytest.approx(3, abs=0.7)
    assert np.abs(np.median(difference[..., 1])) < 0.3
    assert np.abs((moves[0] + moves[1])[inner]).max() < 1e-3
    before = np.abs(still - shifted)[inner].mean()
    after = np.abs(moved(still, moves[0]) - moved(shifted, moves[1]))[inner].mean()
    assert after < 0.5 * before


def test_blending_a_photo_with_itself_or_with_nothing_changes_nothing(rng):
    one = picture(rng, 256)
    full, none = np.ones((256, 256), np.float32), np.zeros((256, 256), np.float32)
    np.testing.assert_allclose(blend(np.stack([one, one]), np.stack([full, full])), one, atol=1e-4)
    other = picture(rng, 256)
    np.testing.assert_allclose(blend(np.stack([one, other]), np.stack([full, none])), one, atol=2e-3)


def test_a_step_of_brightness_between_photos_leaves_no_edge():
    dark, bright = (np.full((256, 256, 3), v, np.float32) for v in (0.4, 0.6))
    left = np.zeros((256, 256), np.float32)
    left[:, :128] = 1
    mixed = blend(np.stack([dark, bright]), np.stack([left, 1 - left]))
    assert np.abs(np.diff(mixed[..., 0], axis=1)).max() < 0.2 * 0.2
    assert mixed[128, 5, 0] < 0.45
    assert mixed[128, 250, 0] > 0.55


def test_filling_goes_on_smoothly_and_leaves_what_is_known(rng):
    ramp = np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[None, :, None], 256, 0)
    known = np.ones((256, 256), np.float32)
    known[100:156, 100:156] = 0
    filled = pull_push(ramp * known[..., None], known)
    np.testing.assert_array_equal(filled[known == 1], ramp[known == 1])
    assert np.abs(filled - ramp).max() < 0.12


def test_hair_goes_on_as_hair_beside_skin(rng):
    colours = np.full((512, 512, 3), 0.8, np.float32)
    scalp, known = np.zeros((512, 512), np.float32), np.ones((512, 512), np.float32)
    scalp[:256] = 1
    colours[:256] = 0.2 + 0.05 * rng.normal(size=(256, 512, 1)).astype(np.float32)
    known[:128] = 0
    colours[:128] = 0
    filled = continued(colours, known, scalp)
    assert abs(filled[20:100].mean() - 0.2) < 0.05
    assert filled[20:100].std() > 0.02
    np.testing.assert_allclose(filled[300:], colours[300:], atol=1e-5)


def test_continued_hair_has_no_stripes_and_takes_nothing_of_the_background(rng):
    """Noise goes on as noise: no direction stands out, and the bright edge of a matte is not repeated."""
    colours = np.full((512, 512, 3), 0.8, np.float32)
    scalp, known = np.zeros((512, 512), np.float32), np.ones((512, 512), np.float32)
    scalp[:256] = 1
    colours[:256] = 0.2 + 0.05 * rng.normal(size=(256, 512, 1)).astype(np.float32)
    known[:128] = 0
    colours[:133] = 0.9
    filled = continued(colours, known, scalp)[10:110].mean(-1)
    assert filled.mean() < 0.35
    high = filled - cv2.GaussianBlur(filled, (0, 0), 4)
    across, down = (np.abs(np.diff(high, axis=axis)).mean() for axis in (0, 1))
    assert 0.6 < across / down < 1.6
    assert np.abs(high.mean(1)).max() < 0.5 * high.std()


def test_filled_skin_has_the_grain_of_shown_skin_and_its_colour(rng):
    colours = 0.6 + 0.02 * rng.normal(size=(512, 512, 1)).astype(np.float32) * np.ones(3, np.float32)
    known, skin = np.ones((512, 512), np.float32), np.ones((512, 512), np.float32)
    known[:, 300:] = 0
    smooth = np.where(known[..., None] > 0, colours, 0.6).astype(np.float32)
    filled = with_pores(smooth, colours, known, skin)
    np.testing.assert_array_equal(filled[:, :300], smooth[:, :300])
    assert filled[:, 320:].std() == pytest.approx(0.02, abs=0.006)
    assert filled[:, 320:].mean() == pytest.approx(0.6, abs=0.005)


def test_the_fast_rasteriser_agrees_with_the_exact_one():
    model = HeadModel.load()
    points = model.mean[model.source] * [60, -60, 60] + [150, 150, 0]
    ids = triangle_ids(points, model.triangles, 300, 320)
    exact = rasterise(points, model.triangles, 300, 320)
    covered = np.zeros(300 * 320, bool)
    covered[exact.pixel] = True
    assert (covered == (ids >= 0).ravel()).mean() > 0.98
    depth = interpolate(ids, points, model.triangles, points[:, 2:])[..., 0].ravel()
    wanted = exact.values(points[:, 2:], model.triangles)[:, 0]
    assert np.median(np.abs(depth[exact.pixel] - wanted)) < 0.05
    assert (np.abs(depth[exact.pixel] - wanted) < 2).mean() > 0.97


def test_a_layout_gives_vertices_back_where_they_lie():
    model = HeadModel.load()
    layout = UVLayout.of(model.uv, model.triangles, 256)
    uv = layout.interpolate(model.uv)
    down, across = np.mgrid[0:256, 0:256] + 0.5
    difference = np.abs(uv * 256 - np.stack([across, down], -1))[layout.inside]
    assert np.percentile(difference, 99) < 0.1
    assert enlarge(uv, 512).shape == (512, 512, 2)


def test_linear_light_is_encoded_back_to_the_same_values():
    codes = np.arange(256)
    assert np.abs(to_srgb8(TO_LINEAR[codes]).astype(int) - codes).max() <= 1


def test_a_mask_of_everybody_is_solid_and_a_coarse_one_follows_the_picture():
    pixels = np.full((400, 400, 3), 30, np.uint8)
    cv2.circle(pixels, (200, 200), 120, (200, 160, 140), -1)
    plain = HeadPhoto(pixels, np.eye(2, 3, dtype=np.float32), np.full((64, 64), 255, np.uint8))
    assert (person_alpha(plain) == 1).all()
    coarse = np.zeros((64, 64), np.uint8)
    cv2.circle(coarse, (32, 32), 20, 255, -1)
    soft = cv2.GaussianBlur(coarse, (0, 0), 3)
    alpha = person_alpha(HeadPhoto(pixels, np.eye(2, 3, dtype=np.float32), soft))
    assert alpha[200, 200] == pytest.approx(1, abs=1e-3)
    assert alpha[10, 10] == pytest.approx(0, abs=1e-3)

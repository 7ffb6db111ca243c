"""The head around the face: carried by the landmarks; its texture extracted and warped back."""

from collections import Counter

import cv2
import numpy as np
import pytest
from hifi_portrait.landmarks import camera
from hifi_portrait.landmarks.canonical import canonical_map
from hifi_portrait.landmarks.generate import generate
from hifi_portrait.landmarks.head import HeadSurface

SIZE = 128


@pytest.fixture(scope="module")
def surface(model):
    return HeadSurface.of(model)


def face(model, yaw=0.0, **more):
    made = generate(model, pose=(yaw, 0, 0), width=SIZE, height=SIZE, scale=30.0, position=(64, 58), **more)
    return made.points[0]


def look_up(texture, uv_map):
    """Sample a UV texture (S, S, C) by a map (H, W, 3)."""
    x, y = (uv_map[..., k] * len(texture) - np.float32(0.5) for k in (0, 1))
    return cv2.remap(texture, x, y, cv2.INTER_LINEAR) * uv_map[..., 2:].astype(texture.dtype)


def test_one_closed_surface_without_folds(surface, model):
    assert np.allclose(surface.weights.sum(1), 1)
    edges = Counter(frozenset((int(t[i]), int(t[i - 1]))) for t in surface.triangles for i in range(3))
    assert max(edges.values()) == 2
    rim = {v for edge, n in edges.items() if n == 1 for v in edge}
    assert min(rim) >= len(model.mean), "only the outer ring is open"
    a, b, c = (surface.uv[surface.triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    assert (area >= 0).all()
    # Triangles that overlapped would have more area together than the outline.
    covered = surface._texels(256)
    assert area.sum() / 2 == pytest.approx(len(np.unique(covered.pixel)) / 256**2, rel=0.01)


def test_the_rim_turns_with_the_head(surface, model):
    still = surface.weights @ model.mean
    for pose in ((35, 0, 0), (0, 20, 0), (-25, 10, 15)):
        turned = model.mean @ camera.rotation(*pose).T
        assert np.abs(surface.weights @ turned - still @ camera.rotation(*pose).T).max() < 1e-9
    far = still[len(model.mean) :]
    assert far[:, 1].max() > model.mean[:, 1].max() + 0.5, "hair above the forehead"
    assert np.abs(far[:, 0]).max() > np.abs(model.mean[:, 0]).max() + 0.5, "hair beside the face"


def test_the_map_holds_more_than_the_face(surface, model):
    points = face(model, 20)
    head, inner = surface.uv_map(points, SIZE, SIZE), canonical_map(points, SIZE, SIZE, model)
    assert head[..., 2].sum() > 1.5 * inner[..., 2].sum()
    assert (head[..., 2] >= inner[..., 2]).mean() > 0.999
    assert head[..., :2].min() >= 0
    assert head[..., :2].max() <= 1


@pytest.mark.parametrize("yaw", [0, 25, -25])
def test_a_texture_extracted_and_warped_back_is_the_picture(surface, model, yaw):
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8), (0, 0), 4)
    points = face(model, yaw)
    texture = surface.extract_texture(picture, np.full((SIZE, SIZE), 255, np.uint8), points, 192)
    again = look_up(texture, surface.uv_map(points, SIZE, SIZE))
    seen = again[..., 3] > 200
    assert seen.mean() > 0.25
    assert np.abs(again[..., :3].astype(int) - picture)[seen].mean() < 2.5


def test_what_turns_away_is_not_seen(surface, model):
    white = np.full((SIZE, SIZE), 255, np.uint8)
    picture = np.dstack([white] * 3)
    turned, frontal = (
        surface.extract_texture(picture, white, face(model, yaw), 128)[..., 3] for yaw in (45, 0)
    )
    left, right = turned[:, :40], turned[:, 88:]  # the nose points to the picture's right
    assert right[40:90].mean() < 0.4 * left[40:90].mean()
    assert np.abs(frontal.astype(int) - frontal[:, ::-1]).mean() < 12
    assert not surface.extract_texture(picture, white * 0, face(model), 128)[..., 3].any(), "the mask decides"
    outside = face(model) + np.array([500, 0, 0])
    assert not surface.extract_texture(picture, white, outside, 128)[..., 3].any()


def test_another_pose_shows_the_same_head(surface, model):
    """Colours put on the UV texture come back from a picture of it, whatever the pose."""
    ramp = (np.arange(192) + 0.5) / 192 * 255
    head = np.dstack([np.tile(ramp, (192, 1)), np.tile(ramp[:, None], (1, 192)), np.full((192, 192), 90.0)])
    for yaw in (0, 20, -30):
        points = face(model, yaw, expression=model.coefficients({"jawOpen": 0.5}))
        uv_map = surface.uv_map(points, SIZE, SIZE)
        picture = look_up(head.astype(np.float32), uv_map)
        found = surface.extract_texture(
            picture.round().astype(np.uint8), (uv_map[..., 2] * 255).astype(np.uint8), points, 192
        )
        seen = found[..., 3] == 255
        assert seen.mean() > 0.15
        assert np.abs(found[..., :3] - head)[seen].mean() < 4

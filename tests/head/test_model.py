"""The template head: it is the 72-point face's head, its layout is usable, lids close, mouths open."""

import numpy as np
import pytest
from hifi_portrait.head.model import DATA_FILE, REGIONS, HeadModel
from hifi_portrait.landmarks import names
from hifi_portrait.landmarks.camera import project, rotation
from hifi_portrait.landmarks.model import FaceModel
from hifi_portrait.landmarks.raster import rasterise

FACE, HEAD = FaceModel.load(), HeadModel.load()
SIDE = 480


def expression(**values):
    return FACE.coefficients(values)


def seen(vertices, pose=(0.0, 0.0, 0.0)):
    """(H, W) region that each pixel of a front view shows, -1 where there is none."""
    points = project(vertices, rotation(*pose), SIDE / 4.5, (SIDE / 2, SIDE * 0.4))
    cover = rasterise(points, HEAD.triangles, SIDE, SIDE)
    result = np.full(SIDE * SIDE, -1)
    result[cover.pixel] = HEAD.region[HEAD.triangles[cover.triangle, 0]]
    return result.reshape(SIDE, SIDE), points


def count(picture, *regions):
    return int(np.isin(picture, [REGIONS.index(name) for name in regions]).sum())


def test_file_is_small_and_says_where_it_comes_from():
    assert DATA_FILE.stat().st_size < 3_000_000
    assert "CC0" in HEAD.provenance


@pytest.mark.parametrize("seed", range(6))
def test_same_coefficients_give_the_same_72_points(seed):
    rng = np.random.default_rng(seed)
    shape = rng.normal(size=FACE.components)
    moved = rng.uniform(size=52) * (rng.uniform(size=52) < 0.3)
    ours = HEAD.landmarks(HEAD.geometry(shape, moved))
    assert np.abs(ours - FACE.points(shape, moved)).max() < 4e-3


def test_layout_covers_each_place_once():
    a, b, c = (HEAD.uv[HEAD.triangles[:, k]].astype(float) for k in range(3))
    area = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
    assert (area > 0).all()
    assert HEAD.uv.min() >= 0
    assert HEAD.uv.max() <= 1
    flat = np.c_[HEAD.uv * 2048, np.zeros(len(HEAD.uv))]
    covered = len(np.unique(rasterise(flat, HEAD.triangles, 2048, 2048).pixel)) / 2048**2
    # Triangles that lie on each other would cover less than the sum of their areas.
    assert area.sum() - covered < 0.005
    face = HEAD.in_region("face", "lids", "lips")[HEAD.triangles].all(1)
    assert area[face].sum() > 0.25


def test_layout_is_mirrored():
    skin = np.nonzero(HEAD.in_region("face", "lids", "lips", "ears") & (HEAD.uv[:, 1] > 0.2))[0]
    row = {int(place): vertex for vertex, place in enumerate(HEAD.source) if vertex in set(skin.tolist())}
    pairs = [
        (v, row[int(HEAD.mirror[HEAD.source[v]])]) for v in skin if int(HEAD.mirror[HEAD.source[v]]) in row
    ]
    one, other = np.array(pairs).T
    assert len(pairs) > 2000
    assert np.abs(HEAD.uv[one] * [-1, 1] + [1, 0] - HEAD.uv[other]).max() < 1e-3


def test_normals_point_outwards():
    vertices = HEAD.vertices()
    scalp = HEAD.in_region("scalp")
    outward = vertices[scalp] - [0, 0.3, -1.0]
    assert ((HEAD.normals(vertices)[scalp] * outward).sum(1) > 0).mean() > 0.99


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_lids_close(seed):
    shape = None if seed is None else np.random.default_rng(seed).normal(size=FACE.components) * 0.7
    opened, _ = seen(HEAD.vertices(shape))
    closed, _ = seen(HEAD.vertices(shape, expression(eyeBlinkLeft=1, eyeBlinkRight=1)))
    eyes = ("right_eye", "left_eye")
    assert count(opened, *eyes) > 200
    assert count(closed, *eyes) < 0.06 * count(opened, *eyes)


def test_mouth_opens_with_an_inside_and_without_stretched_lips():
    opened, closed = HEAD.geometry(None, expression(jawOpen=0.7)), HEAD.geometry()
    gap = np.linalg.norm(HEAD.landmarks(opened)[62] - HEAD.landmarks(opened)[66])
    assert gap > 0.2 + np.linalg.norm(HEAD.landmarks(closed)[62] - HEAD.landmarks(closed)[66])
    lips = HEAD.geometry_region == REGIONS.index("lips")
    edges = HEAD.geometry_triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    edges = edges[lips[edges].all(1)]
    before, after = (np.linalg.norm(g[edges[:, 0]] - g[edges[:, 1]], axis=1) for g in (closed, opened))
    stretch = after[before > 0.01] / before[before > 0.01]
    assert np.percentile(stretch, 99) < 2.0
    assert np.median(stretch) < 1.15
    picture, _points = seen(opened[HEAD.source])
    inside = count(picture, "mouth", "upper_teeth", "lower_teeth", "tongue")
    assert inside > 400
    # No hole: every pixel between the inner lips shows something.
    marks = project(HEAD.landmarks(opened), np.eye(3), SIDE / 4.5, (SIDE / 2, SIDE * 0.4))
    low, high = marks[list(names.INNER_LIPS), :2].min(0).astype(int), marks[list(names.INNER_LIPS), :2].max(0)
    assert (picture[low[1] : int(high[1]), low[0] : int(high[0])] >= 0).all()


def test_teeth_follow_their_jaws():
    moved = HEAD.expressed(expression(jawOpen=1.0))
    upper, lower = (HEAD.geometry_region == REGIONS.index(f"{name}_teeth") for name in ("upper", "lower"))
    lip = HEAD.landmarks(moved)[57]
    assert np.abs(moved[upper]).max() < 0.01
    assert moved[lower][:, 1].mean() < 0.5 * lip[1] < -0.1


def test_neck_bends_and_the_head_turns():
    vertices, turn = HEAD.vertices(), rotation(40, 0, 0)
    posed = HEAD.posed(vertices, turn)
    face = HEAD.in_region("face")
    assert np.allclose(posed[face], (vertices @ turn.T)[face], atol=1e-4)
    collar = np.nonzero(HEAD.follow[HEAD.source] < 0.01)[0]
    left, right = (collar[vertices[collar, 0] * side > 0.8] for side in (1, -1))
    across = posed[left].mean(0) - posed[right].mean(0)
    assert abs(np.degrees(np.arctan2(-across[2], across[0])) - 0.35 * 40) < 1


def test_damaged_file_is_one_line(tmp_path):
    file = tmp_path / "head.safetensors"
    file.write_bytes(DATA_FILE.read_bytes()[:5000])
    with pytest.raises(ValueError, match="not a head model of this pack") as error:
        HeadModel.load(file)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300

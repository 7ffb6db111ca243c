"""What a photo's colours say about whose they are, on people whose colours are known."""

from types import SimpleNamespace

import numpy as np
import pytest
from hifi_portrait.head.fill import continued_within
from hifi_portrait.head.layout import UVLayout
from hifi_portrait.head.model import HeadModel
from hifi_portrait.head.unwrap import TO_LINEAR, Unwrapped
from hifi_portrait.head.visibility import View
from hifi_portrait.head.weights import member, throat, weights_of

TONES = {"fair": (236, 200, 180), "brown": (170, 118, 88), "dark": (92, 60, 44)}
SHIRT, BLACK_BEARD, WHITE_BEARD = (225, 228, 232), (34, 30, 28), (190, 190, 188)


@pytest.fixture(scope="module")
def model():
    return HeadModel.load()


@pytest.fixture(scope="module")
def layout(model):
    return UVLayout.of(model.uv, model.triangles, 256)


def shown(layout, model, skin, under, beard=None):
    """(s, s) how clearly a photo shows each texel; throat and beard have one colour each."""
    colour = np.broadcast_to(TO_LINEAR[list(skin)], (256, 256, 3)).copy()
    height = layout.interpolate(model.mean[model.source][:, 1:2])[..., 0]
    if beard:
        colour[height < -0.7] = TO_LINEAR[list(beard)]
    colour[throat(layout, model) > 0.5] = TO_LINEAR[list(under)]
    ones = np.ones((256, 256), np.float32)
    photo = SimpleNamespace(
        scale=100.0,
        moved=np.zeros(len(model.source), np.float32),
        face=SimpleNamespace(weight=1.0, quality=SimpleNamespace(score=1.0)),
    )
    view = View(np.zeros((256, 256, 2), np.float32), layout.inside.astype(np.float32), ones)
    return weights_of([photo], [view], [Unwrapped(colour, ones, ones)], layout, model)[0][0]


@pytest.mark.parametrize("skin", TONES.values(), ids=TONES)
def test_a_collar_under_the_jaw_is_not_skin(layout, model, skin):
    under = throat(layout, model) > 0.95
    assert under.sum() > 500
    assert shown(layout, model, skin, SHIRT)[under].max() < 0.05
    plain = shown(layout, model, skin, skin)
    np.testing.assert_allclose(plain[under], 1, atol=1e-3)
    shade = tuple(v // 3 for v in skin)
    assert shown(layout, model, skin, shade)[under].min() > 0.9


@pytest.mark.parametrize("skin", TONES.values(), ids=TONES)
@pytest.mark.parametrize("beard", [BLACK_BEARD, WHITE_BEARD], ids=["black", "white"])
def test_a_beard_stays_under_the_jaw(layout, model, skin, beard):
    under = throat(layout, model) > 0.95
    weights = shown(layout, model, skin, beard, beard)
    assert weights[under].min() > 0.1


def test_the_collar_stays_where_it_belongs(layout, model):
    height = layout.interpolate(model.mean[model.source][:, 1:2])[..., 0]
    low = layout.inside & (height < -2.25)
    assert low.any()
    assert throat(layout, model)[low].max() == 0


def test_skin_is_continued_without_what_lies_beside_it():
    colours = np.full((64, 64, 3), 0.4, np.float32)
    colours[40:] = 1.0
    known, region = np.ones((64, 64), np.float32), np.zeros((64, 64), np.float32)
    known[24:40] = 0
    region[24:40] = 1
    skin = (np.arange(64) < 40).astype(np.float32)[:, None] * np.ones((1, 64), np.float32)
    filled = continued_within(np.full_like(colours, 0.7), colours, known, region, skin)
    np.testing.assert_allclose(filled[24:40], 0.4, atol=1e-3)
    np.testing.assert_allclose(filled[:24], 0.7)


@pytest.mark.parametrize("region", ["tongue", "mouth"])
def test_no_photo_has_weight_behind_the_teeth(layout, model, region):
    seen = shown(layout, model, TONES["fair"], TONES["fair"])
    assert seen[member(layout, model, region) > 0.99].max() < 0.02
    assert seen[member(layout, model, "upper_teeth") > 0.99].min() > 0.9

"""Closed lids: skin where the photos show an open eye, lashes at the rim."""

import numpy as np
import pytest
from hifi_portrait.head.expression import blink_of, blinks_of, expressed
from hifi_portrait.head.lids import MIXED, closed_lids, mixed
from hifi_portrait.head.model import HeadModel

MODEL = HeadModel.load()


def texture(size: int) -> np.ndarray:
    """Skin with a blue eye and dark lashes around it, as an open eye's lids have them."""
    result = np.full((size, size, 3), (190, 140, 110), np.uint8)
    lids = np.round(MODEL.uv[MODEL.in_region("lids")] * (size - 1)).astype(int)
    for x, y in lids:
        result[y - 1 : y + 2, x - 1 : x + 2] = (20, 20, 90)
    return result


@pytest.mark.parametrize("size", [256, 1024])
def test_lids_are_skin_with_a_thin_dark_rim(size):
    right, left = closed_lids(texture(size), MODEL)
    for lid in (right, left):
        sure = lid.share > 0.95
        colour = lid.colour[sure] * 255
        skin = np.abs(colour - (190, 140, 110)).max(1) < 40
        assert skin.mean() > 0.5
        assert (colour.mean(1) < 90).any(), "lashes"
        assert (colour[skin][:, 2] < colour[skin][:, 0]).all(), "nothing blue"
    assert right.left + len(right.share) / 2 < size / 2 < left.left + len(left.share) / 2
    # Mirrored at the texture's middle, to a texel.
    assert abs(right.left + left.left + len(left.share) - size) <= 1


def test_brows_and_cheeks_are_left_alone():
    for lid in closed_lids(texture(512), MODEL):
        assert lid.share[[0, -1]].max() == 0
        assert lid.share[:, [0, -1]].max() == 0


def test_an_open_eye_has_no_share_of_closed_lids():
    assert mixed(0.0) == mixed(MIXED[0]) == 0
    assert mixed(1.0) == mixed(MIXED[1]) == 1


def test_what_a_blink_adds_is_the_persons_own():
    neutral = MODEL.geometry(np.full(3, 0.5, np.float32))
    for blink in blinks_of(MODEL):
        expression = np.zeros(52)
        expression[blink.row] = 1.0
        whole = expressed(MODEL, neutral, expression)
        added = np.zeros_like(whole)
        added[blink.moved] = blink_of(MODEL, neutral, blink)
        np.testing.assert_allclose(whole, MODEL.expressed(expression) + added, atol=1e-6)
        assert np.abs(blink_of(MODEL, MODEL.mean, blink)).max() < 1e-6

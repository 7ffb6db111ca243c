"""Inside of a mouth: light that falls in, usual teeth."""

import numpy as np
from hifi_portrait.head.model import HeadModel
from hifi_portrait.head.mouth import SMILE, arch, closing, crowns, light_inside, lips_closed

MODEL = HeadModel.load()


def expression(**values: float) -> np.ndarray:
    result = np.zeros(len(MODEL.expression_names))
    for name, value in values.items():
        result[MODEL.expression_names.index(name)] = value
    return result


def test_light_falls_in_as_far_as_lips_part_and_fades_with_depth():
    shut, ajar = (light_inside(MODEL, MODEL.geometry(None, expression(jawOpen=v))) for v in (0.0, 0.7))
    teeth, throat = MODEL.in_region("upper_teeth"), MODEL.in_region("mouth")
    z = MODEL.mean[MODEL.source, 2]
    assert ajar[teeth].max() > 2 * shut[teeth].max()
    front, back = ajar[teeth & (z > 0)], ajar[throat & (z < -0.8)]
    assert front.max() > 0.8
    assert back.max() < 0.35
    outside = ~MODEL.in_region("mouth", "upper_teeth", "lower_teeth", "tongue")
    assert (ajar[outside] == 1).all()
    assert ajar.min() >= 0
    assert ajar.max() <= 1


def test_teeth_lie_along_an_arch_that_is_longer_than_it_is_wide():
    way = arch(MODEL)
    for region in ("upper_teeth", "lower_teeth"):
        rows = MODEL.in_region(region)
        x = np.abs(MODEL.mean[MODEL.source[rows], 0])
        assert (way[rows] >= x - 1e-4).all()
        assert way[rows].max() > 1.2 * x.max()
    assert not way[MODEL.in_region("face")].any()


def test_lines_between_teeth_are_where_teeth_meet():
    way = np.linspace(0, 0.5, 2000)
    for upper, first in ((True, 0.135), (False, 0.084)):
        shade = crowns(way, upper)
        assert shade[np.abs(way - first).argmin()] < 0.75
        assert shade[np.abs(way - first / 2).argmin()] > 0.95
        assert np.abs(np.diff(shade)).max() < 0.02


def test_lips_of_smiling_photos_meet_when_neutral_and_part_for_a_smile():
    smiling = MODEL.mean + MODEL.expressed(expression(mouthUpperUpLeft=0.9, mouthUpperUpRight=0.9))
    usual, before = (MODEL.landmarks(g) for g in (MODEL.mean, smiling))
    after = MODEL.landmarks(smiling + closing(MODEL, smiling))
    assert before[62, 1] - before[66, 1] > usual[62, 1] - usual[66, 1] + 0.03
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        gap = np.linalg.norm((after[upper] - after[lower]) - (usual[upper] - usual[lower]))
        assert gap < 0.4 * np.linalg.norm((before[upper] - before[lower]) - (usual[upper] - usual[lower]))
    eyes = MODEL.mean[:, 1] > -0.3
    assert np.abs(closing(MODEL, smiling)[eyes]).max() < 1e-4
    assert not lips_closed(MODEL, smiling, expression(**dict.fromkeys(SMILE, 1.0))).any()
    assert np.abs(closing(MODEL, MODEL.mean)).max() < 1e-6

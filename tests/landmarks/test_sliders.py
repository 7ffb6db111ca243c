"""Sliders, and the limits of anatomy."""

from itertools import pairwise

import numpy as np
import pytest
from hifi_portrait.landmarks.sliders import SliderTable, limit_expression
from hifi_portrait.landmarks.target import generate_for

TABLE = SliderTable.load()


def values(model, coefficients):
    return {n: round(float(v), 3) for n, v in zip(model.expression_names, coefficients, strict=True) if v > 0}


def test_table_is_complete(model):
    groups = [group for group, _ in TABLE.groups]
    for slider in TABLE.sliders:
        assert slider.group in groups
        assert slider.minimum <= slider.default <= slider.maximum
        assert slider.tooltip.endswith(".")
        for name in [*slider.positive, *slider.negative]:
            assert name in model.expression_index, f"{slider.id}: {name}"
        assert bool(slider.positive) == (slider.kind == "expression")
    for preset in TABLE.presets:
        assert set(preset.values) <= set(TABLE.by_id), preset.id
    for rule in TABLE.limits:
        assert all(name in model.expression_index for pair in rule["pairs"] for name in pair)


@pytest.mark.parametrize("slider", [s.id for s in TABLE.sliders])
def test_every_slider_moves_the_face_evenly(model, slider):
    """Each step further moves points further, in steps that fit to each other."""
    slider = TABLE.by_id[slider]
    top = {"pose": 30.0, "placement": 1.0 if slider.id != "scale" else 2.0, "expression": 1.0}[slider.kind]
    faces = [
        generate_for(model, {slider.id: slider.default + (top - slider.default) * t}, 512, 512).points[0]
        for t in (0, 0.5, 1)
    ]
    steps = [np.linalg.norm(b - a, axis=1) for a, b in pairwise(faces)]
    strongest = int(np.argmax(np.linalg.norm(faces[2] - faces[0], axis=1)))
    assert steps[0][strongest] > 0.3
    assert 0.3 < steps[1][strongest] / steps[0][strongest] < 3.0


def test_zero_is_neutral_and_presets_stay_within_limits(model):
    coefficients, notes = TABLE.expression({}, model)
    assert not coefficients.any()
    for preset in TABLE.presets:
        _, notes = TABLE.expression(preset.values, model)
        assert notes == (), preset.id


def test_below_zero_takes_from_the_target_first(model):
    base = model.coefficients({"eyeBlinkLeft": 0.5})
    slider = TABLE.by_id["eye_closed_left"]
    used_up = 0.5 / slider.positive["eyeBlinkLeft"]
    half, _ = TABLE.expression({slider.id: -used_up}, model, base)
    assert values(model, half) == {}
    more, _ = TABLE.expression({slider.id: -used_up - 0.3}, model, base)
    assert values(model, more) == {"eyeWideLeft": 0.3}


def test_absurd_sums_are_limited_and_said_so(model):
    coefficients, notes = TABLE.expression({slider.id: 50.0 for slider in TABLE.sliders}, model)
    assert coefficients.min() >= 0
    assert coefficients.max() <= 1
    assert any("Limited to 0..1" in note for note in notes)
    assert len(notes) == len(set(notes)) <= 8


def test_anatomy(model):
    index = model.expression_index
    limited, notes = limit_expression(model.coefficients({"mouthClose": 0.9, "jawOpen": 0.2}), model)
    assert limited[index["mouthClose"]] == pytest.approx(0.2)
    assert notes
    both, _ = limit_expression(model.coefficients({"jawLeft": 0.9, "jawRight": 0.4}), model)
    assert values(model, both) == {"jawLeft": 0.5}
    eyes, _ = limit_expression(model.coefficients({"eyeBlinkLeft": 1.0, "eyeWideLeft": 1.0}), model)
    assert eyes[index["eyeBlinkLeft"]] + eyes[index["eyeWideLeft"]] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="NaN"):
        limit_expression(np.full(52, np.nan), model)


def test_lower_lip_never_rises_above_the_upper(model):
    rng = np.random.default_rng(0)
    for _ in range(60):
        wanted = {s.id: rng.uniform(-1, 1) for s in TABLE.sliders if s.kind == "expression"}
        points = generate_for(model, wanted, 512, 512).points[0]
        gap = points[[67, 66, 65], 1] - points[[61, 62, 63], 1]
        assert gap.min() > -0.1 * 87  # y down; pressed lips overlap by up to 10 % of the interocular distance


def test_unknown_names_and_values_are_refused(model):
    with pytest.raises(ValueError, match="smirk"):
        TABLE.checked({"smirk": 1.0})
    with pytest.raises(ValueError, match="smile"):
        TABLE.checked({"smile": float("nan")})
    with pytest.raises(ValueError, match="grimace"):
        TABLE.preset("grimace")

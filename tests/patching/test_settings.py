"""Settings of one application, and block weights."""

import pytest
from hifi_portrait.patching.settings import BLOCK_GROUPS, BLOCK_PRESETS, PatchSettings, parse_block_weights


def test_presets_have_one_weight_per_group():
    assert all(len(weights) == len(BLOCK_GROUPS) == 12 for weights in BLOCK_PRESETS.values())


def test_block_weights_from_a_preset_or_numbers():
    assert parse_block_weights("no middle") == BLOCK_PRESETS["no middle"]
    text = "1, 0.5,0,0,0,0, 0,0,0,0,0,2"
    assert parse_block_weights(text) == (1, 0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2)


@pytest.mark.parametrize(
    ("text", "culprit"), [("1,2,3", "got 3"), ("1," * 11 + "x", "'x'"), ("1," * 11 + "nan", "'nan'")]
)
def test_wrong_block_weights_are_named(text, culprit):
    with pytest.raises(ValueError, match=culprit):
        parse_block_weights(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_percent": 0.8, "end_percent": 0.2},
        {"end_percent": 1.5},
        {"fade_in": -0.1},
        {"identity_strength": float("nan")},
        {"unconditional": "everything"},
        {"block_weights": (1.0,)},
        {"mask_feather": -1},
        {"mask_feather": 10**9},
        {"identity_strength": 1e30},
        {"landmark_strength": -1e30},
        {"fusion_strength": float("inf")},
        {"block_weights": (1e30,) * 12},
        {"unconditional": "x" * 10**5},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
        PatchSettings(**wrong)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    ["x" * 10**5, "", "\ud800", "1," * 11 + "1e30", "1," * 11 + "9" * 5000, "1," * 11 + "a\nb", 1.5, None],
    ids=["long", "empty", "surrogate", "1e30", "digits", "lines", "number", "none"],
)
def test_hostile_block_weights_are_one_line(text):
    with pytest.raises(ValueError, match="block weights") as caught:
        parse_block_weights(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_persons_name_can_be_shown():
    assert PatchSettings(name="A\nd\ud800a").name == "A d\\ud800a"
    assert len(PatchSettings(name="x" * 10**5).name) == 80

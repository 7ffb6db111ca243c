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
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PatchSettings(**wrong)

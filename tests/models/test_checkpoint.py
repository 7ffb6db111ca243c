"""The checkpoint format: what is written is read, and every bad file is one clear line."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hifi_portrait.models import HiFiNetConfig, checkpoint
from hifi_portrait.models.checkpoint import CheckpointError, load, read_metadata, save
from hifi_portrait.models.limits import LIMITS
from safetensors import safe_open
from safetensors.torch import save_file

from tests.models.networks import OTHER, SMALL, random_faces, random_inputs, random_portrait


@pytest.fixture(scope="module")
def file(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    save(path, small, SMALL, {"title": "Small", "steps": 12})
    return path


def test_what_is_saved_is_loaded(small, file):
    loaded = load(file)
    assert loaded.config == SMALL
    state = small.state_dict()
    assert set(state) == set(loaded.state_dict())
    assert all(state[k].equal(v) for k, v in loaded.state_dict().items())
    assert not loaded.training
    info = read_metadata(file)
    assert (info.config, info.title, info.provenance, info.version) == (
        SMALL,
        "Small",
        {"steps": 12},
        checkpoint.VERSION,
    )
    assert loaded.checkpoint_id == info.id
    assert len(info.id) == 16


def test_id_changes_with_weights_and_configuration(small, file, tmp_path):
    save(tmp_path / "same.safetensors", small, SMALL, {"title": "Other title"})
    save(tmp_path / "style.safetensors", small, replace(SMALL, landmark_style="mesh72"))
    save(tmp_path / "weights.safetensors", random_portrait(SMALL, seed=9), SMALL)
    ids = [read_metadata(p).id for p in (file, *sorted(tmp_path.glob("*.safetensors")))]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_half_precision(small, file, tmp_path):
    half = tmp_path / "half.safetensors"
    save(half, small, SMALL, dtype=torch.float16)
    assert half.stat().st_size < 0.55 * file.stat().st_size
    loaded = load(half)
    assert {p.dtype for p in loaded.parameters()} == {torch.float16}
    full = load(half, dtype=torch.float32)
    tokens, detail = full.refiner(random_faces(SMALL, 2))
    wanted, _ = small.refiner(random_faces(SMALL, 2))
    assert detail.tokens.isfinite().all()
    assert (tokens - wanted).abs().max() < 0.02


def test_weights_stay_mapped_to_the_file(file):
    """Loading copies nothing: the weights' memory belongs to the file."""
    loaded = load(file)
    if not Path("/proc/self/maps").exists():
        pytest.skip("needs Linux' list of mapped files")
    spans = []
    with open("/proc/self/maps", encoding="utf-8") as maps:  # noqa: PTH123
        for line in maps:
            if str(file) in line:
                low, high = line.split()[0].split("-")
                spans.append((int(low, 16), int(high, 16)))
    assert spans
    inside = [any(low <= p.data_ptr() < high for low, high in spans) for p in loaded.parameters()]
    assert sum(inside) == len(inside)


def test_nothing_is_left_of_a_failed_save(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(AttributeError):
        save(path, {"a": "not a tensor"}, SMALL)
    shared = torch.zeros(4)
    with pytest.raises(RuntimeError):
        save(path, {"a": shared, "b": shared}, SMALL)
    assert list(tmp_path.iterdir()) == []


def rewritten(file, path, state=None, **texts):
    with safe_open(str(file), "pt") as opened:
        metadata = {**opened.metadata(), **texts}
        tensors = {k: opened.get_tensor(k) for k in opened.keys()}  # noqa: SIM118
    save_file((state or (lambda s: s))(tensors), path, metadata={k: v for k, v in metadata.items() if v})
    return path


def one_line(error, path):
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(f"{path.name}: ")
    return text


@pytest.mark.parametrize("cut", [0, 4, 200, -1000], ids=["empty", "stub", "in the header", "in the weights"])
def test_truncated(file, tmp_path, cut):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(file.read_bytes()[:cut])
    for read in (load, read_metadata):
        with pytest.raises(CheckpointError, match="damaged") as error:
            read(path)
        assert "Get the file again" in one_line(error, path)


def test_damaged_header(file, tmp_path):
    path = tmp_path / "noise.safetensors"
    data = bytearray(file.read_bytes())
    data[8:40] = b"\xff" * 32
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged") as error:
        load(path)
    one_line(error, path)


class Bomb:
    def __reduce__(self):
        return (print, ("this must never run",))


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_pickles_are_never_loaded(tmp_path, capsys, kind):
    path = tmp_path / "evil.safetensors"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb(), protocol=4))
    else:
        torch.save({"x": Bomb()}, path)
    with pytest.raises(CheckpointError, match="pickle") as error:
        load(path)
    assert "converted by Load HiFi-Net" in one_line(error, path)
    assert "never run" not in capsys.readouterr().out


def test_foreign(tmp_path):
    path = tmp_path / "lora.safetensors"
    save_file({"lora.down": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="not a HiFi-Portrait checkpoint") as error:
        load(path)
    one_line(error, path)


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match="no such file") as error:
        load(tmp_path / "gone.safetensors")
    one_line(error, tmp_path / "gone.safetensors")


@pytest.mark.parametrize(
    ("version", "message"), [("3", "Update the pack"), ("x", "not a number"), ("0", "no longer read")]
)
def test_wrong_version(file, tmp_path, version, message):
    path = rewritten(file, tmp_path / "v.safetensors", format_version=version)
    with pytest.raises(CheckpointError, match=message) as error:
        load(path)
    one_line(error, path)


def test_older_versions_are_upgraded(file, tmp_path, monkeypatch):
    def upgrade(texts, state):
        return {**texts, "config": texts.pop("settings")}, {
            k.removeprefix("old."): v for k, v in state.items()
        }

    old = rewritten(
        file,
        tmp_path / "old.safetensors",
        lambda s: {f"old.{k}": v for k, v in s.items()},
        format_version="0",
        config="",
        settings=SMALL.to_json(),
    )
    monkeypatch.setitem(checkpoint.UPGRADES, 0, upgrade)
    assert load(old).config == SMALL
    assert read_metadata(old).version == 0


def test_names_and_shapes_are_strict(file, tmp_path):
    def spoil(state):
        del state["hifi_net.conv_in.bias"], state["refiner.image_proj.latents"]
        state["hifi_net.conv_in.weight"] = torch.zeros(3, 4, 3, 3)
        return {**state, **{f"extra.{i}": torch.zeros(1) for i in range(9)}}

    path = rewritten(file, tmp_path / "spoilt.safetensors", spoil)
    with pytest.raises(CheckpointError) as error:
        load(path)
    text = one_line(error, path)
    assert "missing: hifi_net.conv_in.bias, refiner.image_proj.latents" in text
    assert "wrong shape: hifi_net.conv_in.weight 3x4x3x3 instead of 32x4x3x3" in text
    assert "extra.1 and 7 more" in text
    assert len(text) < 300


@pytest.mark.parametrize(
    "config",
    [
        "",
        "[]",
        "{nonsense",
        '{"colour": 1}',
        json.dumps({**json.loads(SMALL.to_json()), "fusion_levels": [True]}),
    ],
    ids=["none", "list", "not json", "unknown", "impossible"],
)
def test_bad_configuration(file, tmp_path, config):
    path = rewritten(file, tmp_path / "c.safetensors", config=config)
    with pytest.raises(CheckpointError, match="configuration") as error:
        load(path)
    one_line(error, path)


@pytest.mark.parametrize("config", [HiFiNetConfig.sdxl(), HiFiNetConfig.tiny(), SMALL, OTHER])
def test_configuration_survives_json(config):
    assert HiFiNetConfig.from_json(config.to_json()) == config


# Files of format 1 ------------------------------------------------------------------------------------------
FORMAT_1 = Path(__file__).parent / "data" / "format1.safetensors"
"""Written by the pack when it wrote format 1: random weights of the smallest sizes."""


def test_a_file_of_format_1_is_read_with_its_id_and_computes_what_it_did():
    info, portrait = read_metadata(FORMAT_1), load(FORMAT_1, dtype=torch.float32).requires_grad_(False)
    assert (info.version, info.id, info.title) == (1, "d6090e85cd158796", "Old")
    assert portrait.checkpoint_id == info.id, "identities that were made with it carry this id"
    assert info.config.x0_guidance_gain == 1.5
    inputs = random_inputs(info.config, 1, 4, 4)
    tokens, detail = portrait.refiner(random_faces(info.config, 2))
    prepared = portrait.hifi_net.prepare(inputs["target"], tokens, detail)
    residuals = portrait.hifi_net(context=tokens, detail=detail, **inputs)
    found = (tokens, detail.tokens, detail.texture, *residuals.down, residuals.mid)
    found += (prepared.coarse_x0.latents, prepared.coarse_x0.weight)
    # What version 1 computed from the same file and inputs.
    wanted = [1.4128348, 0.8204041, 0.1185805, 0.7550570, 2.8978431, 6.2246685, 0.2802362, 0.4655170]
    assert [float(t.abs().mean()) for t in found] == pytest.approx(wanted, rel=1e-5)


def test_saved_again_it_is_of_the_newest_format(tmp_path):
    old, path = load(FORMAT_1), tmp_path / "new.safetensors"
    save(path, old, old.config)
    assert read_metadata(path).version == checkpoint.VERSION
    with safe_open(str(FORMAT_1), "pt") as before, safe_open(str(path), "pt") as after:
        names = set(after.keys()) - set(before.keys())
        assert len(names) == len(set(before.keys()) - set(after.keys())) > 6
        assert "pull_gain" in before.metadata()["config"]
        assert "pull_gain" not in after.metadata()["config"]


# Forged files -----------------------------------------------------------------------------------------------


def with_config(**changes):
    return json.dumps({**json.loads(SMALL.to_json()), **changes})


FORGED_CONFIGS = {
    "zero head channels": (with_config(head_channels=0), "head_channels"),
    "zero groups": (with_config(norm_groups=0), "norm_groups"),
    "a depth without end": (with_config(mid_depth=10**7), "mid_depth"),
    "depths that add up": (
        with_config(transformer_depth=[64, 64, 64], layers_per_block=8),
        "transformer depths",
    ),
    "deep": ("[" * 10000, "nested"),
    "a number of 5000 digits": ('{"mid_depth": ' + "9" * 5000 + "}", "too large"),
    "NaN": ('{"embedding_scale": NaN}', "NaN"),
    "infinite": ('{"embedding_scale": 1e999}', "too large"),
    "words for numbers": (with_config(head_channels="64"), "head_channels"),
    "true for numbers": (with_config(head_channels=True), "head_channels"),
    "half a head": (with_config(head_channels=1.5), "head_channels"),
    "a number for a list": (with_config(block_out_channels=64), "block_out_channels"),
    "a list of lists": (with_config(block_out_channels=[[64], [64]]), "block_out_channels"),
    "no levels": (with_config(block_out_channels=[]), "block_out_channels|transformer_depth"),
    "many levels": (with_config(block_out_channels=[64] * 100), "block_out_channels"),
    "objects": (with_config(hint_widths={"a": 1}), "hint_widths"),
    "null": (with_config(base=None), "base"),
    "a base of 200 kB": (with_config(base="x" * 60000), "base"),
    "a base of two lines": (with_config(base="a\nb"), "base"),
    "negative levels": (with_config(detail_levels=[-1]), "detail_levels"),
    "a million detail tokens": (
        with_config(crop_size=2048, detail_levels=[0], pyramid_widths=[8, 8, 8]),
        "detail tokens",
    ),
    "an enormous text": ('{"base": "' + "x" * 10**6 + '"}', "JSON of 1000012 characters"),
}


@pytest.mark.parametrize("kind", FORGED_CONFIGS)
def test_forged_configurations_are_one_line_that_names_the_field(file, tmp_path, kind):
    config, named = FORGED_CONFIGS[kind]
    for version in range(1, checkpoint.VERSION + 1):
        path = rewritten(file, tmp_path / "c.safetensors", config=config, format_version=str(version))
        for read in (read_metadata, load):
            with pytest.raises(CheckpointError, match=named) as error:
                read(path)
            assert len(one_line(error, path)) < 300


def test_every_size_has_limits():
    from typing import get_args, get_type_hints

    hints = get_type_hints(HiFiNetConfig)
    numbers = {name for name, hint in hints.items() if {int, float} & {hint, *get_args(hint)}}
    assert numbers == set(LIMITS)


@pytest.mark.parametrize(
    "texts",
    [
        {"format_version": "9" * 5000},
        {"format_version": "-1"},
        {"format_version": "x" * 200000},
        {"provenance": "[" * 100000},
        {"provenance": "[]"},
    ],
    ids=["digits", "negative", "long", "deep", "list"],
)
def test_forged_texts_are_one_line(file, tmp_path, texts):
    path = rewritten(file, tmp_path / "c.safetensors", **texts)
    with pytest.raises(CheckpointError) as error:
        read_metadata(path)
    assert len(one_line(error, path)) < 300


def test_title_and_id_of_a_file_can_be_shown(file, tmp_path):
    path = rewritten(file, tmp_path / "c.safetensors", title="a\nb\x1b[31m", id="\u202e" + "x" * 10**5)
    info = read_metadata(path)
    assert info.title.isprintable()
    assert info.id.isprintable()
    assert len(info.id) <= 80
    assert load(path).checkpoint_id == info.id


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool])
def test_weights_that_are_no_real_numbers_are_named(file, tmp_path, dtype):
    path = rewritten(
        file,
        tmp_path / "c.safetensors",
        lambda s: {**s, "hifi_net.conv_in.bias": torch.ones(32, dtype=dtype)},
    )
    with pytest.raises(CheckpointError, match=r"not real: hifi_net\.conv_in\.bias") as error:
        load(path)
    one_line(error, path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e6])
def test_weights_that_are_no_numbers_are_named(file, tmp_path, dtype, value):
    def spoil(state):
        state = {name: tensor.to(dtype) for name, tensor in state.items()}
        state["hifi_net.conv_in.weight"].flatten()[7] = value
        return state

    path = rewritten(file, tmp_path / "c.safetensors", spoil)
    with pytest.raises(CheckpointError, match=r"hifi_net\.conv_in\.weight holds numbers from") as error:
        load(path)
    assert len(one_line(error, path)) < 300


@pytest.mark.skipif(os.name == "nt", reason="file names in bytes")
def test_a_name_that_is_not_utf8_is_named_readably(tmp_path):
    path = tmp_path / os.fsdecode(b"Fran\xe7ois.safetensors")
    with pytest.raises(CheckpointError, match=r"Fran\\xe7ois\.safetensors: there is no such file"):
        read_metadata(path)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_weights_of_one_byte_are_read_and_checked(small, tmp_path, dtype):
    path = tmp_path / "byte.safetensors"
    save(path, small, SMALL, dtype=dtype)
    assert {p.dtype for p in load(path).parameters()} == {dtype}
    full = load(path, dtype=torch.float32)
    wanted = small.hifi_net.conv_in.weight
    assert (full.hifi_net.conv_in.weight - wanted).abs().max() < 0.13 * wanted.abs().max()

    state = {key: value.clone() for key, value in small.state_dict().items()}
    state["hifi_net.conv_in.weight"][0, 0, 0, 0] = float("nan")
    save(path, state, SMALL, dtype=dtype)
    with pytest.raises(CheckpointError, match="numbers from nan to nan") as error:
        load(path)
    assert "hifi_net.conv_in.weight" in one_line(error, path)

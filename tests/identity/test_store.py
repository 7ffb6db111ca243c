"""Identities as files: kept exactly, atomically, and never outside of their folder."""

import json
import os
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hifi_portrait.boundary.files import SaveError
from hifi_portrait.boundary.licences import FileLicence, read_licences
from hifi_portrait.boundary.saved import check_name
from hifi_portrait.identity.store import (
    list_identities,
    load_identity,
    save_identity,
)
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def test_what_is_saved_is_loaded(identity, tmp_path):
    path = save_identity(identity, tmp_path / "identities", "The person (2)")
    again = load_identity(path)
    for name in ("tokens", "embedding"):
        assert getattr(again, name).equal(getattr(identity, name))
    for name in ("tokens", "coords", "bias"):
        assert getattr(again.detail, name).equal(getattr(identity.detail, name))
    assert np.array_equal(again.shape, identity.shape)
    assert np.array_equal(again.expression, identity.expression)
    for name in ("recognizer", "checkpoint", "sources", "weights", "fingerprint"):
        assert getattr(again, name) == getattr(identity, name)
    assert list_identities(path.parent) == ["The person (2)"]
    assert [p.name for p in path.parent.iterdir()] == ["The person (2).safetensors"]


def test_only_what_is_documented_is_in_the_file(identity, tmp_path):
    with safe_open(str(save_identity(identity, tmp_path, "a")), "pt") as file:
        assert set(file.keys()) == {
            "tokens", "detail.tokens", "detail.coords", "detail.bias", "detail.texture", "embedding",
            "shape", "expression",
        }  # fmt: skip


def test_an_identity_of_the_same_name_can_be_kept(identity, tmp_path):
    assert save_identity(identity, tmp_path, "a").stem == "a"
    assert save_identity(identity, tmp_path, "a").stem == "a"
    assert save_identity(identity, tmp_path, "a", overwrite=False).stem == "a 2"
    assert save_identity(identity, tmp_path, "a", overwrite=False).stem == "a 3"
    assert list_identities(tmp_path) == ["a", "a 2", "a 3"]
    assert list_identities(tmp_path / "none") == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/etc/x",
        "C:x",
        "nul",
        "COM1.x",
        "a\nb",
        "a\0b",
        "x" * 200,
        "a.",
        "-*",
    ],
)
def test_names_never_leave_the_folder(identity, tmp_path, name):
    with pytest.raises(ValueError, match="cannot name an identity") as error:
        save_identity(identity, tmp_path, name)
    assert "use up to 100 letters" in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "clean"), [("Åsa", "Åsa"), (" b ", "b"), ("c.safetensors", "c"), ("山田", "山田")]
)
def test_names_of_people_are_fine(name, clean):
    assert check_name(name, "an identity") == clean


def test_nothing_is_left_of_a_failed_save(identity, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("hifi_portrait.identity.store.save_file", fail)
    with pytest.raises(SaveError, match=r"cannot save a\.safetensors in .*disk full"):
        save_identity(identity, tmp_path, "a")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_hold_files_is_named(identity, tmp_path):
    (tmp_path / "identities").write_text("a file")
    with pytest.raises(SaveError, match=r"cannot save a\.safetensors in .*identities: ") as caught:
        save_identity(identity, tmp_path / "identities", "a")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_only_the_owner_reads_biometric_data(identity, tmp_path):
    assert save_identity(identity, tmp_path, "a").stat().st_mode & 0o777 == 0o600


def test_the_length_of_a_name_is_counted_in_bytes(identity, tmp_path):
    assert save_identity(identity, tmp_path, "写" * 80).is_file()
    with pytest.raises(ValueError, match="it has 252 bytes, a file's name at most 243"):
        save_identity(identity, tmp_path, "写" * 84)
    with pytest.raises(ValueError, match="cannot name an identity"):
        check_name("写" * 81 + "x", "an identity")


def test_bad_files_are_named(identity, tmp_path):
    good = save_identity(identity, tmp_path, "good")

    def message(name):
        with pytest.raises(ValueError) as error:  # noqa: PT011 - the text is looked at
            load_identity(tmp_path / name)
        text = str(error.value)
        assert text.startswith(f"{name}: ")
        assert "\n" not in text
        return text

    assert "no such identity" in message("gone.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:-100])
    assert "damaged" in message("cut.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    assert "not a saved identity" in message("other.safetensors")
    (tmp_path / "bomb.safetensors").write_bytes(b"\x80\x04not a tensor file")
    assert "damaged" in message("bomb.safetensors")
    save_file(
        {"x": torch.zeros(1)},
        tmp_path / "new.safetensors",
        metadata={"format": "hifi-portrait-identity", "format_version": "9"},
    )
    assert "update the pack" in message("new.safetensors")
    save_file(
        {"x": torch.zeros(1)},
        tmp_path / "part.safetensors",
        metadata={"format": "hifi-portrait-identity", "format_version": "1"},
    )
    assert "damaged" in message("part.safetensors")


def full(tensors, name, value):
    return {**tensors, name: torch.full_like(tensors[name], value)}


FORGED_TENSORS = {
    "NaN": lambda t: full(t, "tokens", float("nan")),
    "infinite": lambda t: full(t, "tokens", float("inf")),
    "too large for half precision": lambda t: full(t, "detail.tokens", 1e30),
    "a bias of +infinity": lambda t: full(t, "detail.bias", float("inf")),
    "tokens of one axis": lambda t: {**t, "tokens": t["tokens"].flatten()},
    "detail tokens of one axis": lambda t: {**t, "detail.tokens": t["detail.tokens"].flatten()},
    "fewer coordinates": lambda t: {**t, "detail.coords": t["detail.coords"][:, :10].contiguous()},
    "coordinates of two": lambda t: {**t, "detail.coords": t["detail.coords"][..., :2].contiguous()},
    "a texture that is no square": lambda t: {**t, "detail.texture": torch.zeros(1, 4, 16, 8)},
    "a batch of two": lambda t: {**t, "tokens": t["tokens"].repeat(2, 1, 1)},
    "an expression of three": lambda t: {**t, "expression": torch.zeros(3)},
    "an expression of 1000": lambda t: full(t, "expression", 1000.0),
    "a shape of 1e9": lambda t: full(t, "shape", 1e9),
    "whole numbers": lambda t: {**t, "tokens": t["tokens"].to(torch.int32)},
    "complex numbers": lambda t: {**t, "tokens": t["tokens"].to(torch.complex64)},
    "no tokens": lambda t: {**t, "tokens": torch.zeros(1, 0, 64)},
    "no embedding": lambda t: {k: v for k, v in t.items() if k != "embedding"},
}
FORGED_TEXTS = {
    "weights are words": {"weights": '["a", "b", "c"]'},
    "fewer weights": {"weights": "[1]"},
    "negative weights": {"weights": "[1, -1, 1]"},
    "weights are zero": {"weights": "[0, 0, 0]"},
    "weights are true": {"weights": "[true, true, true]"},
    "an endless weight": {"weights": "[1e999, 1, 1]"},
    "a weight of 5000 digits": {"weights": "[" + "9" * 5000 + ", 1, 1]"},
    "weights are NaN": {"weights": "[NaN, 1, 1]"},
    "deep sources": {"sources": "[" * 100000},
    "sources are numbers": {"sources": "[1, 2, 3]"},
    "sources are no list": {"sources": '"a"'},
    "sources are nothing": {"sources": ""},
    "a version of 200 kB": {"format_version": "x" * 200000},
    "a recognizer of 200 kB": {"recognizer": "x" * 200000},
    "a checkpoint of two lines": {"checkpoint": "a\nb"},
    "a fingerprint that cannot be shown": {"fingerprint": "\x1b[31m"},
}


@pytest.fixture
def saved(identity, tmp_path):
    """Tensors and texts of a good file."""
    path = save_identity(identity, tmp_path, "good")
    with safe_open(str(path), "pt") as file:
        return load_file(path), file.metadata()


@pytest.mark.parametrize("kind", [*FORGED_TENSORS, *FORGED_TEXTS])
def test_forged_files_are_refused_in_one_line(saved, tmp_path, kind):
    tensors, texts = saved
    tensors = FORGED_TENSORS[kind](tensors) if kind in FORGED_TENSORS else tensors
    save_file(tensors, tmp_path / "f.safetensors", metadata={**texts, **FORGED_TEXTS.get(kind, {})})
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"^f\.safetensors: .*save the identity again") as caught:
        load_identity(tmp_path / "f.safetensors")
    text = str(caught.value)
    assert len(text) < 300
    assert text.isprintable()
    assert time.monotonic() - started < 10


def test_a_missing_text_is_named(saved, tmp_path):
    tensors, texts = saved
    del texts["fingerprint"]
    save_file(tensors, tmp_path / "f.safetensors", metadata=texts)
    with pytest.raises(ValueError, match="fingerprint"):
        load_identity(tmp_path / "f.safetensors")


def test_names_of_pictures_out_of_a_file_can_be_shown(saved, tmp_path):
    tensors, texts = saved
    names = ["a\ud800\x1b.jpg", "x" * 10000, "b"]
    save_file(tensors, tmp_path / "f.safetensors", metadata={**texts, "sources": json.dumps(names)})
    loaded = load_identity(tmp_path / "f.safetensors")
    assert loaded.sources[0] == "a\\ud800\\x1b.jpg"
    assert loaded.describe().replace("\n", "").isprintable()
    assert len(loaded.describe()) < 400


def test_half_precision_is_read(saved, tmp_path):
    tensors, texts = saved
    tensors = {name: tensor.half() for name, tensor in tensors.items()}
    save_file(tensors, tmp_path / "f.safetensors", metadata=texts)
    assert load_identity(tmp_path / "f.safetensors").shape.dtype == np.float32


def test_other_tensors_in_the_file_are_not_read(saved, tmp_path):
    tensors, texts = saved
    save_file({**tensors, "extra": torch.zeros(10, dtype=torch.int64)}, tmp_path / "f.safetensors", texts)
    assert load_identity(tmp_path / "f.safetensors").describe()


def test_licences_and_consent_are_kept(identity, tmp_path):
    licences = (FileLicence("a.onnx", "MIT", True), FileLicence("antelopev2", "research", False))
    given = replace(identity, licences=licences, consent="Anna, 2026-01-02,\nby mail")
    loaded = load_identity(save_identity(given, tmp_path, "anna"))
    assert loaded.licences == licences
    assert loaded.consent == "Anna, 2026-01-02, by mail"
    assert "NOT allowed by antelopev2" in loaded.describe()
    assert "consent: Anna" in loaded.describe()
    again = save_identity(loaded, tmp_path, "anna", consent="withdrawn")
    assert load_identity(again).consent == "withdrawn"
    assert read_licences(again, "identity") == licences
    with pytest.raises(ValueError, match="2001 characters"):
        save_identity(given, tmp_path, "anna", consent="x" * 2001)


def test_files_from_before_licences_load_and_say_so(identity, tmp_path):
    path = save_identity(identity, tmp_path, "anna")
    with safe_open(str(path), "pt") as file:
        texts = {k: v for k, v in file.metadata().items() if k not in ("licences", "consent")}
    save_file(load_file(path), path, metadata=texts)
    loaded = load_identity(path)
    assert loaded.consent == ""
    assert "not known for identity anna (licences were not recorded)" in loaded.describe()


def test_a_head_that_lacks_a_part_is_damaged(identity, tmp_path):
    """A head in an identity is whole or not there."""
    from hifi_portrait.head.light import TERMS
    from hifi_portrait.head.model import HeadModel
    from hifi_portrait.head.records import Head

    model = HeadModel.load()
    head = Head(
        geometry=model.mean.astype(np.float32),
        shape=np.zeros(48, np.float32),
        expression=np.zeros(52, np.float32),
        texture=np.full((256, 256, 3), 120, np.uint8),
        opacity=np.full((256, 256), 255, np.uint8),
        confidence=np.full((256, 256), 200, np.uint8),
        light=np.zeros((TERMS, 3), np.float32),
        sources=("a",),
        shares=(1.0,),
    )
    path = save_identity(replace(identity, head=head), tmp_path, "with a head")
    back = load_identity(path).head
    assert np.array_equal(back.texture, head.texture)
    assert back.sources == ("a",)
    with safe_open(str(path), "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys() if key != "head.opacity"}  # noqa: SIM118
        texts = file.metadata()
    save_file(tensors, path, metadata=texts)
    with pytest.raises(ValueError, match=r"damaged \(its head has no opacity\)"):
        load_identity(path)

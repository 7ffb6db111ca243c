"""Identities as files: kept exactly, atomically, and never outside of their folder."""

import numpy as np
import pytest
import torch
from hifi_portrait.identity.store import check_name, list_identities, load_identity, save_identity
from safetensors import safe_open
from safetensors.torch import save_file


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
    assert check_name(name) == clean


def test_nothing_is_left_of_a_failed_save(identity, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("hifi_portrait.identity.store.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_identity(identity, tmp_path, "a")
    assert list(tmp_path.iterdir()) == []


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

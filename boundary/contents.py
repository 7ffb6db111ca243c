"""What a tensor file has to hold, as a table, and the check of a file against it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .tensors import BadTensorFileError, Header, read_header, read_tensors

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Expected:
    """One tensor that a file has to hold.

    Attributes
    ----------
    shape : tuple of int or str
        A number stands for itself, a name for one length that is the same wherever the name is used.
    low, high : float
        Every number lies between them; NaN never does.
    minus_infinity : bool
        -inf is allowed too.
    optional : bool
        The file may lack it.
    eight_bit : bool
        It holds whole numbers of 0 to 255 instead of floating-point ones.
    """

    shape: tuple[int | str, ...]
    low: float
    high: float
    minus_infinity: bool = False
    optional: bool = False
    eight_bit: bool = False


def read_expected(
    path: str | Path, expected: Mapping[str, Expected], longest: Mapping[str, tuple[int, int]]
) -> tuple[Header, dict[str, Tensor]]:
    """Read the tensors of a table out of a safetensors file; others in it are left alone.

    Types and shapes are checked by the header alone, before any tensor is read.

    Parameters
    ----------
    path : str or Path
        The file.
    expected : mapping
        By name of the tensor.
    longest : mapping
        By name of a length: the least and the most that it may be.

    Returns
    -------
    tuple
        Header and copies of the tensors: one that maps the file would keep Windows from replacing it.

    Raises
    ------
    BadTensorFileError
        Half a line that names the tensor. Nothing else is ever raised.
    """
    header = read_header(path)
    check_header(header, expected, longest)
    _, tensors = read_tensors(path, [name for name in expected if name in header.tensors])
    for name, tensor in tensors.items():
        problem = _values(tensor, expected[name])
        if problem:
            raise BadTensorFileError(f"{name} {problem}")
    return header, {name: tensor.clone() for name, tensor in tensors.items()}


def check_header(
    header: Header, expected: Mapping[str, Expected], longest: Mapping[str, tuple[int, int]]
) -> None:
    """Raise BadTensorFileError where types or shapes are not those of the table."""
    lengths: dict[str, int] = {}
    for name, wanted in expected.items():
        found = header.tensors.get(name)
        if found is None:
            if wanted.optional:
                continue
            raise BadTensorFileError(f"{name} is missing")
        if wanted.eight_bit and found.dtype != "U8":
            raise BadTensorFileError(f"{name} holds {found.dtype}, not whole numbers of 8 bits")
        if not wanted.eight_bit and not found.floating:
            raise BadTensorFileError(f"{name} holds {found.dtype}, not floating-point numbers")
        if len(found.shape) != len(wanted.shape):
            raise BadTensorFileError(f"{name} has {len(found.shape)} axes instead of {len(wanted.shape)}")
        for length, axis in zip(found.shape, wanted.shape, strict=True):
            right = axis if isinstance(axis, int) else lengths.setdefault(axis, length)
            if length != right:
                raise BadTensorFileError(f"{name} has a side of {length} instead of {right}")
            if isinstance(axis, str) and not longest[axis][0] <= length <= longest[axis][1]:
                low, high = longest[axis]
                raise BadTensorFileError(f"{name} has a side of {length}, not {low} to {high}")


def _values(tensor: Tensor, wanted: Expected) -> str | None:
    import torch

    values = tensor.float()
    if wanted.minus_infinity:
        values = torch.where(values == -math.inf, torch.full_like(values, wanted.low), values)
    if bool(torch.isnan(values).any()):
        return "holds what is not a number (NaN)"
    if values.numel() and not (wanted.low <= float(values.min()) and float(values.max()) <= wanted.high):
        return f"holds numbers that are not between {wanted.low:g} and {wanted.high:g}"
    return None

"""JSON that others wrote, read with limits."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from .text import reason

LONGEST = 16 << 20
"""Characters of JSON that are read unless the caller says otherwise."""
DEEPEST = 32
"""Levels of nesting; nothing that this pack writes has more than four."""
_LARGEST = 1 << 53


class BadJsonError(ValueError):
    """A text that is not JSON within the limits; half a line, to stand after "is"."""


def parse_json(text: str, longest: int = LONGEST, deepest: int = DEEPEST) -> Any:
    """Read JSON; numbers are finite, and whole numbers exact as floats.

    Parameters
    ----------
    text : str
        The JSON.
    longest : int
        Most characters.
    deepest : int
        Most levels of lists and objects within each other.

    Raises
    ------
    BadJsonError
        Not JSON, too long, nested too deeply, or with a number beyond 2**53 or without an end. Nothing else
        is ever raised.
    """
    if len(text) > longest:
        raise BadJsonError(f"JSON of {len(text)} characters, more than {longest}")
    try:
        value = json.loads(text, parse_int=_whole, parse_float=_real, parse_constant=_constant)
    except BadJsonError:
        raise
    except RecursionError:
        raise BadJsonError(f"nested more than {deepest} levels deep") from None
    except ValueError as error:
        raise BadJsonError(f"not JSON: {reason(error)}") from None
    level = [value]
    for _ in range(deepest + 1):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return value
    raise BadJsonError(f"nested more than {deepest} levels deep")


def _whole(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > _LARGEST:
        raise BadJsonError(f"not usable: the number {digits[:8]}... is too large")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise BadJsonError(f"not usable: the number {digits[:12]} is too large")
    return value


def _constant(word: str) -> NoReturn:
    raise BadJsonError(f"not usable: {word} is not a number")

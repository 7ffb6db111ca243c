"""Configurations that others wrote: the types and ranges of a dataclass's fields, checked by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from .parse import BadJsonError, parse_json
from .text import echoed, name, printable

_LONGEST_TEXT = 64
LONGEST_JSON = 1 << 16
"""Characters of a configuration."""

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """Between what a number lies, or every number of a list; and how many entries a list may have."""

    low: float
    high: float
    most: int = 8


def check_fields(instance: object, limits: Mapping[str, Limits], what: str = "configuration") -> None:
    """Check the fields of a dataclass: ``int``, ``float``, ``bool``, ``str`` and tuples of one of them.

    Parameters
    ----------
    instance : object
        A dataclass; every number of it has an entry in ``limits``.
    limits : mapping
        By name of the field.
    what : str
        What messages call it.

    Raises
    ------
    ValueError
        One line that names the field: of another type, beyond its limits, or a text that is long or cannot
        be shown.
    """
    hints = _hints(type(instance))  # type: ignore[arg-type]  # classes are hashable
    for item in fields(instance):  # type: ignore[arg-type]
        value, hint = getattr(instance, item.name), hints[item.name]
        many = get_origin(hint) is tuple
        kind = get_args(hint)[0] if many else hint
        if many and not isinstance(value, tuple):
            raise ValueError(f"{what}: {item.name} must be a list, it is {echoed(value)}")
        entries = value if many else (value,)
        limit = limits.get(item.name)
        most = limit.most if limit is not None else 8
        if many and len(entries) > most:
            raise ValueError(f"{what}: {item.name} has {len(entries)} entries, at most {most} are possible")
        for entry in entries:
            problem = _problem(entry, kind, limit)
            if problem:
                raise ValueError(f"{what}: {item.name} {problem}, it is {echoed(entry)}")


def from_json(cls: type[T], text: str, what: str = "configuration") -> T:
    """Make a dataclass of a JSON object; lists become tuples, and what the dataclass checks is checked.

    Raises
    ------
    ValueError
        Not a JSON object, unknown or missing fields, or what the dataclass itself refuses; one line.
    """
    try:
        data = parse_json(text, LONGEST_JSON, deepest=3)
    except BadJsonError as error:
        raise ValueError(f"{what} is {error}") from None
    if not isinstance(data, dict):
        raise ValueError(f"{what} is not a JSON object")
    known = {item.name for item in fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - known)
    if unknown:
        raise ValueError(f"{what} has unknown fields: {', '.join(map(name, unknown[:3]))}")
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in data.items()}
    try:
        return cls(**values)
    except TypeError as error:  # a field without a default is missing
        raise ValueError(f"{what}: {name(error)}") from None


@lru_cache(maxsize=64)
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _problem(value: object, kind: type, limit: Limits | None) -> str | None:
    if kind is bool:
        return None if isinstance(value, bool) else "must be true or false"
    if kind is str:
        fine = isinstance(value, str) and value == printable(value, _LONGEST_TEXT)
        return None if fine else f"must be a text of at most {_LONGEST_TEXT} characters"
    assert limit is not None, "every number has limits"
    whole = kind is int
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return f"must be a {'whole ' if whole else ''}number"
    assert isinstance(value, (int, float))
    if not (math.isfinite(value) and limit.low <= value <= limit.high):
        return f"must lie between {limit.low:g} and {limit.high:g}"
    return None

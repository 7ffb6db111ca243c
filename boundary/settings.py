"""Nested frozen dataclasses out of JSON or TOML: unknown keys and wrong types are refused by name."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from .parse import BadJsonError, parse_json
from .text import echoed, name, reason

_LONGEST = 1 << 20


def read_settings(path: Path) -> dict[str, Any]:
    """Read a file of settings: TOML where its name ends so, else JSON.

    Raises
    ------
    ValueError
        One line: the file is missing, or holds no object of JSON or TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = _toml(text) if path.suffix.lower() == ".toml" else parse_json(text, _LONGEST)
    except BadJsonError as error:
        raise ValueError(f"{name(path.name)} is {error}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{name(path.name)} cannot be read: {reason(error)}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{name(path.name)} must hold an object of settings")
    return content


def _toml(text: str) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        raise ValueError("TOML needs Python 3.11; write the same settings as JSON") from None
    content: dict[str, Any] = tomllib.loads(text)
    return content


def merge_settings(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``low`` with what ``high`` states; objects are merged key by key."""
    merged = dict(low)
    for key, value in high.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = merge_settings(old, value) if both else value  # type: ignore[arg-type]
    return merged


def build_settings(
    kind: type,
    content: Mapping[str, Any],
    where: str,
    special: Mapping[str, Callable[[Any, str], Any]] | None = None,
) -> Any:
    """Return a (nested) dataclass of what JSON or TOML holds.

    Parameters
    ----------
    kind : type
        A dataclass; its fields are dataclasses, ``int``, ``float``, ``bool``, ``str``, those or None, or
        tuples of numbers or of texts.
    content : mapping
        What the file holds.
    where : str
        What messages call it.
    special : mapping, optional
        Readers of fields of ``kind`` itself that are of none of these types.

    Raises
    ------
    ValueError
        One line that names the file and the key.
    """
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(content) - set(hints))
    if unknown:
        known = ", ".join(sorted(hints))
        raise ValueError(f"{where}: unknown keys {', '.join(map(name, unknown))}; known are {known}")
    values: dict[str, Any] = {}
    for key, value in content.items():
        path = f"{where}: {key}"
        if special and key in special:
            values[key] = special[key](value, path)
        elif is_dataclass(hints[key]):
            if not isinstance(value, dict):
                raise ValueError(f"{path} is a group of settings, not {echoed(value)}")
            values[key] = build_settings(hints[key], value, path)  # type: ignore[arg-type]
        else:
            values[key] = _checked(value, hints[key], path)
    return kind(**values)


def _checked(value: Any, hint: Any, where: str) -> Any:
    """Return a plain value if it is of the field's type; whole numbers pass for floats."""
    if typing.get_origin(hint) is tuple:
        texts = typing.get_args(hint)[0] is str
        wanted = str if texts else (int, float)
        if isinstance(value, list | tuple) and all(isinstance(v, wanted) for v in value):
            return tuple(value)
        raise ValueError(f"{where} is a list of {'texts' if texts else 'numbers'}, not {echoed(value)}")
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and types.NoneType in kinds:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if (float in kinds and number) or any(type(value) is kind for kind in kinds):
        return value
    names = " or ".join("null" if kind is types.NoneType else kind.__name__ for kind in kinds)
    raise ValueError(f"{where} must be {names}, not {echoed(value)}")

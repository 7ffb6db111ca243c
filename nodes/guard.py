"""The edge of every node: linked values are checked, and errors can be shown and logged."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from comfy_api.latest import io

from ..boundary.text import LONGEST_MESSAGE, echoed, name, printable
from ..faces.files import MissingModelFileError
from ..faces.runtime import MissingPackageError
from .sockets import socket_problem

_PACK = str(Path(__file__).resolve().parent.parent)
_WITH_A_COMMAND = (MissingModelFileError, MissingPackageError)
"""Errors that carry a command to copy, which must not be cut."""


def guarded(nodes: list[type[io.ComfyNode]]) -> list[type[io.ComfyNode]]:
    """Guard what the host calls on each node; the classes are changed in place.

    ``execute`` checks its values: the host checks what is typed into widgets, except for NaN, nothing of what
    is linked to them, and nothing of what a prompt holds in place of a link. Whatever ``execute``,
    ``validate_inputs`` and ``fingerprint_inputs`` raise has a text that the host can write to its log: one
    that it cannot encode would end its only worker thread. Our own messages become one line of at most
    `LONGEST_MESSAGE` characters.
    """
    for node in nodes:
        for method in ("execute", "validate_inputs", "fingerprint_inputs"):
            if method in vars(node):
                setattr(node, method, classmethod(_guard(node, vars(node)[method].__func__)))
    return nodes


def _guard(node: type[io.ComfyNode], function: Callable[..., Any]) -> Callable[..., Any]:
    described: list[io.Schema] = []
    needed = [
        parameter.name
        for parameter in list(inspect.signature(function).parameters.values())[1:]
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]

    @functools.wraps(function)
    def call(cls: type[io.ComfyNode], *args: Any, **kwargs: Any) -> Any:
        try:
            if function.__name__ == "execute":
                if not described:
                    described.append(node.define_schema())
                _check_values(node, described, kwargs)
            if function.__name__ == "validate_inputs":
                # What is missing or no value at all, the host tells by itself; it asks all the same.
                kwargs = {**dict.fromkeys(needed[len(args) :]), **kwargs}
                if any(isinstance(value, list | dict) for value in kwargs.values()):
                    return "an input holds a list or an object where one value belongs; set it again"
            answer = function(cls, *args, **kwargs)
        except Exception as error:
            _make_presentable(error)
            raise
        if function.__name__ == "validate_inputs" and isinstance(answer, str):
            return printable(answer, LONGEST_MESSAGE)
        return answer

    # The host reads the names of the parameters without looking through wrappers.
    call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return call


def _check_values(node: type[io.ComfyNode], described: list[io.Schema], values: dict[str, Any]) -> None:
    schema = described[0]
    for item in schema.inputs:
        if item.id not in values:
            continue
        given = values[item.id]
        # Nodes that take lists get one for every input.
        for value in given if schema.is_input_list and isinstance(given, list) else [given]:
            problem = _problem(item, value)
            if problem and isinstance(item, io.Combo.Input):
                # A new file may have joined the list since the node was described.
                described[0] = node.define_schema()
                fresh = next(new for new in described[0].inputs if new.id == item.id)
                problem = _problem(fresh, value)
            if problem:
                raise ValueError(f"{schema.display_name}: {item.id} {problem}")


def _problem(item: Any, value: Any) -> str | None:
    """Return what is wrong with the value of a widget or socket, None when nothing is."""
    if value is None and item.optional:
        return None
    if isinstance(item, io.Int.Input | io.Float.Input):
        whole = isinstance(item, io.Int.Input)
        kind = numbers.Integral if whole else numbers.Real
        if isinstance(value, bool) or not isinstance(value, kind):
            return f"must be a {'whole ' if whole else ''}number, it is {echoed(value)}"
        if not isinstance(value, numbers.Integral) and not math.isfinite(value):
            return f"must be a finite number, it is {value}"
        if (item.min is not None and value < item.min) or (item.max is not None and value > item.max):
            return f"must lie between {item.min} and {item.max}, it is {echoed(value)}"
    if isinstance(item, io.String.Input) and not isinstance(value, str):
        return f"must be a text, it is {echoed(value)}"
    if isinstance(item, io.Boolean.Input) and not isinstance(value, bool):
        return f"must be on or off, it is {echoed(value)}"
    if isinstance(item, io.Combo.Input) and not (isinstance(value, str) and value in item.options):
        return f"{echoed(value)} is not one of {name(', '.join(map(str, item.options)))}"
    return socket_problem(item.get_io_type(), value)


def _make_presentable(error: Exception) -> None:
    if _ours(error) and not isinstance(error, _WITH_A_COMMAND):
        _retell(error, LONGEST_MESSAGE)
    try:
        "".join(traceback.format_exception(error)).encode("utf-8")
    except UnicodeEncodeError:
        link: BaseException | None = error
        while link is not None:
            _retell(link, None)
            link = link.__cause__ or link.__context__


def _ours(error: Exception) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and str(Path(frames[-1].filename).resolve()).startswith(_PACK)


def _retell(error: BaseException, limit: int | None) -> None:
    text = str(error)
    shown = printable(text, limit)
    if shown != text:
        error.args = (shown,)

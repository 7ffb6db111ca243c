"""Text that is safe to show: names of files, echoed inputs, and reasons out of other libraries.

A file name that is not UTF-8, or a lone surrogate in a workflow, is a Python string that no stream can
encode: a message that carries it ends the host's only worker thread while it is logged. Control characters
and overrides of the writing direction can make a message look like another one. So every text that others
determine passes `printable` before it leaves the pack.
"""

from __future__ import annotations

import unicodedata

LONGEST_MESSAGE = 299
"""Characters in one error message, *ours*: more does not fit a dialog, and less may cut a path."""
_LONGEST_NAME = 80
_LONGEST_REASON = 140
_ELLIPSIS = "..."
# Controls, formats (direction overrides, zero width), surrogates, what has no character, line separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})


def printable(value: object, limit: int | None = None) -> str:
    r"""Return a text on one line that every stream can encode.

    Parameters
    ----------
    value : object
        Text, or anything with a ``str``.
    limit : int, optional
        Longest result, characters; longer texts lose their middle. None: as long as it is.

    Returns
    -------
    str
        Lone surrogates, control and format characters are written as escapes (``\xe7`` for the byte of a
        name that is not UTF-8), line breaks, tabs and blanks of other widths as blanks: ``isprintable``.
    """
    try:
        text = str(value)
    except Exception as error:  # an object of somebody else's
        text = f"<{type(value).__name__} without a text: {type(error).__name__}>"
    if limit is not None and len(text) > 4 * limit:
        text = text[: 2 * limit] + text[-2 * limit :]
    if not text.isprintable():
        text = "".join(map(_shown, text))
    return text if limit is None else shortened(text, limit)


def shortened(text: str, limit: int) -> str:
    """Return the text, or its two ends with an ellipsis between them, ``limit`` characters long."""
    if len(text) <= limit:
        return text
    keep = max(0, limit - len(_ELLIPSIS))
    tail = keep // 3
    return text[: keep - tail] + _ELLIPSIS + (text[-tail:] if tail else "")


def name(value: object) -> str:
    """Return a file's or model's name for a message."""
    return printable(value, _LONGEST_NAME)


def echoed(value: object) -> str:
    """Return somebody's input for a message: quoted where it is a text, and never long."""
    if isinstance(value, str):
        return f"'{name(value)}'"
    try:
        return printable(repr(value), _LONGEST_NAME)
    except Exception:  # a number of more digits than Python writes, or an object of somebody else's
        return f"a {type(value).__name__}"


def reason(error: BaseException) -> str:
    """Return another library's error as half a line: the first line of its text, or its type."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:
        lines = []
    return printable(lines[0] if lines else type(error).__name__, _LONGEST_REASON)


def _shown(character: str) -> str:
    if character in "\n\r\t":
        return " "
    code = ord(character)
    category = unicodedata.category(character)
    if category == "Zs":  # blanks of other widths
        return " "
    if category not in _HIDDEN:
        return character
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

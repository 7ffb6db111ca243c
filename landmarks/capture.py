"""Face capture data: Live Link Face CSV and ARKit JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..boundary import text as shown
from ..boundary.parse import BadJsonError, parse_json
from .model import FaceModel
from .target import Target

MAX_FRAMES = 4096
LONGEST = 1 << 25
"""Characters of a capture: several times what `MAX_FRAMES` of all coefficients take."""
_LARGEST_ANGLE = 100.0
"""Radians; a recording of a head that was turned on and on stays far below."""
_HEAD = ("HeadYaw", "HeadPitch", "HeadRoll")


def coefficients_from_json(text: str, model: FaceModel, source: str = "arkit_json") -> dict[str, float]:
    """Read one face's ``{"jawOpen": 0.4, ...}``.

    Parameters
    ----------
    text : str
        JSON; an empty text is nothing.
    model : FaceModel
        For the names.
    source : str
        What messages call the text.

    Raises
    ------
    ValueError
        Not JSON, no object, an unknown name or a value that is no number; the message says which.
    """
    if not text.strip():
        return {}
    source = shown.name(source)
    data = _parse_json(text, source)
    if not isinstance(data, dict):
        raise ValueError(f'{source} must be an object of names and numbers, like {{"jawOpen": 0.4}}')
    return _coefficients(data, model, source)


def target_from_capture(
    text: str, model: FaceModel, source: str = "capture"
) -> tuple[Target, tuple[str, ...]]:
    """Read a sequence: a Live Link Face CSV, or JSON with one ARKit object per frame.

    The CSV is what Epic's Live Link Face app saves: a column for each ARKit name (any capitals), ``HeadYaw``,
    ``HeadPitch``, ``HeadRoll`` in radians, others ignored. The JSON is one object, a list of objects, or
    ``{"frames": [...]}``.

    Parameters
    ----------
    text : str
        The file's content.
    model : FaceModel
        For the names.
    source : str
        What messages call the file.

    Returns
    -------
    target : Target
        One row for each frame; pose in degrees, 0 where the capture has none.
    notes : tuple[str, ...]
        Missing columns, and frames beyond `MAX_FRAMES`.

    Raises
    ------
    ValueError
        Nothing usable in it, or a value that is no number; the message says where.
    """
    source = shown.name(source)
    text = text.lstrip("\ufeff \t\r\n")
    if len(text) > LONGEST:
        raise ValueError(f"{source} has {len(text)} characters, at most {LONGEST} are read; cut it")
    if not text.strip():
        raise ValueError(f"{source} is empty; give a Live Link Face CSV or ARKit JSON")
    if text.lstrip()[0] in "[{":
        return _from_json(text, model, source)
    return _from_csv(text, model, source)


def _from_json(text: str, model: FaceModel, source: str) -> tuple[Target, tuple[str, ...]]:
    data = _parse_json(text, source)
    if isinstance(data, dict) and isinstance(data.get("frames"), list):
        data = data["frames"]
    frames = data if isinstance(data, list) else [data]
    if not frames or not all(isinstance(frame, dict) for frame in frames):
        raise ValueError(f"{source} must hold one object of ARKit names and numbers for each frame")
    rows = [
        model.coefficients(_coefficients(frame, model, f"{source}, frame {number + 1}"))
        for number, frame in enumerate(frames[:MAX_FRAMES])
    ]
    return Target(pose=np.zeros((len(rows), 3)), expression=np.array(rows)), _too_many(len(frames), source)


def _from_csv(text: str, model: FaceModel, source: str) -> tuple[Target, tuple[str, ...]]:
    reader = _rows(text, source)
    header = [name.strip().lower() for name in next(reader)]
    column = {name: header.index(name.lower()) for name in model.expression_names if name.lower() in header}
    if not column:
        raise ValueError(
            f"{source} has no ARKit column (EyeBlinkLeft, JawOpen, ...) in its first line; "
            "export it from Live Link Face as CSV"
        )
    head = {name: header.index(name.lower()) for name in _HEAD if name.lower() in header}
    notes = []
    missing = [name for name in model.expression_names if name not in column]
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        notes.append(f"{source} lacks {', '.join(missing[:4])}{more}: taken as 0")
    if len(head) < len(_HEAD):
        notes.append(f"{source} lacks {', '.join(n for n in _HEAD if n not in head)}: the head keeps still")

    expressions, poses, count = [], [], 0
    for number, row in enumerate(reader, start=2):
        if not any(cell.strip() for cell in row):
            continue
        count += 1
        if count > MAX_FRAMES:
            continue
        where = f"{source}, line {number}"
        frame = np.zeros(len(model.expression_names))
        for name, index in column.items():
            frame[model.expression_index[name]] = np.clip(_cell(row, index, name, where), 0.0, 1.0)
        expressions.append(frame)
        poses.append([_angle(row, head[name], name, where) if name in head else 0.0 for name in _HEAD])
    if not expressions:
        raise ValueError(f"{source} has a header and no frames")
    return Target(pose=np.array(poses), expression=np.array(expressions)), (*notes, *_too_many(count, source))


def _cell(row: list[str], index: int, name: str, where: str) -> float:
    cell = row[index] if index < len(row) else "nothing"
    try:
        result = float(cell)
    except ValueError:
        raise ValueError(f"{where}: {name} is {shown.echoed(cell)}, not a number") from None
    if not math.isfinite(result):
        raise ValueError(f"{where}: {name} is {result}, not a number")
    return result


def _angle(row: list[str], index: int, name: str, where: str) -> float:
    """Degrees of an angle in radians."""
    radians = _cell(row, index, name, where)
    if abs(radians) > _LARGEST_ANGLE:
        raise ValueError(f"{where}: {name} is {radians:g}, not an angle in radians")
    return math.degrees(radians)


def _rows(text: str, source: str) -> Iterator[list[str]]:
    """Rows of a CSV; what Python's reader refuses is one line."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        yield from reader
    except csv.Error as error:
        raise ValueError(
            f"{source}, line {reader.line_num}: {shown.reason(error)}; export it from Live Link Face as CSV"
        ) from None


def read_capture(path: Path, model: FaceModel) -> tuple[Target, tuple[str, ...]]:
    """Read a capture file; see `target_from_capture`.

    Raises
    ------
    ValueError
        There is no such file, it is too large or cannot be read, or as `target_from_capture`.
    """
    source = shown.name(path.name)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ValueError(f"capture_file: {shown.printable(path, 160)} is not a file")
        if size > LONGEST:
            raise ValueError(f"{source} has {size >> 20} MB, at most {LONGEST >> 20} are read; cut it")
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        raise ValueError(f"capture_file: there is no file {shown.printable(path, 160)}") from None
    except OSError as error:
        raise ValueError(f"{source} cannot be read: {shown.reason(error)}") from None
    return target_from_capture(text, model, path.name)


def _too_many(count: int, source: str) -> tuple[str, ...]:
    return (f"{source} has {count} frames: the first {MAX_FRAMES} are used",) if count > MAX_FRAMES else ()


def _parse_json(text: str, source: str) -> object:
    try:
        return parse_json(text, LONGEST, deepest=4)
    except BadJsonError as error:
        raise ValueError(f'{source} is {error}; write it like {{"jawOpen": 0.4}}') from None


def _coefficients(data: dict[str, object], model: FaceModel, source: str) -> dict[str, float]:
    values = {}
    for name, value in data.items():
        if name not in model.expression_index:
            raise ValueError(
                f"{source}: {shown.echoed(name)} is not an ARKit expression; "
                "names look like jawOpen, eyeBlinkLeft"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{source}: '{name}' must be a number from 0 to 1, got {shown.echoed(value)}")
        values[name] = float(value)
    return values

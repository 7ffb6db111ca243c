"""Face capture data: Live Link Face CSV and ARKit JSON."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np

from .model import FaceModel
from .target import Target

MAX_FRAMES = 4096
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
    text = text.lstrip("\ufeff")
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
    reader = csv.reader(io.StringIO(text))
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

        def value(name: str, index: int, row: list[str] = row, number: int = number) -> float:
            try:
                result = float(row[index])
            except (IndexError, ValueError):
                cell = row[index] if index < len(row) else "nothing"
                raise ValueError(f"{source}, line {number}: {name} is {cell!r}, not a number") from None
            if not math.isfinite(result):
                raise ValueError(f"{source}, line {number}: {name} is {result}, not a number")
            return result

        frame = np.zeros(len(model.expression_names))
        for name, index in column.items():
            frame[model.expression_index[name]] = np.clip(value(name, index), 0.0, 1.0)
        expressions.append(frame)
        poses.append([math.degrees(value(name, head[name])) if name in head else 0.0 for name in _HEAD])
    if not expressions:
        raise ValueError(f"{source} has a header and no frames")
    return Target(pose=np.array(poses), expression=np.array(expressions)), (*notes, *_too_many(count, source))


def _too_many(count: int, source: str) -> tuple[str, ...]:
    return (f"{source} has {count} frames: the first {MAX_FRAMES} are used",) if count > MAX_FRAMES else ()


def _parse_json(text: str, source: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f'{source} is not JSON ({error}); write it like {{"jawOpen": 0.4}}') from error


def _coefficients(data: dict[str, object], model: FaceModel, source: str) -> dict[str, float]:
    values = {}
    for name, value in data.items():
        if name not in model.expression_index:
            raise ValueError(
                f"{source}: '{name}' is not an ARKit expression; names look like jawOpen, eyeBlinkLeft"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{source}: '{name}' must be a number from 0 to 1, got {value!r}")
        values[name] = float(value)
    return values

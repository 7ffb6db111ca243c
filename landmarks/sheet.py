"""Sheets: the same person in several expressions, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .draw import draw
from .landmarks import FaceLandmarks3D, concatenate
from .model import FaceModel
from .sliders import SliderTable
from .target import generate_for


def expression_batch(
    model: FaceModel,
    presets: Sequence[str],
    width: int,
    height: int,
    shape: np.ndarray | None = None,
    strength: float = 1.0,
    head: dict[str, float] | None = None,
) -> tuple[FaceLandmarks3D, tuple[str, ...]]:
    """One face for each preset, as a batch.

    Parameters
    ----------
    model : FaceModel
        The 3D face.
    presets : Sequence[str]
        Names of presets; none means all of them.
    width, height : int
        Canvas of each face, px.
    shape : np.ndarray | None
        (K,) identity shape.
    strength : float
        Multiplies every slider of the presets.
    head : dict[str, float] | None
        Slider values added to every preset (yaw, pitch, roll) or replacing theirs (size).

    Returns
    -------
    landmarks : FaceLandmarks3D
        A batch in the order of the presets.
    labels : tuple[str, ...]
        The presets' labels.
    """
    table = SliderTable.load()
    chosen = [table.preset(name) for name in presets] if presets else list(table.presets)
    faces = []
    for preset in chosen:
        values = {name: value * strength for name, value in preset.values.items()}
        for name, value in (head or {}).items():
            values[name] = value if table.by_id[name].kind == "placement" else values.get(name, 0.0) + value
        faces.append(generate_for(model, values, width, height, shape))
    return concatenate(faces), tuple(preset.label for preset in chosen)


def grid(pictures: np.ndarray, labels: Sequence[str] = (), columns: int = 0, cell: int = 256) -> np.ndarray:
    """Arrange pictures in a labelled grid.

    Parameters
    ----------
    pictures : np.ndarray
        (B, H, W, 3) uint8.
    labels : Sequence[str]
        Text for each picture (ASCII), or none.
    columns : int
        0 chooses a grid near to square.
    cell : int
        Longer side of a picture in the grid, px.

    Returns
    -------
    np.ndarray
        (H', W', 3) uint8.
    """
    count, height, width, _ = pictures.shape
    columns = columns or int(np.ceil(np.sqrt(count)))
    scale = cell / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    rows = -(-count // columns)
    sheet = np.zeros((rows * size[1], columns * size[0], 3), np.uint8)
    for number, picture in enumerate(pictures):
        tile = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        if number < len(labels):
            cv2.putText(
                tile, labels[number], (5, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA
            )
        top, left = number // columns * size[1], number % columns * size[0]
        sheet[top : top + size[1], left : left + size[0]] = tile
    return sheet


def slider_sheet(model: FaceModel, shape: np.ndarray | None = None, cell: int = 160) -> np.ndarray:
    """Show every slider at -1, -0.5, 0, 0.5 and 1 of its useful range: one row each, in two columns of rows.

    Parameters
    ----------
    model : FaceModel
        The 3D face.
    shape : np.ndarray | None
        (K,) identity shape.
    cell : int
        Size of one face, px.

    Returns
    -------
    np.ndarray
        (H, W, 3) uint8.
    """
    steps = (-1.0, -0.5, 0.0, 0.5, 1.0)
    rows = []
    for slider in SliderTable.load().sliders:
        tiles = []
        for step in steps:
            values = {"scale": 1.6}
            if slider.id == "scale":
                values["scale"] = 2.0**step
            else:
                values[slider.id] = step * {"pose": 40.0, "placement": 0.5, "expression": 1.0}[slider.kind]
            tiles.append(draw(generate_for(model, values, 2 * cell, 2 * cell, shape))[0])
        labels = [f"{slider.id} {step:+g}" if step == steps[0] else f"{step:+g}" for step in steps]
        rows.append(grid(np.array(tiles), labels, len(steps), cell))
    rows += [np.zeros_like(rows[0])] * (len(rows) % 2)
    half = len(rows) // 2
    return np.hstack([np.vstack(rows[:half]), np.vstack(rows[half:])])


def captioned(pictures: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """Put lines of text under pictures, in a strip of its own.

    Parameters
    ----------
    pictures : np.ndarray
        (B, H, W, 3) uint8.
    lines : Sequence[str]
        What to write; long lines are wrapped, characters that the drawing font lacks become question marks.

    Returns
    -------
    np.ndarray
        (B, H + strip, W, 3) uint8; the pictures themselves where there is nothing to say.
    """
    if not lines:
        return pictures
    width = pictures.shape[2]
    scale = max(0.35, width / 1024 * 0.7)
    font, thick, room = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(scale * 1.6)), round(30 * scale)
    rows: list[str] = []
    for line in lines:
        row = ""
        for word in line.encode("ascii", "replace").decode().split():
            longer = f"{row} {word}".strip()
            if row and cv2.getTextSize(longer, font, scale, thick)[0][0] > width - room:
                rows.append(row)
                longer = word
            row = longer
        rows.append(row)
    strip = np.full((room * len(rows) + room // 2, width, 3), 28, np.uint8)
    for number, row in enumerate(rows):
        origin = (room // 2, room * (number + 1) - room // 6)
        cv2.putText(strip, row, origin, font, scale, (255, 210, 120), thick, cv2.LINE_AA)
    return np.concatenate([pictures, np.broadcast_to(strip, (len(pictures), *strip.shape))], axis=1)

"""The annotated picture of a comparison: every picture with its face marked and its figures below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..faces.drawing import ACCENT, CARD, FAINT, TEXT, Canvas, grade, wrap
from ..faces.pictures import NamedImage, UnreadableImage
from ..faces.thresholds import Threshold, threshold_for
from .compare import Compared, Comparison

_CARD = 300
_PICTURE = 276
_GAP = 14
_MARGIN = 24
_HEADER = 84
_ROW = 30


def comparison_sheet(comparison: Comparison, images: Sequence[NamedImage | UnreadableImage]) -> np.ndarray:
    """Draw the sheet.

    Parameters
    ----------
    comparison : Comparison
        As from `compare`.
    images : sequence
        The same pictures that were compared.

    Returns
    -------
    np.ndarray
        (H, W, 3) uint8 RGB.
    """
    threshold = threshold_for(comparison.recognizer)
    columns = max(min(len(images), 4), 2)
    width = 2 * _MARGIN + columns * _CARD + (columns - 1) * _GAP
    rows = -(-len(images) // columns)
    lines = max(len(_figures(item, threshold)) for item in comparison.pictures)
    card_height = 12 + _PICTURE + 34 + lines * _ROW + 6
    notes = [line for note in comparison.notes for line in wrap(note, 13, width - 2 * _MARGIN, 2)]
    height = _HEADER + rows * (card_height + _GAP) + len(notes) * 20 + _MARGIN - _GAP // 2
    canvas = Canvas(width, height)
    canvas.text(_MARGIN, 22, "Compared faces", 24, TEXT)
    summary = f"similarity {comparison.mean('similarity'):.2f}"
    if not np.isnan(held := comparison.mean("held_out")):
        summary += f"   to held-out photos {held:.2f}"
    if not np.isnan(angle := comparison.mean("pose_error")):
        summary += f"   pose off by {angle:.1f} degrees"
    summary += f"   recognizer {comparison.recognizer}, one person from {threshold.same:.2f}"
    canvas.text(_MARGIN, 52, summary, 13, FAINT, width=width - 2 * _MARGIN)
    for number, (item, image) in enumerate(zip(comparison.pictures, images, strict=True)):
        row, column = divmod(number, columns)
        x = _MARGIN + column * (_CARD + _GAP)
        y = _HEADER + row * (card_height + _GAP)
        canvas.panel(x, y, _CARD, card_height, CARD, 12)
        _picture(canvas, item, image, x + 12, y + 12)
        canvas.text(x + 12, y + _PICTURE + 20, item.name, 15, TEXT, width=_PICTURE)
        for line, (label, value, part) in enumerate(_figures(item, threshold)):
            py = y + _PICTURE + 46 + line * _ROW
            canvas.text(x + 12, py, label, 12, FAINT)
            canvas.text(x + 12 + _PICTURE, py, value, 12, TEXT, "ra")
            canvas.bar(x + 12, py + 17, _PICTURE, 4, part, grade(part))
    for number, line_text in enumerate(notes):
        canvas.text(_MARGIN, _HEADER + rows * (card_height + _GAP) + 20 * number, line_text, 13, FAINT)
    return canvas.finish()


def _figures(item: Compared, threshold: Threshold) -> list[tuple[str, str, float]]:
    """Label, value and bar (0..1, more is better) of every figure that was measured."""
    rows = [("similarity to the references", f"{item.similarity:.2f}", _alike(item.similarity, threshold))]
    if item.held_out is not None:
        rows.append(
            ("similarity to held-out photos", f"{item.held_out:.2f}", _alike(item.held_out, threshold))
        )
    if item.pose_error is not None:
        rows.append(("pose off by", f"{item.pose_error:.1f} degrees", 1 - min(item.pose_error / 30, 1)))
    if item.expression_error is not None:
        rows.append(
            ("expression off by", f"{item.expression_error:.3f}", 1 - min(item.expression_error / 0.25, 1))
        )
    return rows


def _alike(value: float, threshold: Threshold) -> float:
    return float(np.clip((value - threshold.different) / (threshold.typical - threshold.different), 0, 1))


def _picture(canvas: Canvas, item: Compared, image: NamedImage | UnreadableImage, x: float, y: float) -> None:
    if isinstance(image, UnreadableImage):
        return
    height, width = image.pixels.shape[:2]
    zoom = _PICTURE / max(height, width)
    shown = max(round(width * zoom), 1), max(round(height * zoom), 1)
    left, top = x + (_PICTURE - shown[0]) / 2, y + (_PICTURE - shown[1]) / 2
    canvas.picture(image.pixels, left, top, *shown)
    if item.face is None:
        canvas.text(left + 10, top + 10, "no face", 14, TEXT)
        return
    clip = (left, top, left + shown[0], top + shown[1])
    points = item.face.landmarks[:, :2] * zoom + (left, top)
    # Small faces get small dots: they must still be seen through.
    radius = np.clip(item.face.size * zoom * (0.006 if len(points) > 100 else 0.012), 0.3, 1.6)
    canvas.dots(points, ACCENT, float(radius), clip)
    x0, y0, x1, y1 = item.face.box * zoom + np.array([left, top, left, top])
    x0, x1 = np.clip((x0, x1), clip[0], clip[2])
    y0, y1 = np.clip((y0, y1), clip[1], clip[3])
    corners = [((x0, y0), (x1, y0)), ((x1, y0), (x1, y1)), ((x1, y1), (x0, y1)), ((x0, y1), (x0, y0))]
    canvas.lines(np.array(corners), ACCENT, 1.5)

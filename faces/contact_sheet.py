"""The contact sheet: every reference with landmarks, quality and weight, and every picture not used."""

from __future__ import annotations

import numpy as np

from .crop import in_crop
from .drawing import (
    ACCENT,
    CARD,
    FAINT,
    POOR,
    TEXT,
    TRACK,
    Canvas,
    grade,
    text_width,
    wrap,
)
from .quality import size_part
from .records import DroppedPicture, FaceRecord, ReferenceFaces

_CARD = 252
_GAP = 14
_MARGIN = 24
_HEADER = 84
_PICTURE = 228
_PARTS = ("size", "sharpness", "exposure", "frontality", "completeness", "agreement")
_CARD_HEIGHT = _PICTURE + 12 + 178
_DROPPED_HEIGHT = 104


def contact_sheet(
    references: ReferenceFaces,
    columns: int | None = None,
    landmarks: bool = True,
    title: str = "Reference faces",
) -> np.ndarray:
    """Draw the contact sheet.

    Parameters
    ----------
    references : ReferenceFaces
        What to show.
    columns : int, optional
        Cards side by side; by default up to 5, as even as it goes.
    landmarks : bool
        Whether to draw the landmarks over the crops.
    title : str
        Headline.

    Returns
    -------
    np.ndarray
        (H, W, 3) uint8 RGB.
    """
    faces = sorted(references.faces, key=lambda face: face.source_index)
    columns = columns or _columns(len(faces))
    columns = max(columns, 2 if references.dropped else 1)
    width = 2 * _MARGIN + columns * _CARD + (columns - 1) * _GAP
    rows = -(-len(faces) // columns)
    per_row = max((width - 2 * _MARGIN + _GAP) // (2 * _CARD + 2 * _GAP), 1)
    dropped_rows = -(-len(references.dropped) // per_row)
    notes = [line for note in references.notes for line in wrap(note, 13, width - 2 * _MARGIN, 3)]
    height = _HEADER + rows * (_CARD_HEIGHT + _GAP) + _MARGIN - _GAP + 20 * len(notes)
    if references.dropped:
        height += 44 + dropped_rows * (_DROPPED_HEIGHT + _GAP)
    canvas = Canvas(width, height)
    canvas.text(_MARGIN, 22, title, 24, TEXT, width=width - 2 * _MARGIN)
    used = sum(face.weight > 0 for face in faces)
    summary = f"{used} in use"
    if references.dropped:
        summary += f", {len(references.dropped)} set aside"
    canvas.text(
        _MARGIN, 52, f"{summary}   recognizer {references.recognizer}", 13, FAINT, width=width - 2 * _MARGIN
    )

    similarities = mean_similarities(faces)
    for number, (face, similarity) in enumerate(zip(faces, similarities, strict=True)):
        row, column = divmod(number, columns)
        x = _MARGIN + column * (_CARD + _GAP)
        y = _HEADER + row * (_CARD_HEIGHT + _GAP)
        _face_card(canvas, face, similarity, x, y, landmarks)
    y = _HEADER + rows * (_CARD_HEIGHT + _GAP)
    for line in notes:
        canvas.text(_MARGIN, y, line, 13, FAINT)
        y += 20
    if references.dropped:
        canvas.text(_MARGIN, y + 10, "Set aside", 17, TEXT)
        y += 44
        card = (width - 2 * _MARGIN - (per_row - 1) * _GAP) / per_row
        for number, item in enumerate(references.dropped):
            row, column = divmod(number, per_row)
            _dropped_card(
                canvas, item, _MARGIN + column * (card + _GAP), y + row * (_DROPPED_HEIGHT + _GAP), card
            )
    return canvas.finish()


def mean_similarities(faces: list[FaceRecord]) -> list[float | None]:
    """Mean cosine similarity of each face to the others that are in use; None for a lone one."""
    out: list[float | None] = []
    for face in faces:
        others = [float(face.embedding @ o.embedding) for o in faces if o is not face and o.weight > 0]
        out.append(float(np.mean(others)) if others else None)
    return out


def _columns(count: int) -> int:
    rows = -(-count // 5)
    return max(-(-count // rows) if rows else 1, 1)


def _face_card(
    canvas: Canvas, face: FaceRecord, similarity: float | None, x: float, y: float, landmarks: bool
) -> None:
    quality = face.quality
    canvas.panel(x, y, _CARD, _CARD_HEIGHT, CARD, 12)
    left, top = x + 12, y + 12
    canvas.picture(face.crop, left, top, _PICTURE, _PICTURE, 8, dim=1.0 if face.weight > 0 else 0.45)
    if landmarks:
        zoom = _PICTURE / face.crop.shape[0]
        points = in_crop(face.landmarks, face.crop_matrix)[:, :2] * zoom + (left, top)
        radius = 0.75 if len(points) > 100 else 1.6
        canvas.dots(points, ACCENT, radius, (left, top, left + _PICTURE, top + _PICTURE))
    badge = f"weight {face.weight:.2f}"
    wide = text_width(badge, 12) + 16
    canvas.panel(left + _PICTURE - wide - 6, top + 6, wide, 22, CARD, 11)
    canvas.text(left + _PICTURE - wide + 2, top + 10, badge, 12, TEXT if face.weight > 0 else POOR)

    line = top + _PICTURE + 10
    score = f"{quality.score:.2f}"
    canvas.text(left, line + 1, face.source, 15, TEXT, width=_PICTURE - text_width(score, 18) - 12)
    canvas.text(left + _PICTURE, line - 2, score, 18, grade(quality.score), "ra")
    canvas.bar(left, line + 24, _PICTURE, 7, quality.score, grade(quality.score))
    values = (
        size_part(quality.size_px),
        quality.sharpness,
        quality.exposure,
        quality.frontality,
        quality.completeness,
        quality.agreement,
    )
    labels = (f"size  {quality.size_px:.0f} px", *_PARTS[1:])
    half = (_PICTURE - 14) / 2
    for number, (label, value) in enumerate(zip(labels, values, strict=True)):
        px = left + (number % 2) * (half + 14)
        py = line + 44 + (number // 2) * 29
        canvas.text(px, py, label, 12, FAINT)
        canvas.text(px + half, py, f"{value:.2f}", 12, TEXT, "ra")
        canvas.bar(px, py + 17, half, 4, value, grade(value))
    alike = "only reference" if similarity is None else f"similarity to the others  {similarity:.2f}"
    canvas.text(left, line + 135, alike, 12, FAINT)


def _dropped_card(canvas: Canvas, item: DroppedPicture, x: float, y: float, width: float) -> None:
    canvas.panel(x, y, width, _DROPPED_HEIGHT, CARD, 12)
    canvas.panel(x, y + 16, 3, _DROPPED_HEIGHT - 32, POOR, 1.5)
    side = _DROPPED_HEIGHT - 24
    if item.crop is not None:
        canvas.picture(item.crop, x + 14, y + 12, side, side, 6, dim=0.75)
    else:
        canvas.panel(x + 14, y + 12, side, side, TRACK, 6)
        canvas.text(x + 14 + side / 2, y + 12 + side / 2, "no face", 12, FAINT, "mm")
    left = x + 14 + side + 14
    room = x + width - left - 14
    canvas.text(left, y + 14, item.source, 15, TEXT, width=room)
    for number, line in enumerate(wrap(item.reason, 13, room, 3)):
        canvas.text(left, y + 38 + 18 * number, line, 13, FAINT)

"""Sheets of small pictures, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def resized(pictures: np.ndarray, side: int) -> np.ndarray:
    """(N, side, side, 3) of pictures (N, H, H, 3), bicubic."""
    return np.stack([cv2.resize(p, (side, side), interpolation=cv2.INTER_CUBIC) for p in pictures])


def table(columns: Sequence[np.ndarray], side_by_side: int = 1, gap: int = 16) -> np.ndarray:
    """Put pictures into a table.

    Parameters
    ----------
    columns : sequence of np.ndarray
        Each (N, H, W, 3) uint8: what stands below each other in one column.
    side_by_side : int
        How many of the N rows stand side by side in a line; the last ones are repeated to fill it up.
    gap : int
        White between them, px.

    Returns
    -------
    np.ndarray
        (lines * H, W', 3) uint8.
    """
    rows = np.concatenate(list(columns), 2)
    lines = -(-len(rows) // side_by_side)
    white = np.full((rows.shape[1], gap, 3), 255, np.uint8)
    made = []
    for line in range(lines):
        cells = [rows[min(line + k * lines, len(rows) - 1)] for k in range(side_by_side)]
        parts = [cells[0]] + [part for cell in cells[1:] for part in (white, cell)]
        made.append(np.concatenate(parts, 1))
    return np.concatenate(made)


def captioned_line(
    pictures: Sequence[np.ndarray] | np.ndarray, texts: Sequence[str], strip: int = 24
) -> np.ndarray:
    """Put pictures of one size side by side with a line of text (ASCII) below each."""
    height, side = pictures[0].shape[:2]
    line = np.full((height + strip, len(pictures) * side, 3), 255, np.uint8)
    line[:height] = np.concatenate(list(pictures), 1)
    for i, text in enumerate(texts):
        at = (i * side + 8, height + strip - 8)
        cv2.putText(line, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
    return line


def write_sheet(path: Path, sheet: np.ndarray) -> None:
    """Write a sheet (H, W, 3) uint8 RGB as PNG or JPEG, by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(sheet[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 90])

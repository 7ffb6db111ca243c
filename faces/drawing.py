"""Small drawing kit of the previews: one dark neutral theme, text, bars and rounded pictures."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BACKGROUND = (24, 25, 28)
CARD = (34, 36, 40)
TRACK = (52, 55, 61)
TEXT = (232, 233, 236)
FAINT = (148, 152, 160)
ACCENT = (94, 196, 182)
GOOD = (122, 196, 120)
FAIR = (226, 182, 92)
POOR = (224, 108, 96)

SUPERSAMPLE = 2
"""Everything is drawn this much larger and reduced once: smooth corners and dots without a drawing
library."""


def grade(value: float) -> tuple[int, int, int]:
    """Colour of a quality or similarity in 0..1."""
    stops = ((0.0, POOR), (0.45, POOR), (0.7, FAIR), (0.9, GOOD), (1.01, GOOD))
    for (low, first), (high, second) in pairwise(stops):
        if value <= high:
            mix = (value - low) / (high - low)
            return (
                round(first[0] + mix * (second[0] - first[0])),
                round(first[1] + mix * (second[1] - first[1])),
                round(first[2] + mix * (second[2] - first[2])),
            )
    return GOOD


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Pillow's own face is the same on every system.
    return ImageFont.load_default(size=size)


class Canvas:
    """A dark picture to draw on; all coordinates are px of the finished picture."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._image = Image.new("RGB", (width * SUPERSAMPLE, height * SUPERSAMPLE), BACKGROUND)
        self._draw = ImageDraw.Draw(self._image)

    def finish(self) -> np.ndarray:
        """Return the picture, (height, width, 3) uint8 RGB."""
        return np.array(self._image.resize((self.width, self.height), Image.Resampling.BOX))

    def panel(
        self, x: float, y: float, width: float, height: float, color: tuple[int, int, int], radius: float = 10
    ) -> None:
        """Fill a rounded rectangle."""
        box = [v * SUPERSAMPLE for v in (x, y, x + max(width, 0.5), y + max(height, 0.5))]
        self._draw.rounded_rectangle(box, radius * SUPERSAMPLE, fill=color)

    def picture(
        self,
        image: np.ndarray,
        x: float,
        y: float,
        width: int,
        height: int,
        radius: float = 8,
        dim: float = 1.0,
    ) -> None:
        """Place a (H, W, 3) uint8 picture with rounded corners; `dim` < 1 darkens it."""
        size = (width * SUPERSAMPLE, height * SUPERSAMPLE)
        pasted = Image.fromarray((image * dim).astype(np.uint8)).resize(size, Image.Resampling.LANCZOS)
        shape = Image.new("L", size, 0)
        ImageDraw.Draw(shape).rounded_rectangle((0, 0, size[0], size[1]), radius * SUPERSAMPLE, fill=255)
        self._image.paste(pasted, (round(x * SUPERSAMPLE), round(y * SUPERSAMPLE)), shape)

    def dots(
        self, points: np.ndarray, color: tuple[int, int, int], radius: float, clip: tuple[float, ...]
    ) -> None:
        """Draw (N, 2) dots, those inside the clip box x0, y0, x1, y1 only."""
        x0, y0, x1, y1 = clip
        for x, y in points:
            if x0 <= x < x1 and y0 <= y < y1:
                box = [v * SUPERSAMPLE for v in (x - radius, y - radius, x + radius, y + radius)]
                self._draw.ellipse(box, fill=color)

    def lines(self, segments: np.ndarray, color: tuple[int, int, int], width: float) -> None:
        """Draw (N, 2, 2) line segments."""
        for (ax, ay), (bx, by) in segments:
            ends = [v * SUPERSAMPLE for v in (ax, ay, bx, by)]
            self._draw.line(ends, fill=color, width=max(round(width * SUPERSAMPLE), 1))

    def bar(
        self, x: float, y: float, width: float, height: float, value: float, color: tuple[int, int, int]
    ) -> None:
        """Draw a bar that is filled to `value` in 0..1."""
        self.panel(x, y, width, height, TRACK, height / 2)
        if value > 0:
            self.panel(x, y, max(width * min(value, 1.0), height), height, color, height / 2)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: int,
        color: tuple[int, int, int] = TEXT,
        anchor: str = "la",
        width: float | None = None,
    ) -> None:
        """Write one line, shortened with an ellipsis where it is wider than `width`; anchors as Pillow's."""
        if width is not None:
            text = shorten(text, size, width)
        self._draw.text((x * SUPERSAMPLE, y * SUPERSAMPLE), text, color, _font(size * SUPERSAMPLE), anchor)


def text_width(text: str, size: int) -> float:
    """Width of a line in px."""
    return _font(size * SUPERSAMPLE).getlength(text) / SUPERSAMPLE


def shorten(text: str, size: int, width: float) -> str:
    """Cut the middle out of a text that is too wide: both ends of a file name tell it from others."""
    if text_width(text, size) <= width:
        return text
    keep = len(text) - 1
    while keep > 2:
        cut = text[: (keep + 1) // 2] + "..." + text[len(text) - keep // 2 :]
        if text_width(cut, size) <= width:
            return cut
        keep -= 1
    return "..."


def wrap(text: str, size: int, width: float, lines: int) -> list[str]:
    """Break a text into at most `lines` lines."""
    out: list[str] = []
    line = ""
    words = text.split()
    for number, word in enumerate(words):
        longer = f"{line} {word}".strip()
        if text_width(longer, size) <= width or not line:
            line = longer
            continue
        if len(out) == lines - 1:
            out.append(shorten(" ".join([line, *words[number:]]), size, width))
            return out
        out.append(line)
        line = word
    return [*out, shorten(line, size, width)] if line else out

"""Where in a picture the person is, as another node says it: boxes or a mask choose among the faces found.

Source: ours. Boxes come as the host's BOUNDING_BOX nodes make them (a box, a list of boxes, or a list per
picture), masks as its segmentation nodes make them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .analyzer import DetectedFace

LEAST_SHARE = 0.5
"""Share of a face that must lie in a region for the face to be meant."""
_CORNERS = ("x", "y", "width", "height")


@dataclass(frozen=True)
class Region:
    """A part of one picture; hashable, so that results can be cached by it.

    Attributes
    ----------
    boxes : tuple of tuple of float
        (x0, y0, x1, y1) each, px.
    mask : bytes
        One byte per pixel, 1 inside; empty where boxes alone are given.
    size : tuple of int
        (width, height) of the mask, px.
    """

    boxes: tuple[tuple[float, float, float, float], ...] = ()
    mask: bytes = b""
    size: tuple[int, int] = (0, 0)

    def share(self, face: DetectedFace, picture: tuple[int, int]) -> float:
        """Return the share of a face's box that lies inside, 0..1.

        Parameters
        ----------
        face : DetectedFace
            Found in the picture.
        picture : tuple of int
            (width, height) of the picture, px; a mask of another size is stretched over it.
        """
        x0, y0, x1, y1 = (float(value) for value in face.box)
        best = 0.0
        for left, top, right, bottom in self.boxes:
            width, height = min(x1, right) - max(x0, left), min(y1, bottom) - max(y0, top)
            best = max(best, max(0.0, width) * max(0.0, height) / max((x1 - x0) * (y1 - y0), 1e-6))
        if not self.mask:
            return best
        across, down = self.size[0] / picture[0], self.size[1] / picture[1]
        mask = np.frombuffer(self.mask, np.uint8).reshape(self.size[1], self.size[0])
        columns = slice(max(0, int(x0 * across)), max(1, round(x1 * across)))
        rows = slice(max(0, int(y0 * down)), max(1, round(y1 * down)))
        part = mask[rows, columns]
        return max(best, float(part.mean()) if part.size else 0.0)


def faces_inside(
    faces: Sequence[DetectedFace], region: Region, picture: tuple[int, int]
) -> list[DetectedFace]:
    """Return the faces that lie in a region by at least `LEAST_SHARE`, in the order given."""
    return [face for face in faces if region.share(face, picture) >= LEAST_SHARE]


def regions_of_boxes(value: Any, count: int) -> tuple[Region | None, ...]:
    """Return a region per picture from the host's BOUNDING_BOX.

    Parameters
    ----------
    value
        A box (``x``, ``y``, ``width``, ``height`` in px); a list of boxes, which belong to one picture, or
        one to each of as many pictures; or a list of lists, one per picture. A lone box holds for all,
        an empty list chooses nothing.
    count : int
        Of pictures.

    Raises
    ------
    ValueError
        It is none of these, or there are not as many as pictures; half a line.
    """
    if isinstance(value, Mapping):
        return (_region([value]),) * count
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError("must be a box with x, y, width and height, or a list of boxes")
    if not value:
        return (None,) * count
    if all(isinstance(item, Mapping) for item in value):
        lists = [list(value)] if count == 1 else [[item] for item in value]
    else:
        lists = [[item] if isinstance(item, Mapping) else item for item in value]
    if len(lists) == 1:
        lists *= count
    if len(lists) != count:
        raise ValueError(f"are for {len(lists)} pictures, there are {count}: one list of boxes each")
    return tuple(_region(boxes) for boxes in lists)


def regions_of_masks(masks: Sequence[np.ndarray], count: int) -> tuple[Region | None, ...]:
    """Return a region per picture from masks.

    Parameters
    ----------
    masks : sequence of np.ndarray
        (H, W) each, 0..1; one for all pictures or one each. A mask without white chooses nothing.
    count : int
        Of pictures.

    Raises
    ------
    ValueError
        There are not as many as pictures; half a line.
    """
    if len(masks) not in (1, count):
        raise ValueError(f"are {len(masks)}, there are {count} pictures: give one for all, or one each")
    found = [_mask_region(mask) for mask in masks]
    return tuple(found * count if len(found) == 1 else found)


def both(first: Sequence[Region | None], second: Sequence[Region | None]) -> tuple[Region | None, ...]:
    """Return boxes and masks together: a face in either of them is meant."""
    return tuple(
        Region(a.boxes, b.mask, b.size) if a and b else a or b for a, b in zip(first, second, strict=True)
    )


def _mask_region(mask: np.ndarray) -> Region | None:
    inside = np.ascontiguousarray(mask > 0.5).astype(np.uint8)
    if not inside.any():
        return None
    return Region(mask=inside.tobytes(), size=(inside.shape[1], inside.shape[0]))


def _region(boxes: Any) -> Region | None:
    if not isinstance(boxes, Sequence) or isinstance(boxes, str):
        raise ValueError("must be a box with x, y, width and height, or a list of boxes")
    found = []
    for box in boxes:
        try:
            x, y, width, height = (float(box[name]) for name in _CORNERS)
        except (KeyError, TypeError, ValueError):
            raise ValueError("must be boxes with the numbers x, y, width and height") from None
        if not np.isfinite([x, y, width, height]).all():
            raise ValueError("must be boxes with finite numbers")
        found.append((x, y, x + width, y + height))
    return Region(tuple(found)) if found else None

"""The source pixels around one head: what the photographic head is textured from. *Ours*.

The canonical crop shows a face at 224 px, whatever the photo holds. The head's texture is worth as much as
the photo, so each record also keeps the part of its picture that shows the head, at the picture's own
resolution up to `MAX_SIDE`, with the coarse person mask of the same rectangle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from .geometry import head_pose, warp

MAX_SIDE = 1280
"""Longest side that is kept, px: 5 MB a photo, 190 px between the eyes, more than a 1024 px texture holds."""

REACH = 3.3
"""Half the side of the square around the head, in head units: hair, ears, neck and collar."""

CENTRE_Y = -0.45
"""Height of that square's centre in the head frame."""

MASK_SIZE = 256


@dataclass(frozen=True, eq=False)
class HeadPhoto:
    """The part of a source picture that shows the head.

    Attributes
    ----------
    pixels : np.ndarray
        (H, W, 3) uint8 RGB, at most `MAX_SIDE` px on a side; never enlarged.
    matrix : np.ndarray
        (2, 3) float32: source px to px of `pixels` (no rotation).
    mask : np.ndarray
        (h, w) uint8, 255 on the person: the same rectangle, coarse (at most `MASK_SIZE` px on a side).
    """

    pixels: np.ndarray
    matrix: np.ndarray
    mask: np.ndarray

    @property
    def nbytes(self) -> int:
        """Return the memory of the arrays, bytes."""
        return self.pixels.nbytes + self.mask.nbytes


def head_photo(
    image: np.ndarray, landmarks: np.ndarray, person_mask: Callable[[np.ndarray], np.ndarray] | None
) -> HeadPhoto:
    """Cut the head out of a source picture.

    Parameters
    ----------
    image : np.ndarray
        (H, W, 3) uint8 RGB source picture.
    landmarks : np.ndarray
        (468, 3) or (68, 3) of the face, source px.
    person_mask : callable or None
        (256, 256, 3) uint8 to (256, 256) float32 in 0..1; None takes everything for the person.
    """
    height, width = image.shape[:2]
    scale, rotation, origin = head_pose(landmarks)
    middle = origin + scale * CENTRE_Y * rotation[:2, 1] * (1.0, -1.0)
    reach = max(REACH * scale, 8.0)
    wanted = np.array([*np.floor(middle - reach), *np.ceil(middle + reach)]).astype(int)
    x0, y0 = np.clip(wanted[:2], 0, (width - 1, height - 1))
    x1, y1 = np.clip(wanted[2:], (x0 + 1, y0 + 1), (width, height))
    part = image[y0:y1, x0:x1]
    zoom = min(1.0, MAX_SIDE / max(part.shape[:2]))
    if zoom < 1.0:
        size = max(round((x1 - x0) * zoom), 1), max(round((y1 - y0) * zoom), 1)
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    zooms = np.array([part.shape[1] / (x1 - x0), part.shape[0] / (y1 - y0)])
    matrix = np.hstack([np.diag(zooms), (-zooms * (x0, y0))[:, None]]).astype(np.float32)
    mask = _coarse_mask(image, wanted, (x0, y0, x1, y1), person_mask)
    return HeadPhoto(np.ascontiguousarray(part), matrix, mask)


def _coarse_mask(
    image: np.ndarray,
    square: np.ndarray,
    kept: tuple[int, int, int, int],
    person_mask: Callable[[np.ndarray], np.ndarray] | None,
) -> np.ndarray:
    """Mask the part of the square that lies in the picture."""
    zoom = MASK_SIZE / float(square[2] - square[0])
    x0, y0, x1, y1 = (np.array(kept) - square[[0, 1, 0, 1]]) * zoom
    size = max(round(x1 - x0), 1), max(round(y1 - y0), 1)
    if person_mask is None:
        return np.full(size[::-1], 255, np.uint8)
    view = warp(
        image, np.array([[zoom, 0, -zoom * square[0]], [0, zoom, -zoom * square[1]]]), MASK_SIZE, None
    )
    whole = np.asarray(person_mask(view), np.float32)
    across, down = (x1 - x0) / size[0], (y1 - y0) / size[1]
    shift = np.array([[across, 0, x0 + across / 2 - 0.5], [0, down, y0 + down / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    mask = cv2.warpAffine(whole, shift, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return (np.clip(mask, 0, 1) * 255 + 0.5).astype(np.uint8)

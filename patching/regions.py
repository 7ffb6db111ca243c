"""Where in the picture the rows of a batch lie.

The UNet often sees a crop: a conditioning with an area, or a tile. Masks and landmark maps belong to
the whole picture, so they are made for the whole picture and cut at the crop's position.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

REGIONS_KEY = "hifi_portrait_regions"
"""Key in ``transformer_options`` under which a tiling pack may say where its tiles lie.

A list of ``(y, x, height, width)`` in latent pixels, one for each tile in the batch.
"""


class Region(NamedTuple):
    """A rectangle of the latent picture, in latent pixels."""

    y: int
    x: int
    height: int
    width: int

    def cut(self, picture: Tensor, scale: int = 1) -> Tensor:
        """Return this rectangle of ``(..., H * scale, W * scale)``."""
        top, left = self.y * scale, self.x * scale
        return picture[..., top : top + self.height * scale, left : left + self.width * scale]


def area_region(area: object, height: int, width: int) -> Region:
    """Return the region of a conditioning, clipped as the host clips it.

    Parameters
    ----------
    area
        ``(h, w, y, x)`` in latent pixels as the host resolves it, or None for the whole picture.
    height, width
        Size of the whole latent.
    """
    if area is None:
        return Region(0, 0, height, width)
    values = [int(value) for value in area]  # type: ignore[attr-defined]
    half = len(values) // 2
    h, w = values[half - 2 : half]
    y, x = values[-2:]
    return Region(y, x, min(height - y, h), min(width - x, w))


def locate(tile: Tensor, picture: Tensor) -> Region | None:
    """Return where ``tile`` was cut from ``picture``, or None when it is no exact crop of it.

    Packs that tile a picture do not say where a tile lies. During sampling each pixel holds noise, so
    that four corners, compared exactly, tell. Costs one wait for the device per tile.

    Parameters
    ----------
    tile
        ``(C, h, w)``.
    picture
        ``(C, H, W)`` with ``H >= h`` and ``W >= w``.
    """
    h, w = tile.shape[-2:]
    rows, columns = picture.shape[-2] - h + 1, picture.shape[-1] - w + 1
    if rows < 1 or columns < 1:
        return None
    found = None
    for dy, dx in ((0, 0), (0, w - 1), (h - 1, 0), (h - 1, w - 1)):
        window = picture[..., dy : dy + rows, dx : dx + columns]
        same = (window == tile[..., dy, dx, None, None]).all(dim=0)
        found = same if found is None else found & same
    assert found is not None
    hits = torch.nonzero(found)
    if len(hits) != 1:
        return None
    y, x = hits[0].tolist()
    return Region(y, x, h, w)

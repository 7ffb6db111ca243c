"""What of a posed head a photo shows, and how well: places, depth, angle, sharpness. *Ours*."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .layout import UVLayout
from .raster import interpolate, triangle_ids

_DEPTH_SIDE = 384
"""px of the head in the depth map that tells what hides what."""
HIDDEN = 0.10
"""How far behind the nearest surface a place may lie and still be seen, interocular distances."""
_HIDDEN_INSIDE = 0.03
"""The same for the inside of the mouth: lips must not be seen on teeth."""
_COSINE_INSIDE = 0.7
GRAZING = (0.10, 0.55)
"""Cosines between surface and line of sight: below the first a place is not seen, from the second it is."""


@dataclass(frozen=True, eq=False)
class View:
    """What one photo shows of each texel, at the layout's size.

    Attributes
    ----------
    place : np.ndarray
        (s, s, 2) float32: x, y in px of the photo (pixel centres at .5).
    seen : np.ndarray
        (s, s) float32 in 0..1: not hidden and not seen at a grazing angle.
    cosine : np.ndarray
        (s, s) float32: between surface and line of sight, below 0 facing away.
    """

    place: np.ndarray
    seen: np.ndarray
    cosine: np.ndarray


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def view_of(
    vertices: np.ndarray,
    normals: np.ndarray,
    triangles: np.ndarray,
    layout: UVLayout,
    unit: float,
    inner: np.ndarray,
) -> View:
    """See a posed head from the photo's camera.

    Parameters
    ----------
    vertices : np.ndarray
        (V, 3): x, y px of the photo, z px towards the viewer.
    normals : np.ndarray
        (V, 3) unit, camera frame.
    triangles : np.ndarray
        (T, 3), clockwise from the front.
    layout : UVLayout
        Texels to look at.
    unit : float
        Px per interocular distance.
    inner : np.ndarray
        (V,) 1 inside the mouth, which is seen at any angle, but only between the lips; 0 elsewhere.
    """
    maps = layout.interpolate(np.c_[vertices, normals[:, 2], inner])
    inside = maps[..., 4].clip(0, 1)
    low, high = vertices[:, :2].min(0), vertices[:, :2].max(0)
    zoom = _DEPTH_SIDE / max(float((high - low).max()), 1.0)
    small = (vertices - [*low, 0.0]) * zoom
    width, height = np.ceil((high - low) * zoom).astype(int) + 1
    ids = triangle_ids(small, triangles, int(width), int(height))
    depth = np.where(ids < 0, -1e9, interpolate(ids, small, triangles, small[:, 2:])[..., 0])
    # The nearest surface within a pixel: a place next to an outline is not hidden by it.
    depth = cv2.erode(depth.astype(np.float32), np.ones((3, 3), np.uint8))
    at = ((maps[..., :2] - low) * zoom - 0.5).astype(np.float32)
    nearest = cv2.remap(depth, at[..., 0], at[..., 1], cv2.INTER_NEAREST, borderValue=-1e9)
    behind = HIDDEN + (_HIDDEN_INSIDE - HIDDEN) * inside
    shown = (maps[..., 2] >= nearest / zoom - behind * unit) & layout.inside
    clear = cv2.GaussianBlur(cv2.erode(shown.astype(np.float32), np.ones((3, 3), np.uint8)), (0, 0), 1.0)
    cosine = np.maximum(maps[..., 3], _COSINE_INSIDE * inside * (maps[..., 3] > 0))
    seen = smoothstep(*GRAZING, cosine) * clear
    return View(maps[..., :2], seen.astype(np.float32) * layout.inside, cosine)

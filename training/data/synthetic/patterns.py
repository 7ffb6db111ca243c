"""Smooth steps and tiling noise, of which surfaces are made."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between; falling when `low` > `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@lru_cache(maxsize=1)
def noise() -> tuple[np.ndarray, np.ndarray]:
    """Two tiling noises of unit deviation: fine and coarse."""
    rng = np.random.default_rng(1)
    tiles = []
    for blur in (1.2, 8.0):
        field = np.pad(rng.normal(size=(256, 256)).astype(np.float32), 64, mode="wrap")
        tile = np.asarray(cv2.GaussianBlur(field, (0, 0), blur))[64:-64, 64:-64]
        tiles.append((tile / tile.std()).astype(np.float32))
    return tiles[0], tiles[1]


def look_up(tile: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Values (N,) of a tile at places (N,) in its pixels, repeated without end."""
    return tile[u.astype(np.int32) & 255, v.astype(np.int32) & 255]

"""Light on the head's surface: key light with shadows, ambient, reflections. *Ours*."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....landmarks.raster import rasterise
from .scenes import Scene


@dataclass(frozen=True, eq=False)
class Shape:
    """Where the points of the surface that are seen lie, and how they face.

    ``normal`` (N, 3) of unit length and ``at`` (N, 3) in view space, interocular distances; ``sky`` (N,)
    share of the surroundings that is not hidden; ``reach`` (N,) share of the key light that arrives.
    """

    normal: np.ndarray
    at: np.ndarray
    sky: np.ndarray
    reach: np.ndarray


@dataclass(frozen=True, eq=False)
class Material:
    """What the points are made of: ``albedo`` (N, 3) sRGB 0..255; ``gloss``, ``sharpness``, ``hair`` (N,)."""

    albedo: np.ndarray
    gloss: np.ndarray
    sharpness: np.ndarray
    hair: np.ndarray


def key_light_share(
    view: np.ndarray, triangles: np.ndarray, light: np.ndarray, spread: float, at: np.ndarray
) -> np.ndarray:
    """Share of the key light, 0..1, that reaches the places `at` (N, 3)."""
    side = np.cross([0.0, 1.0, 0.0], light)
    side /= np.linalg.norm(side)
    frame = np.stack([side, np.cross(light, side), light]).astype(np.float32)
    size, scale = 150, 150 / 7.6
    turned = view @ frame.T
    screen = np.stack([turned[:, 0] * scale + size / 2, size * 0.45 - turned[:, 1] * scale, turned[:, 2]], 1)
    covered = rasterise(screen, triangles, size, size, "counterclockwise")
    depth = covered.interpolate(screen[:, 2:], triangles, size, size, empty=-99.0).ravel()
    q = at @ frame.T
    x, y = q[:, 0] * scale + size / 2, size * 0.45 - q[:, 1] * scale
    total = np.zeros(len(at), np.float32)
    for dx, dy in ((-1, -1), (1, -1), (-1, 1), (1, 1), (0, 0)):
        ix = np.clip(x + dx * spread, 0, size - 1).astype(np.int32)
        iy = np.clip(y + dy * spread, 0, size - 1).astype(np.int32)
        total += np.clip(1 - (depth[iy * size + ix] - q[:, 2] - 0.09) / 0.12, 0, 1)
    return total / 5


def tint_of(scene: Scene) -> np.ndarray:
    """(3,) colour of the key light."""
    return 1 + 0.11 * scene.warmth * np.array([1.0, 0.1, -1.0], np.float32)


def shade(shape: Shape, material: Material, scene: Scene) -> np.ndarray:
    """Colours (N, 3), sRGB 0..255, of points of the surface in a scene's light."""
    light, normal, hair = scene.light, shape.normal, material.hair
    towards = normal @ light
    wrap = np.array([0.30, 0.16, 0.12], np.float32) * (0.6 + 0.9 * scene.softness)
    wrap = np.where(hair[:, None] > 0.5, 0.25, wrap)
    diffuse = np.clip((towards[:, None] + wrap) / (1 + wrap), 0, 1) * shape.reach[:, None]
    half = light + np.array([0, 0, 1], np.float32)
    half = half / np.linalg.norm(half)
    shine = np.clip(normal @ half, 0, 1) ** material.sharpness * material.gloss * shape.reach
    rim = (1 - np.clip(normal[:, 2], 0, 1)) ** 4 * 0.10 * shape.sky
    tint = tint_of(scene)
    key, fill = 1.15 - 0.35 * scene.softness, 0.30 + 0.26 * scene.softness
    ambient = fill * ((0.74 + 0.26 * normal[:, 1]) * np.clip(shape.sky * 1.2, 0.1, 1))[:, None]
    linear = (np.clip(material.albedo, 0, 255) / 255) ** 2.2
    linear = (
        linear * (1.15 * key * diffuse * tint + ambient) + (0.15 * key * shine + 0.6 * rim)[:, None] * tint
    )
    linear = linear * scene.exposure
    linear = np.where(linear > 0.7, 0.7 + 0.3 * np.tanh((linear - 0.7) / 0.3), linear)  # film-like shoulder
    return np.clip(linear, 0, 1) ** (1 / 2.2) * 255


def backdrop(scene: Scene, size: int) -> np.ndarray:
    """(size * size, 3) background with a glow, sRGB 0..255."""
    down, across = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    glow = 1.04 - 0.22 * (down + 0.2) + 0.10 * scene.light[0] * across - 0.25 * (down**2 + across**2)
    colours = scene.background * (glow * scene.exposure**0.5)[..., None] * (0.5 + tint_of(scene) / 2)
    return colours.reshape(-1, 3)

"""Hair: where it grows, the scalp raised to its surface, and a sheet that hangs down."""

from __future__ import annotations

import numpy as np

from .mesh import EYE, SKIN, HeadMesh
from .patterns import look_up, noise, smoothstep
from .people import Person

_SHEET_ACROSS, _SHEET_DOWN = 41, 14


def hairline(place: np.ndarray, person: Person) -> np.ndarray:
    """Signed height above the hairline at canonical places (N, 3), decimetres: positive where hair grows."""
    x, y, z = place[:, 0], place[:, 1], place[:, 2]
    line = np.interp(
        z, [-0.5, 0.2, 0.42, 0.55, 0.75, 0.92, 1.1, 1.5], [6.5, 6.62, 7.0, 7.15, 7.25, 7.7, 7.92, 8.02]
    )
    front = smoothstep(0.85, 1.15, z)
    swing = 0.5 + 0.5 * np.cos(np.clip((x - person.parting) * 4, -np.pi, np.pi))
    line = line - front * person.fringe * (0.75 + 0.35 * swing)
    side = np.maximum(0, np.abs(x) - 0.18)
    line = line + person.recession * (side * (z > 0.7) + 0.3 * front)
    if person.hair_style in ("bob", "long"):
        line = line - 0.12 * smoothstep(0.45, 0.75, np.abs(x)) * smoothstep(0.5, 0.8, z)
    return (y - line).astype(np.float32)


def thicken_scalp(mesh: HeadMesh, person: Person, vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Vertices with the scalp raised to the hair's surface."""
    place = mesh.base
    grown = smoothstep(0.0, 0.22, hairline(place, person)) * (mesh.vertex_kind == SKIN)
    grown = grown * (1 - np.clip(mesh.ears * 3, 0, 1))
    high = smoothstep(7.0, 8.3, place[:, 1])
    volume = {
        "buzz": 1.0,
        "short": 0.55 + 0.6 * high,
        "full": 0.6 + 0.75 * high,
        "afro": 0.8 + 0.35 * high,
    }.get(person.hair_style, 0.85 + 0.35 * high)
    tilt = 1 + 0.25 * np.sign(person.parting) * np.clip(place[:, 0], -0.5, 0.5) * high
    lump = look_up(noise()[1], place[:, 0] * 70 + 40 + person.seed % 97, place[:, 1] * 60 + place[:, 2] * 40)
    lift = grown * person.hair_thickness * volume * tilt * (1 + 0.10 * person.hair_wave * lump)
    return vertices + normals * lift[:, None].astype(np.float32)


def hair_sheet(
    mesh: HeadMesh, person: Person, neutral: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hanging hair around back and sides: vertices, their canonical places, triangles (both sides)."""
    scalp = (mesh.vertex_kind == SKIN) & (mesh.base[:, 1] > 6.9) & (mesh.base[:, 1] < 7.9)
    half_width = float(np.abs(neutral[scalp & (mesh.ears < 0.05)][:, 0]).max())
    back = float(neutral[scalp][:, 2].min())
    rise = float((neutral - mesh.base)[mesh.vertex_kind == EYE][:, 1].mean())
    angle = np.deg2rad(np.linspace(-116, 116, _SHEET_ACROSS))[None]
    down = np.linspace(0, 1, _SHEET_DOWN)[:, None]
    wave = 0.02 + 0.05 * person.hair_wave
    ripple = wave * np.sin(angle * 8 + down * (4 + 8 * person.hair_wave) + person.seed) + 0.02 * np.sin(
        angle * 21
    )
    narrow = 0.70 + 0.30 * np.clip(down / 0.22, 0, 1) ** 0.6
    flare = 0.1 if person.hair_style == "bob" else 0.04
    inward = (1 + flare * np.sin(down * 2.6)) * narrow
    width = (half_width + 0.08 + 0.4 * person.hair_thickness) * inward + ripple
    depth = (0.38 - back + 0.08) * narrow + ripple - 0.3 * np.clip(down - 0.35, 0, 1)
    x = width * np.sin(angle)
    z = 0.38 - depth * np.cos(angle) * np.where(np.cos(angle) < 0, 0.72, 1.0)
    y = 8.0 + 0.3 * person.hair_thickness - person.hair_length * down + 0.1 * np.cos(angle)
    y = y + 0.06 * np.sin(angle * 17 + person.seed) * (down > 0.98)
    x, y, z = np.broadcast_arrays(x, y, z)
    points = np.stack([x, y + rise, z], -1).reshape(-1, 3).astype(np.float32)
    places = np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)
    grid = np.arange(len(points)).reshape(_SHEET_DOWN, _SHEET_ACROSS)
    quads = np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], -1).reshape(-1, 4)
    front = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    return points, places, np.concatenate([front, front[:, ::-1]])

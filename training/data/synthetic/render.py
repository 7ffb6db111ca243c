"""Pictures of synthetic people: a deferred software renderer for heads, with exact landmarks. *Ours*."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ....landmarks.camera import CAMERA_DISTANCE, rotation
from ....landmarks.names import eyes_midpoint
from ....landmarks.raster import rasterise, vertex_normals
from .mesh import EYE, HAIR_SHEET, LASHES, SKIN, TEETH, TONGUE, HeadMesh
from .people import Person
from .scenes import Scene

_SUPERSAMPLE = 1.5
_SHEET_ACROSS, _SHEET_DOWN = 41, 14


@dataclass(frozen=True, eq=False)
class Picture:
    """One rendered portrait.

    ``image`` (S, S, 3) uint8 RGB; ``points`` (72, 3) float32 exact landmarks, px and z in px towards the
    viewer; ``visible`` (72,) bool, seen by the camera; ``mask`` (S, S) float32, share of the person.
    """

    image: np.ndarray
    points: np.ndarray
    visible: np.ndarray
    mask: np.ndarray


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between; falling when `low` > `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@lru_cache(maxsize=1)
def _noise() -> tuple[np.ndarray, np.ndarray]:
    """Two tiling noises of unit deviation: fine and coarse."""
    rng = np.random.default_rng(1)
    tiles = []
    for blur in (1.2, 8.0):
        field = np.pad(rng.normal(size=(256, 256)).astype(np.float32), 64, mode="wrap")
        tile = np.asarray(cv2.GaussianBlur(field, (0, 0), blur))[64:-64, 64:-64]
        tiles.append((tile / tile.std()).astype(np.float32))
    return tiles[0], tiles[1]


def _look_up(tile: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return tile[u.astype(np.int32) & 255, v.astype(np.int32) & 255]


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


def _thicken_scalp(mesh: HeadMesh, person: Person, vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
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
    lump = _look_up(
        _noise()[1], place[:, 0] * 70 + 40 + person.seed % 97, place[:, 1] * 60 + place[:, 2] * 40
    )
    lift = grown * person.hair_thickness * volume * tilt * (1 + 0.10 * person.hair_wave * lump)
    return vertices + normals * lift[:, None].astype(np.float32)


def _hair_sheet(
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


def _pose(
    points: np.ndarray, place: np.ndarray, mesh: HeadMesh, origin: np.ndarray, unit: float, scene: Scene
):
    """Vertices in view space, interocular distances about the eyes' midpoint; the chest turns less."""
    q = (points - origin) / unit
    head = rotation(scene.yaw, scene.pitch, scene.roll).astype(np.float32)
    chest = rotation(scene.yaw * 0.35, scene.pitch * 0.1, scene.roll * 0.2).astype(np.float32)
    pivot = np.array([0.0, -1.5, -1.25], np.float32)
    share = smoothstep(5.25, 6.2, place[:, 1]).astype(np.float32)[:, None]
    return share * (q @ head.T) + (1 - share) * (head @ pivot + (q - pivot) @ chest.T)


def _paint(
    mesh: HeadMesh, person: Person, scene: Scene, place: np.ndarray, kind: np.ndarray, masks: np.ndarray
):
    """Albedo (N, 3) sRGB 0..255, gloss (N,) and hair share (N,) of surface places."""
    fine_tile, coarse_tile = _noise()
    x, y, z = place.T
    away = np.abs(x)
    lips, lids, ears, mouth = masks.T
    fine = _look_up(fine_tile, x * 150 + z * 60, y * 150)
    coarse = _look_up(coarse_tile, x * 75 + 30, y * 75 + z * 50)
    skin = person.skin
    colour = skin[None] * (1 + 0.012 * fine + 0.02 * coarse)[:, None]

    def mix(target: np.ndarray, share: np.ndarray) -> None:
        nonlocal colour
        colour = colour + (target - colour) * share[:, None]

    flush = np.exp(-(((away - 0.42) / 0.22) ** 2 + ((y - 6.92) / 0.2) ** 2)) * 0.5 * smoothstep(0.6, 1.1, z)
    flush += (
        np.exp(-((away / 0.14) ** 2 + ((y - 6.9) / 0.14) ** 2)) * 0.35 * smoothstep(1.25, 1.5, z) + ears * 0.3
    )
    colour *= 1 - (person.ruddiness * flush)[:, None] * np.array([0.0, 0.15, 0.14], np.float32)
    if person.freckles:
        spots = (_look_up(fine_tile, x * 330 + 11, y * 330 + 5) > 1.25) * np.exp(-(((y - 6.98) / 0.24) ** 2))
        mix(
            skin * np.array([0.72, 0.6, 0.5], np.float32),
            spots * smoothstep(0.8, 1.1, z) * 0.6 * person.freckles,
        )
    if person.wrinkles:
        fold = np.exp(-(((away - 0.2 - 0.55 * (6.98 - y)) / 0.035) ** 2)) * smoothstep(6.55, 6.65, y)
        fold *= smoothstep(7.0, 6.9, y) * smoothstep(0.9, 1.2, z)
        brow_lines = np.maximum(0, np.sin((y + 0.05 * away) * 68)) ** 3 * smoothstep(7.62, 7.68, y)
        brow_lines *= smoothstep(7.9, 7.85, y) * smoothstep(0.5, 0.3, away) * 0.5
        bags = np.exp(-((((y - 7.16) / 0.035) ** 2) + ((away - 0.3) / 0.14) ** 2)) * (z > 0.9) * 0.8
        colour *= (1 - 0.26 * person.wrinkles * np.clip(fold + brow_lines + bags, 0, 1))[:, None]
    for mark in person.marks:
        mx, my = 0.5 * mark[0], 6.9 + 0.62 * mark[1]
        spot = np.exp(-((((x - mx) ** 2 + (y - my) ** 2) / (0.035 + 0.012 * mark[2]) ** 2) ** 2)) * (z > 0.8)
        mix(np.array([58, 34, 28], np.float32), spot * 0.85)
    mix(person.lips, np.clip(lips * 1.3, 0, 1) * 0.85)
    colour *= (1 - 0.22 * np.clip(lids, 0, 1) * (0.5 + person.lashes / 2))[:, None]

    not_lips = 1 - np.clip(lips * 2, 0, 1)
    if person.beard != "none":
        cheek = smoothstep(6.76, 6.52, y - 0.38 * smoothstep(0.35, 0.75, away)) * smoothstep(0.45, 0.65, z)
        chin = smoothstep(5.98, 6.2, y + 0.12 * (z - 0.9))
        moustache = np.exp(-(((y - 6.79) / 0.055) ** 2)) * smoothstep(0.32, 0.26, away) * (z > 1.15)
        goatee = smoothstep(0.27, 0.2, away) * smoothstep(6.86, 6.8, y) * chin * (z > 0.9)
        area = {"moustache": moustache, "goatee": np.maximum(goatee, moustache * 0.9)}.get(
            person.beard, np.clip(cheek * chin + moustache * 0.9, 0, 1)
        )
        strands = _look_up(fine_tile, (away + z) * 330, y * 110)
        mix(person.hair * 0.85, area * not_lips * person.beard_density * np.clip(0.88 + 0.15 * strands, 0, 1))

    along = (away - 0.10) / 0.5
    height = (
        7.50
        + person.brow_height
        + person.brow_arch * (0.05 * np.sin(np.clip(along, 0, 1) * 2.6) - 0.03 * np.clip(along, 0, 1) ** 2)
    )
    thick = person.brow_thickness * (1 - 0.55 * np.clip(along, 0, 1))
    brow = (
        np.exp(-(((y - height) / thick) ** 2) * 1.2)
        * smoothstep(-0.05, 0.08, along)
        * smoothstep(1.05, 0.85, along)
    )
    strands = _look_up(fine_tile, away * 420 + y * 120, y * 60)
    share = (
        np.clip(brow * 1.25, 0, 1) * person.brow_darkness * np.clip(0.9 + 0.14 * strands, 0, 1) * (z > 0.9)
    )
    mix(np.minimum(person.hair * 0.72, skin * 0.55), share)

    hair = np.zeros(len(place), np.float32)
    turn = np.arctan2(x - 0.4 * person.parting * (y > 7.6), z - 0.5)
    strands = _look_up(fine_tile, turn * 120 + person.seed % 61, y * (9 + 14 * person.hair_wave)) * 0.10
    strands += _look_up(coarse_tile, turn * 150, y * 22) * 0.10
    if person.hair_style == "afro":
        strands = 0.6 * strands + 0.09 * _look_up(fine_tile, turn * 90, y * 150)
    if person.hair_style != "bald":
        edge = hairline(place, person) + 0.012 * fine + 0.025 * coarse
        hair = smoothstep(-0.05, 0.09, edge) * (1 - np.clip(ears * 3, 0, 1)) * (kind == SKIN)
        hair *= 0.72 if person.hair_style == "buzz" else 1.0
    hair = np.maximum(hair, kind == HAIR_SHEET).astype(np.float32)
    mix(person.hair * (1 + strands)[:, None], hair)

    collar = 5.58 + 0.25 * np.minimum(away, 0.8) - 0.16 * smoothstep(0.3, 1.3, z)
    cloth = smoothstep(0.0, 0.04, collar - y) * (kind == SKIN)
    mix(scene.clothes * (1 + 0.02 * coarse)[:, None], cloth)
    mix(np.array([95, 38, 38], np.float32), np.clip(mouth * 1.2, 0, 1) * not_lips)
    gloss = np.where(hair > 0.5, 0.30, 0.16) * (1 - cloth) + 0.35 * np.clip(lips, 0, 1)
    colour[kind == TEETH] = (226, 217, 203)
    colour[kind == TONGUE] = (165, 80, 80)
    colour[kind == LASHES] = skin * (1 - person.lashes) * 0.8 + person.hair * 0.3 * person.lashes

    if person.glasses is not None:
        half_width, half_height, power = person.glasses
        u, v = (away - 0.325) / half_width, (y - 7.25) / half_height
        ring = (np.abs(u) ** power + np.abs(v) ** power) ** (1 / power)
        frame = smoothstep(0.17, 0.10, np.abs(ring - 1)) * (z > 0.7)
        bridge = smoothstep(0.03, 0.018, np.abs(y - 7.3)) * (away < 0.34 - half_width) * (z > 1.0)
        temple = (
            smoothstep(0.035, 0.022, np.abs(y - 7.3)) * (away > 0.3 + half_width) * (z > 0.45) * (hair < 0.5)
        )
        frame = np.maximum(np.maximum(frame, bridge), temple) * np.isin(kind, (SKIN, LASHES, EYE))
        glass = (ring < 1) * (z > 0.7) * 0.07
        mix(np.array([214, 226, 236], np.float32), glass)
        mix(person.glasses_colour, frame)
        return colour, gloss, hair, frame
    return colour, gloss, hair, np.zeros(len(place), np.float32)


def _paint_eyes(mesh: HeadMesh, person: Person, place: np.ndarray) -> np.ndarray:
    """Albedo (N, 3) of places on the eyeballs."""
    left, right = (mesh.base[mesh.eye_vertices(side)] for side in (True, False))
    radius = (left[:, 0].max() - left[:, 0].min()) / 2
    offset = (place - np.where(place[:, :1] > 0, left.mean(0), right.mean(0)))[:, :2] / radius
    r, angle = np.hypot(offset[:, 0], offset[:, 1]), np.arctan2(offset[:, 1], offset[:, 0])
    colour = 234 - (r**2)[:, None] * np.array([10, 34, 34], np.float32)
    rays = 0.88 + 0.2 * np.sin(angle * 23) * np.sin(angle * 7 + 1)
    iris = person.iris[None] * (rays * (1.15 - 0.9 * np.clip((r - 0.2) / 0.22, 0, 1) ** 3))[:, None]
    colour = colour + (iris - colour) * smoothstep(0.46, 0.41, r)[:, None]
    return (colour * (1 - smoothstep(0.20, 0.165, r) * 0.93)[:, None]).astype(np.float32)


def _shadow(
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


def render(mesh: HeadMesh, person: Person, scene: Scene, size: int = 128) -> Picture:
    """Render one picture.

    Parameters
    ----------
    mesh : HeadMesh
        The head.
    person, scene
        Who, and how; the same pair gives the same picture to the bit on one machine.
    size : int
        Width and height, px.

    Returns
    -------
    Picture
        With landmarks that are exact for this mesh: the projected surface points of the embedding.
    """
    work = round(size * _SUPERSAMPLE)
    neutral, unit = person.neutral, person.unit(mesh)
    skin_triangles = mesh.triangles[mesh.kind == SKIN]
    points = mesh.landmarks(neutral)
    origin = eyes_midpoint(points)
    vertices = neutral + np.tensordot(scene.expression.astype(np.float32), mesh.expression, 1)
    bare = vertices
    if person.hair_style != "bald":
        vertices = _thicken_scalp(mesh, person, vertices, vertex_normals(neutral, skin_triangles))
    place, triangles, kind = mesh.base, mesh.triangles, mesh.kind
    if person.hair_style in ("bob", "long"):
        sheet, sheet_place, sheet_triangles = _hair_sheet(mesh, person, neutral)
        triangles = np.concatenate([triangles, sheet_triangles + len(vertices)])
        kind = np.concatenate([kind, np.full(len(sheet_triangles), HAIR_SHEET, np.int8)])
        vertices, place = np.concatenate([vertices, sheet]), np.concatenate([place, sheet_place])
    count = len(mesh.base)

    view = _pose(vertices, place, mesh, origin, unit, scene).astype(np.float32)

    def screen_of(v: np.ndarray, width: float) -> np.ndarray:
        pixels = scene.scale * width / 128
        enlarge = pixels * CAMERA_DISTANCE / (CAMERA_DISTANCE - v[:, 2])
        x, y = scene.centre[0] * width + v[:, 0] * enlarge, scene.centre[1] * width - v[:, 1] * enlarge
        return np.stack([x, y, v[:, 2] * pixels], 1)

    screen = screen_of(view, work)
    covered = rasterise(screen, triangles, work, work, "counterclockwise")
    hit, shows = covered.pixel, kind[covered.triangle]
    one_sided = triangles[: len(mesh.triangles)]
    if len(triangles) > len(one_sided):
        one_sided = np.concatenate([one_sided, triangles[len(one_sided) :][: len(sheet_triangles) // 2]])
    fields = np.zeros((len(view), 14), np.float32)
    fields[:, :3], fields[:, 3:6], fields[:, 6:9] = vertex_normals(view, one_sided), place, view
    for k, mask in enumerate((mesh.occlusion, mesh.lips, mesh.eyelids, mesh.ears, mesh.inside_mouth)):
        fields[:count, 9 + k] = mask
    fields[count:, 9] = 0.85
    surface = covered.values(fields, triangles)
    normal, spot, at, sky, masks = (
        surface[:, :3],
        surface[:, 3:6],
        surface[:, 6:9],
        surface[:, 9],
        surface[:, 10:14],
    )
    normal = normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9)
    inner = (shows == HAIR_SHEET) & (normal[:, 2] < 0)
    normal[inner] *= -1
    sky = np.where(inner, sky * 0.45, sky)

    albedo, gloss, hair, frame = _paint(mesh, person, scene, spot, shows, masks)
    sharpness = np.where(hair > 0.5, 12.0, 22.0)
    eye = np.nonzero((shows == EYE) & (frame < 0.3))[0]
    if len(eye):
        albedo[eye] = _paint_eyes(mesh, person, spot[eye])
        centres = [view[mesh.eye_vertices(side)].mean(0) for side in (True, False)]
        outward = at[eye] - np.where(spot[eye, :1] > 0, centres[0], centres[1])
        normal[eye] = outward / np.linalg.norm(outward, axis=1, keepdims=True)
        gloss[eye], sharpness[eye] = 1.2, 90.0
    gloss = np.where(frame > 0.3, 0.5, gloss)

    light = scene.light
    spread = 0.8 + 2.6 * scene.softness
    reach = _shadow(view, triangles[kind != LASHES], light, spread, at)
    towards = normal @ light
    wrap = np.array([0.30, 0.16, 0.12], np.float32) * (0.6 + 0.9 * scene.softness)
    wrap = np.where(hair[:, None] > 0.5, 0.25, wrap)
    diffuse = np.clip((towards[:, None] + wrap) / (1 + wrap), 0, 1) * reach[:, None]
    half = light + np.array([0, 0, 1], np.float32)
    half = half / np.linalg.norm(half)
    shine = np.clip(normal @ half, 0, 1) ** sharpness * gloss * reach
    rim = (1 - np.clip(normal[:, 2], 0, 1)) ** 4 * 0.10 * sky
    tint = 1 + 0.11 * scene.warmth * np.array([1.0, 0.1, -1.0], np.float32)
    key, fill = 1.15 - 0.35 * scene.softness, 0.30 + 0.26 * scene.softness
    ambient = fill * ((0.74 + 0.26 * normal[:, 1]) * np.clip(sky * 1.2, 0.1, 1))[:, None]
    linear = (np.clip(albedo, 0, 255) / 255) ** 2.2
    linear = (
        linear * (1.15 * key * diffuse * tint + ambient) + (0.15 * key * shine + 0.6 * rim)[:, None] * tint
    )
    linear = linear * scene.exposure
    linear = np.where(linear > 0.7, 0.7 + 0.3 * np.tanh((linear - 0.7) / 0.3), linear)  # film-like shoulder
    shaded = np.clip(linear, 0, 1) ** (1 / 2.2) * 255

    down, across = np.mgrid[0:work, 0:work].astype(np.float32) / work - 0.5
    glow = 1.04 - 0.22 * (down + 0.2) + 0.10 * light[0] * across - 0.25 * (down**2 + across**2)
    canvas = (scene.background * (glow * scene.exposure**0.5)[..., None] * (0.5 + tint / 2)).reshape(-1, 3)
    canvas[hit] = shaded
    cover = np.zeros(work * work, np.float32)
    cover[hit] = 1
    image = cv2.resize(
        canvas.reshape(work, work, 3).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA
    )
    mask = cv2.resize(cover.reshape(work, work), (size, size), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(scene.noise_seed).normal(size=(size, size, 1)).astype(np.float32) * 1.2
    image = np.clip(image + grain, 0, 255).round().astype(np.uint8)

    posed = _pose(bare, mesh.base, mesh, origin, unit, scene)
    marks = mesh.landmarks(screen_of(posed, size)).astype(np.float32)
    depth = covered.interpolate(screen[:, 2:], triangles, work, work, empty=-1e9).ravel()
    px = np.clip(marks[:, :2] * (work / size), 0, work - 1).astype(int)
    pixels = scene.scale * work / 128
    visible = depth[px[:, 1] * work + px[:, 0]] - marks[:, 2] * (work / size) < 0.10 * pixels
    return Picture(image=image, points=marks, visible=visible, mask=mask)

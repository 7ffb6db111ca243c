"""Pictures of synthetic people: a deferred software renderer for heads, with exact landmarks. *Ours*."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ....landmarks.camera import CAMERA_DISTANCE, rotation
from ....landmarks.names import eyes_midpoint
from ....landmarks.raster import Coverage, rasterise, vertex_normals
from .hair import hair_sheet, thicken_scalp
from .materials import eye_colours, surface_of
from .mesh import EYE, HAIR_SHEET, LASHES, SKIN, HeadMesh
from .patterns import smoothstep
from .people import Person
from .scenes import Scene
from .shading import Material, Shape, backdrop, key_light_share, shade

_SUPERSAMPLE = 1.5


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


@dataclass(frozen=True, eq=False)
class _Geometry:
    """A person in a scene, in view space: what is drawn, and the bare head that carries the landmarks."""

    view: np.ndarray
    """(V, 3) vertices, hair included."""
    place: np.ndarray
    """(V, 3) their canonical places, decimetres."""
    triangles: np.ndarray
    kind: np.ndarray
    """(T,) of each triangle."""
    one_sided: np.ndarray
    """Triangles without the back sides of hanging hair, for normals."""
    bare: np.ndarray
    """(B, 3) vertices of the head itself without hair."""


def _pose(
    points: np.ndarray, place: np.ndarray, mesh: HeadMesh, origin: np.ndarray, unit: float, scene: Scene
) -> np.ndarray:
    """Vertices in view space, interocular distances about the eyes' midpoint; the chest turns less."""
    q = (points - origin) / unit
    head = rotation(scene.yaw, scene.pitch, scene.roll).astype(np.float32)
    chest = rotation(scene.yaw * 0.35, scene.pitch * 0.1, scene.roll * 0.2).astype(np.float32)
    pivot = np.array([0.0, -1.5, -1.25], np.float32)
    share = smoothstep(5.25, 6.2, place[:, 1]).astype(np.float32)[:, None]
    return share * (q @ head.T) + (1 - share) * (head @ pivot + (q - pivot) @ chest.T)


def _geometry(mesh: HeadMesh, person: Person, scene: Scene) -> _Geometry:
    neutral, unit = person.neutral, person.unit(mesh)
    origin = eyes_midpoint(mesh.landmarks(neutral))
    vertices = neutral + np.tensordot(scene.expression.astype(np.float32), mesh.expression, 1)
    bare = _pose(vertices, mesh.base, mesh, origin, unit, scene)
    if person.hair_style != "bald":
        normals = vertex_normals(neutral, mesh.triangles[mesh.kind == SKIN])
        vertices = thicken_scalp(mesh, person, vertices, normals)
    place, triangles, kind = mesh.base, mesh.triangles, mesh.kind
    one_sided = triangles
    if person.hair_style in ("bob", "long"):
        sheet, sheet_place, sheet_triangles = hair_sheet(mesh, person, neutral)
        sheet_triangles = sheet_triangles + len(vertices)
        one_sided = np.concatenate([triangles, sheet_triangles[: len(sheet_triangles) // 2]])
        triangles = np.concatenate([triangles, sheet_triangles])
        kind = np.concatenate([kind, np.full(len(sheet_triangles), HAIR_SHEET, np.int8)])
        vertices, place = np.concatenate([vertices, sheet]), np.concatenate([place, sheet_place])
    view = _pose(vertices, place, mesh, origin, unit, scene).astype(np.float32)
    return _Geometry(view, place, triangles, kind, one_sided, bare)


def _project(view: np.ndarray, scene: Scene, width: float) -> np.ndarray:
    """Screen positions (V, 3), px of a picture of some width, z towards the viewer."""
    pixels = scene.scale * width / 128
    enlarge = pixels * CAMERA_DISTANCE / (CAMERA_DISTANCE - view[:, 2])
    x, y = scene.centre[0] * width + view[:, 0] * enlarge, scene.centre[1] * width - view[:, 1] * enlarge
    return np.stack([x, y, view[:, 2] * pixels], 1)


def _shaded(
    mesh: HeadMesh, person: Person, scene: Scene, geometry: _Geometry, covered: Coverage
) -> np.ndarray:
    """Colours (N, 3), sRGB 0..255, of the covered pixels."""
    view, shows, count = geometry.view, geometry.kind[covered.triangle], len(mesh.base)
    fields = np.zeros((len(view), 14), np.float32)
    fields[:, :3] = vertex_normals(view, geometry.one_sided)
    fields[:, 3:6], fields[:, 6:9] = geometry.place, view
    for k, mask in enumerate((mesh.occlusion, mesh.lips, mesh.eyelids, mesh.ears, mesh.inside_mouth)):
        fields[:count, 9 + k] = mask
    fields[count:, 9] = 0.85
    values = covered.values(fields, geometry.triangles)
    normal, spot, at, sky, masks = np.split(values, [3, 6, 9, 10], axis=1)
    normal = normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9)
    inner = (shows == HAIR_SHEET) & (normal[:, 2] < 0)
    normal[inner] *= -1
    sky = np.where(inner, sky[:, 0] * 0.45, sky[:, 0])

    surface = surface_of(person, scene, spot, shows, masks)
    albedo, gloss = surface.colour, surface.gloss
    sharpness = np.where(surface.hair > 0.5, 12.0, 22.0)
    eye = np.nonzero((shows == EYE) & (surface.frame < 0.3))[0]
    if len(eye):
        albedo[eye] = eye_colours(mesh, person, spot[eye])
        centres = [view[mesh.eye_vertices(side)].mean(0) for side in (True, False)]
        outward = at[eye] - np.where(spot[eye, :1] > 0, centres[0], centres[1])
        normal[eye] = outward / np.linalg.norm(outward, axis=1, keepdims=True)
        gloss[eye], sharpness[eye] = 1.2, 90.0
    gloss = np.where(surface.frame > 0.3, 0.5, gloss)
    casts = geometry.triangles[geometry.kind != LASHES]
    reach = key_light_share(view, casts, scene.light, 0.8 + 2.6 * scene.softness, at)
    return shade(Shape(normal, at, sky, reach), Material(albedo, gloss, sharpness, surface.hair), scene)


def _composed(
    scene: Scene, covered: Coverage, shaded: np.ndarray, work: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Picture and mask of the result's size: the head before the backdrop, with grain."""
    canvas, cover = backdrop(scene, work), np.zeros(work * work, np.float32)
    canvas[covered.pixel], cover[covered.pixel] = shaded, 1
    image = cv2.resize(
        canvas.reshape(work, work, 3).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA
    )
    mask = cv2.resize(cover.reshape(work, work), (size, size), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(scene.noise_seed).normal(size=(size, size, 1)).astype(np.float32) * 1.2
    return np.clip(image + grain, 0, 255).round().astype(np.uint8), mask


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
    geometry = _geometry(mesh, person, scene)
    screen = _project(geometry.view, scene, work)
    covered = rasterise(screen, geometry.triangles, work, work, "counterclockwise")
    shaded = _shaded(mesh, person, scene, geometry, covered)
    image, mask = _composed(scene, covered, shaded, work, size)

    points = mesh.landmarks(_project(geometry.bare, scene, size)).astype(np.float32)
    depth = covered.interpolate(screen[:, 2:], geometry.triangles, work, work, empty=-1e9).ravel()
    px = np.clip(points[:, :2] * (work / size), 0, work - 1).astype(int)
    pixels = scene.scale * work / 128
    visible = depth[px[:, 1] * work + px[:, 0]] - points[:, 2] * (work / size) < 0.10 * pixels
    return Picture(image=image, points=points, visible=visible, mask=mask)

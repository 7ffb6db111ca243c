"""The photographic head: a mesh past the ears that the 72-point face's coefficients move. *Ours*.

``web/data/head.safetensors``, made by ``tools/distil_head.py``, is read here and by the web widget.
Geometry is stored as int16 with one scale per array (metadata ``scales``), expressions without the
vertices that they leave alone.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load as load_bytes
from safetensors.numpy import save

from ..boundary.files import written
from ..landmarks.camera import angles, rotation

DATA_FILE = Path(__file__).resolve().parent.parent / "web" / "data" / "head.safetensors"
FORMAT = "hifi-portrait-head/1"
REGIONS = (
    "face", "lids", "lips", "ears", "scalp", "neck", "socket", "right_eye", "left_eye", "mouth",
    "upper_teeth", "lower_teeth", "tongue",
)  # fmt: skip
"""What a vertex belongs to; ``region`` is an index into this. Right and left are the subject's."""
NECK_PIVOT = np.array([0.0, -1.5, -1.25])
"""Where the neck bends, head frame (as in ``training/data/synthetic/render.py``)."""
CHEST_SHARE = (0.35, 0.1, 0.2)
"""Share of the head's yaw, pitch and roll that the chest follows."""


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A head is ``mean + shape @ identity + expression @ expression_basis``, in interocular distances.

    G vertices have places of their own; the V vertices of the mesh are those, with some double where the
    texture is cut (`source` says which is which).

    Attributes
    ----------
    mean : np.ndarray
        (G, 3) float32, head frame of ``landmarks/model.py`` (x to the picture's right, y up, z towards the
        viewer; origin between the eyes; unit: interocular distance of the mean face).
    identity : np.ndarray
        (K, G, 3) float32, for the coefficients of ``FaceModel``.
    expression : np.ndarray
        (52, G, 3) float32 displacement of each ARKit expression at 1, in the order of ``FaceModel``.
    expression_names : tuple[str, ...]
        ARKit names.
    source : np.ndarray
        (V,) int64 row of `mean` of each vertex.
    triangles : np.ndarray
        (T, 3) int64 vertices, front sides clockwise as seen in a picture (y down).
    uv : np.ndarray
        (V, 2) float32 UV coordinates in 0..1, v downwards; left and right are mirrored at u = .5.
    region : np.ndarray
        (V,) uint8 index into `REGIONS`.
    follow : np.ndarray
        (G,) float32: 1 where a vertex turns with the head, 0 where it stays with the chest.
    mirror : np.ndarray
        (G,) int64 mirror image of each row of `mean`.
    landmark_vertices, landmark_weights : np.ndarray
        (72, 4) int64 rows of `mean` and (72, 4) float32 weights: the 72 points on the surface.
    facemesh_vertices, facemesh_weights : np.ndarray
        (468, 3) and (468, 3): places where MediaPipe's Face Mesh puts its points on this surface.
    facemesh_spread : np.ndarray
        (468,) float32: how much that differs from picture to picture, interocular distances.
    provenance : str
        Where the numbers come from, and their licence.
    """

    mean: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    expression_names: tuple[str, ...]
    source: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    region: np.ndarray
    follow: np.ndarray
    mirror: np.ndarray
    landmark_vertices: np.ndarray
    landmark_weights: np.ndarray
    facemesh_vertices: np.ndarray
    facemesh_weights: np.ndarray
    facemesh_spread: np.ndarray
    provenance: str = ""

    @staticmethod
    def load(path: str | os.PathLike[str] | None = None) -> HeadModel:
        """Read the model that ships with the pack (cached), or another file of the same layout.

        Raises
        ------
        ValueError
            When the file is not a head model.
        """
        return _load(str(path or DATA_FILE))

    @cached_property
    def geometry_triangles(self) -> np.ndarray:
        """(T, 3) int64 triangles over the G places: the surface without the texture's cuts."""
        return self.source[self.triangles]

    def in_region(self, *names: str) -> np.ndarray:
        """(V,) bool, whether a vertex belongs to one of these `REGIONS`."""
        return np.isin(self.region, [REGIONS.index(name) for name in names])

    @cached_property
    def geometry_region(self) -> np.ndarray:
        """(G,) uint8 region of each place."""
        result = np.zeros(len(self.mean), np.uint8)
        result[self.source[::-1]] = self.region[::-1]
        return result

    def geometry(self, shape: np.ndarray | None = None, expression: np.ndarray | None = None) -> np.ndarray:
        """(G, 3) float32 places of a head before it is posed; arguments as for `vertices`."""
        result = self.mean
        if shape is not None:
            shape = np.asarray(shape, np.float32).ravel()
            if len(shape) > len(self.identity):
                raise ValueError(
                    f"identity shape has {len(shape)} coefficients, the head model {len(self.identity)}; "
                    "make the identity again"
                )
            result = result + np.tensordot(shape, self.identity[: len(shape)], 1)
        if expression is not None:
            result = result + self.expressed(expression)
        return result

    def expressed(self, expression: np.ndarray) -> np.ndarray:
        """(G, 3) float32 displacement of (52,) ARKit coefficients."""
        expression = np.asarray(expression, np.float32)
        if expression.shape != (len(self.expression_names),):
            raise ValueError(
                f"expression must be {len(self.expression_names)} ARKit coefficients, got {expression.shape}"
            )
        active = np.nonzero(expression)[0]
        return np.tensordot(expression[active], self.expression[active], 1)

    def vertices(self, shape: np.ndarray | None = None, expression: np.ndarray | None = None) -> np.ndarray:
        """Vertices of a head before it is posed.

        Parameters
        ----------
        shape : np.ndarray | None
            (k,) identity coefficients, k <= K; None is the mean head.
        expression : np.ndarray | None
            (52,) ARKit coefficients; None is neutral.

        Returns
        -------
        np.ndarray
            (V, 3) float32 in the head frame.
        """
        return self.geometry(shape, expression)[self.source]

    def landmarks(self, geometry: np.ndarray) -> np.ndarray:
        """(72, D) values at the 72 points of values (G, D) of places."""
        return (geometry[self.landmark_vertices] * self.landmark_weights[..., None]).sum(1)

    def facemesh(self, geometry: np.ndarray) -> np.ndarray:
        """(468, D) values where Face Mesh puts its points, of values (G, D) of places."""
        return (geometry[self.facemesh_vertices] * self.facemesh_weights[..., None]).sum(1)

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) float32 outward unit normals, smooth over the texture's cuts.

        Parameters
        ----------
        vertices : np.ndarray
            (V, 3) in the head frame or another right-handed frame with y up.
        """
        a, b, c = (vertices[self.triangles[:, k]] for k in range(3))
        face = np.cross(c - a, b - a)
        index = self.geometry_triangles.ravel()
        count = len(self.mean)
        total = np.stack([np.bincount(index, np.repeat(face[:, k], 3), count) for k in range(3)], 1)
        unit = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
        return unit[self.source].astype(np.float32)

    def posed(self, vertices: np.ndarray, matrix: np.ndarray, bend_neck: bool = True) -> np.ndarray:
        """Turn a head; the neck bends, so that the chest turns less.

        Parameters
        ----------
        vertices : np.ndarray
            (V, 3) or (G, 3) in the head frame.
        matrix : np.ndarray
            (3, 3) head frame -> camera.
        bend_neck : bool
            False turns everything alike.

        Returns
        -------
        np.ndarray
            Same shape, camera frame (y up, z towards the viewer), origin between the eyes.
        """
        turned = vertices @ np.asarray(matrix).T
        if not bend_neck:
            return turned
        follow = self.follow[self.source] if len(vertices) == len(self.source) else self.follow
        chest = rotation(*(np.array(angles(matrix)) * CHEST_SHARE))
        stays = NECK_PIVOT @ np.asarray(matrix).T + (vertices - NECK_PIVOT) @ chest.T
        return follow[:, None] * turned + (1 - follow[:, None]) * stays


def pack(path: str | os.PathLike[str], arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> int:
    """Write a head model file atomically; returns its size in bytes.

    Parameters
    ----------
    path : str | os.PathLike[str]
        Target file.
    arrays : dict[str, np.ndarray]
        The attributes of `HeadModel` by name; ``expression`` dense.
    metadata : dict[str, str]
        ``expression_names`` (JSON list), ``provenance`` and more; ``format`` and ``scales`` are added.
    """
    arrays = dict(arrays)
    expression = arrays.pop("expression")
    moved = np.abs(expression).max(2) > 5e-5
    arrays["expression_start"] = np.r_[0, np.cumsum(moved.sum(1))].astype(np.int32)
    arrays["expression_vertex"] = np.nonzero(moved)[1]
    arrays["expression_delta"] = expression[moved]
    scales: dict[str, float] = {}
    stored: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if name == "region":
            stored[name] = array.astype(np.uint8)
        elif name == "expression_start":
            stored[name] = array
        elif np.issubdtype(array.dtype, np.integer):
            stored[name] = array.astype(np.uint16)
        else:
            scales[name] = float(np.abs(array).max() / 32767) or 1.0
            stored[name] = np.round(array / scales[name]).astype(np.int16)
    stored = {name: np.ascontiguousarray(array) for name, array in stored.items()}
    data = save(stored, {"format": FORMAT, **metadata, "scales": json.dumps(scales)})
    with written(Path(path)) as part:
        part.write_bytes(data)
    return len(data)


@lru_cache(maxsize=2)
def _load(path: str) -> HeadModel:
    data = Path(path).read_bytes()
    try:
        arrays = load_bytes(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        if header.get("format") != FORMAT:
            raise ValueError(f"format is {header.get('format')}")
        scales = json.loads(header["scales"])
        names = tuple(json.loads(header["expression_names"]))
        values: dict[str, np.ndarray] = {}
        for name, array in arrays.items():
            if name in scales:
                values[name] = array.astype(np.float32) * np.float32(scales[name])
            else:
                values[name] = array if name == "region" else array.astype(np.int64)
        start, vertex, delta = (values.pop(f"expression_{part}") for part in ("start", "vertex", "delta"))
        expression = np.zeros((len(names), *values["mean"].shape), np.float32)
        rows = np.repeat(np.arange(len(names)), np.diff(start))
        expression[rows, vertex] = delta
        model = HeadModel(
            **values,
            expression=expression,
            expression_names=names,
            provenance=header.get("provenance", ""),
        )
    except Exception as error:
        raise ValueError(f"{path}: not a head model of this pack ({error}); reinstall the pack") from error
    for array in (*values.values(), expression):
        array.flags.writeable = False
    return model

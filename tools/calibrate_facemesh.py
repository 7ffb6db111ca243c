"""Calibrate MediaPipe's mesh points against the 72-point face.

Writes ``facemesh_offset`` into the face model's file.

Data: one file, MediaPipe's ``canonical_face_model.obj`` (Apache-2.0, in its repository under
``mediapipe/tasks/cc/vision/face_geometry/data``, sha256 below), the average face that its mesh network was
built on. No photo takes part, so that photos can test the result. Method (*ours*): the canonical face's
lips, which are parted, are closed; its 72 points are moved, turned and scaled onto our mean face (least
squares; jaw contour at weight 0.2, pupils at 0, glabella and forehead at 0.5); what is left is the offset.
Without it the fit explains the difference between the two averages by pose and expression: heads that look
straight into the camera read about 12 degrees of pitch, and lowered brows. Usage::

    python -m hifi_portrait.tools.calibrate_facemesh canonical_face_model.obj [face72.safetensors]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open

from ..landmarks import names
from ..landmarks.model import DATA_FILE, FaceModel, pack
from ..training.data.synthetic.makehuman import read_vertices

CANONICAL_SHA256 = "8bac80443397e113f41a8b565ea72c59390bc031d9defab289dba7bc0c54e618"


def canonical_points(path: Path) -> np.ndarray:
    """(72, 3) points of the canonical face; the pupils, which it lacks, are the eyes' centres."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != CANONICAL_SHA256:
        raise ValueError(
            f"{path} is not the canonical face model this calibration was made for (sha256 differs)"
        )
    vertices = read_vertices(data.decode())
    points = vertices[np.minimum(names.FACEMESH_INDEX, len(vertices) - 1)]
    points[names.RIGHT_PUPIL] = points[list(names.RIGHT_EYE)].mean(0)
    points[names.LEFT_PUPIL] = points[list(names.LEFT_EYE)].mean(0)
    return points


def weighted_align(points: np.ndarray, onto: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``points`` moved, turned and scaled onto ``onto`` by weighted least squares."""
    share = (weights / weights.sum())[:, None]
    a, b = points - (share * points).sum(0), onto - (share * onto).sum(0)
    u, s, vt = np.linalg.svd((b * share).T @ a)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = (s * np.diag(flip)).sum() / (share * a**2).sum()
    return scale * a @ (u @ flip @ vt).T + (share * onto).sum(0)


def close_lips(points: np.ndarray) -> np.ndarray:
    """Bring the lips together: the canonical face's are parted, a neutral face's are not."""
    closed = points.copy()
    for upper, lower, outer_upper, outer_lower in (
        (61, 67, (50, 49), (58, 59)),
        (62, 66, (51,), (57,)),
        (63, 65, (52, 53), (56, 55)),
    ):
        apart = (points[upper] - points[lower]) / 2
        closed[upper] -= apart
        closed[lower] += apart
        for share, above, below in zip((1.0, 0.5), outer_upper, outer_lower, strict=False):
            closed[above] -= share * apart
            closed[below] += share * apart
    return closed


def offset(canonical: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(72, 3) canonical face minus ours in the head frame, exactly symmetric; 0 at the pupils."""
    weights = np.ones(names.POINT_COUNT)
    weights[list(names.JAW)] = 0.2
    weights[[names.GLABELLA, names.FOREHEAD]] = 0.5
    weights[[names.RIGHT_PUPIL, names.LEFT_PUPIL]] = 0.0
    left = weighted_align(close_lips(canonical), mean, weights) - mean
    left = (left + left[names.MIRROR] * [-1.0, 1.0, 1.0]) / 2
    left[[names.RIGHT_PUPIL, names.LEFT_PUPIL]] = 0.0
    return left


def main(argv: list[str] | None = None) -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("canonical", type=Path, help="MediaPipe's canonical_face_model.obj")
    parser.add_argument("model", type=Path, nargs="?", default=DATA_FILE, help="face model to change")
    args = parser.parse_args(argv)
    model = FaceModel.load(args.model)
    with safe_open(str(args.model), framework="numpy") as file:
        metadata = {key: value for key, value in file.metadata().items() if key not in ("format", "scales")}
    metadata["facemesh_offset"] = json.dumps({"from": "canonical_face_model.obj", "sha256": CANONICAL_SHA256})
    arrays = {
        key: np.array(getattr(model, key)) for key in ("mean", "identity", "expression", "triangles", "uv")
    }
    arrays["facemesh_offset"] = offset(canonical_points(args.canonical), model.mean)
    size = pack(args.model, arrays, metadata)
    shift = np.linalg.norm(arrays["facemesh_offset"][list(names.INNER_FACE)], axis=1)
    print(
        f"{args.model}: {size} bytes; inner face shifted by {shift.mean():.3f} interocular distances "
        "on average"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

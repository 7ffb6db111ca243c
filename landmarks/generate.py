"""Landmarks of a person in a wanted pose and expression."""

from __future__ import annotations

import numpy as np

from . import camera
from .landmarks import FaceLandmarks3D
from .model import FaceModel
from .visibility import visible_points

DEFAULT_CENTRE = (0.5, 0.45)
"""Where the midpoint of the eyes' centres goes by default, as fractions of the canvas."""
DEFAULT_SCALE = 0.17
"""Interocular distance by default, as a fraction of the canvas's shorter side."""
FARTHEST = 1e6
"""Px from the canvas's corner, and between the eyes, beyond which nothing is drawn that can be seen."""
POSE_LIMITS = {"yaw": 90.0, "pitch": 60.0, "roll": 180.0}
"""Degrees in either direction beyond which a pose is limited."""


def default_placement(width: int, height: int) -> tuple[tuple[float, float], float]:
    """Centre (px) and scale (px per interocular distance) of a head that nobody has moved."""
    return (DEFAULT_CENTRE[0] * width, DEFAULT_CENTRE[1] * height), DEFAULT_SCALE * min(width, height)


def generate(
    model: FaceModel,
    shape: np.ndarray | None = None,
    pose: np.ndarray | tuple[float, float, float] = (0.0, 0.0, 0.0),
    expression: np.ndarray | None = None,
    width: int = 1024,
    height: int = 1024,
    position: np.ndarray | tuple[float, float] | None = None,
    scale: np.ndarray | float | None = None,
    notes: tuple[str, ...] = (),
) -> FaceLandmarks3D:
    """Landmarks with the reference's identity and the target's pose and expression.

    The paper's landmark generator. Any of pose, expression, position and scale may carry a leading batch
    dimension B; the others are repeated.

    Parameters
    ----------
    model : FaceModel
        The 3D face.
    shape : np.ndarray | None
        (K,) identity coefficients; None is the mean face.
    pose : array-like
        (3,) or (B, 3): yaw, pitch, roll in degrees.
    expression : np.ndarray | None
        (52,) or (B, 52) ARKit coefficients, limited to 0..1.
    width, height : int
        Canvas, px.
    position : array-like | None
        (2,) or (B, 2): px of the midpoint of the eyes' centres; None is the middle, a little above half
        height.
    scale : array-like | None
        Scalar or (B,): px per interocular distance of the mean face; None is 0.17 of the shorter side.
    notes : tuple[str, ...]
        What the caller limited already.

    Returns
    -------
    FaceLandmarks3D
        With the poses and coefficients as limited; what was limited is in its ``notes``.
    """
    notes_ = list(notes)
    centre, size = default_placement(width, height)
    poses = np.atleast_2d(np.asarray(pose, np.float64))
    expressions = np.atleast_2d(
        np.zeros(len(model.expression_names)) if expression is None else np.asarray(expression, np.float64)
    )
    positions = np.atleast_2d(np.asarray(centre if position is None else position, np.float64))
    scales = np.atleast_1d(np.asarray(size if scale is None else scale, np.float64))
    poses, expressions, positions, scales = _batched(
        pose=poses, expression=expressions, position=positions, scale=scales
    )
    if (scales <= 0).any() or (scales > FARTHEST).any() or (np.abs(positions) > FARTHEST).any():
        raise ValueError(f"landmarks: scale must be above 0 px, position and scale at most {FARTHEST:g} px")

    limits = np.array(list(POSE_LIMITS.values()))
    for row, name in enumerate(POSE_LIMITS):
        if (np.abs(poses[:, row]) > limits[row] + 1e-6).any():
            notes_.append(f"{name.capitalize()} limited to {limits[row]:.0f} degrees")
    poses = np.clip(poses, -limits, limits)
    if ((expressions < 0) | (expressions > 1)).any():
        notes_.append("Expression coefficients limited to 0..1")
        expressions = np.clip(expressions, 0, 1)

    count = len(poses)
    points = np.empty((count, len(model.mean), 3), np.float32)
    visible = np.empty(points.shape[:2], bool)
    for row in range(count):
        face = model.points(shape, expressions[row])
        seen = camera.project(face, camera.rotation(*poses[row]), scales[row], positions[row])
        points[row], visible[row] = seen, visible_points(seen, model)
    if ((points[..., :2] < 0) | (points[..., :2] > (width, height))).any():
        notes_.append("Part of the face lies outside the canvas")
    return FaceLandmarks3D(
        points=points,
        visible=visible,
        pose=poses.astype(np.float32),
        expression=expressions.astype(np.float32),
        shape=np.zeros(model.components, np.float32)
        if shape is None
        else np.asarray(shape, np.float32).ravel(),
        width=int(width),
        height=int(height),
        notes=tuple(dict.fromkeys(notes_)),
    )


def _batched(**parts: np.ndarray) -> list[np.ndarray]:
    """Repeat arrays of one row to the length of the others; raises ValueError where lengths differ."""
    count = max(map(len, parts.values()))
    for name, array in parts.items():
        if len(array) not in (1, count):
            raise ValueError(f"landmarks: {name} has {len(array)} rows, the batch {count}")
        if not np.isfinite(array).all():
            raise ValueError(f"landmarks: {name} contains NaN or infinity")
    return [np.broadcast_to(array, (count, *array.shape[1:])) for array in parts.values()]


def placement(landmarks: FaceLandmarks3D, model: FaceModel) -> tuple[np.ndarray, np.ndarray]:
    """Recover position (B, 2) px and scale (B,) px of generated landmarks, exactly, from their points."""
    positions, scales = np.empty((len(landmarks), 2)), np.empty(len(landmarks))
    for row in range(len(landmarks)):
        face = model.points(landmarks.shape, landmarks.expression[row])
        unit = camera.project(face, camera.rotation(*landmarks.pose[row]), 1.0, (0.0, 0.0))
        points = landmarks.points[row].astype(np.float64)
        centred_unit = np.c_[unit[:, :2] - unit[:, :2].mean(0), unit[:, 2]]
        centred = np.c_[points[:, :2] - points[:, :2].mean(0), points[:, 2]]
        scales[row] = (centred * centred_unit).sum() / (centred_unit**2).sum()
        positions[row] = (points[:, :2] - scales[row] * unit[:, :2]).mean(0)
    return positions, scales

"""Many frames: targets from detected landmarks, temporal smoothing, interpolation between two sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from . import camera
from .fit import fit_face, fit_faces
from .fit_result import FaceFit
from .generate import generate, placement
from .landmarks import FaceLandmarks3D
from .model import FaceModel
from .target import Target

MAX_SHAPE_FRAMES = 12
"""A person's shape is fitted jointly from at most this many frames spread over a sequence."""
EASINGS = ("linear", "ease in and out", "ease in", "ease out")


def fit_sequence(
    points: Sequence[np.ndarray | None], model: FaceModel, progress: Callable[[], None] | None = None
) -> list[FaceFit | None]:
    """Fit every frame of one person.

    The shape comes from frames spread over the sequence; then each frame is fitted on its own.

    Parameters
    ----------
    points : Sequence[np.ndarray | None]
        Landmarks of each frame as `fit.fit_face` takes them; None where no face was found.
    model : FaceModel
        The 3D face.
    progress : callable, optional
        Called twice for each frame with a face; may raise to stop.

    Returns
    -------
    list[FaceFit | None]
        None where the frame had no usable landmarks.

    Raises
    ------
    ValueError
        When no frame has a usable face.
    """
    usable: list[tuple[int, np.ndarray]] = []
    problem = "no face found"
    for number, array in enumerate(points):
        if array is None:
            continue
        try:
            fit_face(array, model)
        except ValueError as error:
            problem = str(error)
            continue
        usable.append((number, array))
        if progress is not None:
            progress()
    if not usable:
        raise ValueError(f"none of the {len(points)} target frames shows a usable face ({problem})")
    spread = np.unique(
        np.linspace(0, len(usable) - 1, min(len(usable), MAX_SHAPE_FRAMES)).round().astype(int)
    )
    person = fit_faces([usable[i][1] for i in spread], None, model)[0]
    fits: list[FaceFit | None] = [None] * len(points)
    for number, array in usable:
        fits[number] = fit_face(array, model, shape=person.shape, calibrated=bool(person.offset.any()))
        if progress is not None:
            progress()
    return fits


def target_from_fits(
    fits: Sequence[FaceFit | None], sizes: Sequence[tuple[int, int]], in_place: bool = False
) -> tuple[Target, tuple[str, ...]]:
    """Turn fitted frames into a target; frames without a face are filled in from their neighbours.

    Parameters
    ----------
    fits : Sequence[FaceFit | None]
        One for each frame, at least one of them not None.
    sizes : Sequence[tuple[int, int]]
        (width, height) of each frame, px.
    in_place : bool
        Keep where and how large the face is in its picture; otherwise the default place and size of the
        canvas.

    Returns
    -------
    target : Target
        One row for each frame.
    notes : tuple[str, ...]
        Which frames were filled in.
    """
    known = [row for row, fit in enumerate(fits) if fit is not None]
    rotations, expressions, positions, scales = [], [], [], []
    for row in known:
        fit, (width, height) = fits[row], sizes[row]
        assert fit is not None
        rotations.append(fit.rotation)
        expressions.append(fit.expression)
        positions.append(fit.translation / [width, height])
        scales.append(np.log(fit.scale / min(width, height)))
    times = np.arange(len(fits))

    def filled(values: Sequence[np.ndarray] | Sequence[float]) -> np.ndarray:
        columns = np.asarray(values, np.float64).reshape(len(known), -1)
        return np.stack([np.interp(times, known, column) for column in columns.T], 1)

    matrices = np.array([_nearest_rotation(m.reshape(3, 3)) for m in filled([r.ravel() for r in rotations])])
    target = Target(
        pose=np.array([camera.angles(m) for m in matrices]),
        expression=filled(expressions),
        position=filled(positions) if in_place else None,
        scale=np.exp(filled(scales))[:, 0] if in_place else None,
    )
    missing = [str(row + 1) for row in times if row not in known]
    shown = ", ".join(missing[:8]) + (" ..." if len(missing) > 8 else "")
    return target, ((f"No usable face in frame {shown}: filled in from its neighbours",) if missing else ())


def smooth(target: Target, strength: float) -> Target:
    """Smooth a sequence in time without delay.

    Parameters
    ----------
    target : Target
        One row for each frame.
    strength : float
        0 leaves it as it is; 1 is a Gaussian with a standard deviation of 4 frames.

    Returns
    -------
    Target
        Of the same length; rotations are averaged as rotations.
    """
    count = len(target.pose)
    sigma = 4.0 * float(np.clip(strength, 0.0, 1.0))
    if count < 2 or sigma < 0.05:
        return target
    distance = np.arange(count)[:, None] - np.arange(count)
    kernel = np.exp(-0.5 * (distance / sigma) ** 2)
    kernel /= kernel.sum(1, keepdims=True)
    matrices = np.array([camera.rotation(*row) for row in target.pose]).reshape(count, 9)
    matrices = (kernel @ matrices).reshape(count, 3, 3)
    return replace(
        target,
        pose=np.array([camera.angles(_nearest_rotation(m)) for m in matrices]),
        expression=kernel @ target.expression,
        position=None if target.position is None else kernel @ target.position,
        scale=None if target.scale is None else np.exp(kernel @ np.log(target.scale)),
    )


def interpolate(
    first: FaceLandmarks3D, last: FaceLandmarks3D, count: int, model: FaceModel, easing: str = "linear"
) -> FaceLandmarks3D:
    """Faces between two, both ends included.

    Parameters
    ----------
    first, last : FaceLandmarks3D
        The last face of ``first`` and the first face of ``last`` are the ends; same canvas.
    count : int
        Faces in the result, at least 2.
    model : FaceModel
        The 3D face.
    easing : str
        One of `EASINGS`.

    Returns
    -------
    FaceLandmarks3D
        A batch of ``count``, with the identity shape of ``first``. Rotation takes the shortest way.
    """
    if count < 2:
        raise ValueError("interpolation needs at least 2 faces")
    if easing not in EASINGS:
        raise ValueError(f"easing '{easing}' is unknown; known: {', '.join(EASINGS)}")
    a, b = first[-1], last[0]
    if (a.width, a.height) != (b.width, b.height):
        raise ValueError(
            f"the canvases differ ({a.width} x {a.height} and {b.width} x {b.height}); make both on "
            "one canvas size"
        )
    t = np.linspace(0.0, 1.0, count)
    t = {
        "linear": t,
        "ease in and out": t * t * (3 - 2 * t),
        "ease in": t * t,
        "ease out": 1 - (1 - t) ** 2,
    }[easing]
    (place_a, scale_a), (place_b, scale_b) = placement(a, model), placement(b, model)
    start, end = camera.rotation(*a.pose[0]), camera.rotation(*b.pose[0])
    axis, angle = _axis_angle(end @ start.T)
    poses = np.array([camera.angles(_turn(axis, angle * k) @ start) for k in t])
    notes = list(dict.fromkeys(a.notes + b.notes))
    if a.shape.shape != b.shape.shape or np.abs(a.shape - b.shape).max(initial=0.0) > 1e-3:
        notes.append("The two faces have different shapes: the first one's is used")
    mix = t[:, None]
    return generate(
        model,
        a.shape,
        poses,
        (1 - mix) * a.expression + mix * b.expression,
        a.width,
        a.height,
        (1 - mix) * place_a + mix * place_b,
        np.exp((1 - t) * np.log(scale_a[0]) + t * np.log(scale_b[0])),
        notes=tuple(notes),
    )


def target_from_landmarks(landmarks: FaceLandmarks3D, model: FaceModel) -> Target:
    """Pose, expression and place of existing landmarks as a target for another person."""
    positions, scales = placement(landmarks, model)
    return Target(
        pose=landmarks.pose.astype(np.float64),
        expression=landmarks.expression.astype(np.float64),
        position=positions / [landmarks.width, landmarks.height],
        scale=scales / min(landmarks.width, landmarks.height),
    )


def _nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    u, _, vt = np.linalg.svd(matrix)
    rotation: np.ndarray = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return rotation


def _axis_angle(matrix: np.ndarray) -> tuple[np.ndarray, float]:
    """Axis and angle of a rotation, also at half a turn."""
    skew = (
        np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]) / 2
    )
    sine, cosine = float(np.linalg.norm(skew)), (float(np.trace(matrix)) - 1) / 2
    if sine > 1e-6:
        return skew / sine, float(np.arctan2(sine, cosine))
    if cosine > 0:
        return np.array([0.0, 0.0, 1.0]), 0.0
    column = (matrix + np.eye(3))[:, int(np.argmax(np.diag(matrix)))]
    return column / np.linalg.norm(column), float(np.pi)


def _turn(axis: np.ndarray, angle: float) -> np.ndarray:
    x, y, z = axis
    k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rotation: np.ndarray = np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k
    return rotation

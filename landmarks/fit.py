"""Fit the 3D face to detected landmarks: pose, identity and expression; one face or several of one person.

Method (*ours*, after the common practice of fitting 3D morphable models): projected Gauss-Newton on
reprojection residuals under the perspective camera of ``landmarks/camera.py``, Gaussian priors on identity
and expression, bounds 0..1 on expression, Cauchy weights against outliers. Faces of one person share one
identity shape: each face's own parameters are eliminated (Schur complement), so the cost grows linearly
with the number of faces.

MediaPipe's mesh puts its points on other places of the skin than the base mesh: its average face (the
canonical face model that the mesh network was built on) minus ours is stored with the model as
`FaceModel.facemesh_offset` and taken into account for 468- and 478-point input; see
``tools/calibrate_facemesh.py`` for how and from which data. Pictures rendered from the base mesh itself
have our average; which of the two it is shows in how much identity the points need.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .camera import CAMERA_DISTANCE
from .fit_layouts import FACEMESH_COUNTS
from .fit_result import FaceFit
from .fit_solver import ITERATIONS, JointFit
from .model import FaceModel

SIGMA = 0.025
"""Expected noise of a landmark, interocular distances."""
_CHOOSING_ITERATIONS = 3
_REAL_FACE_BONUS = 10.0
"""In doubt a face is a real one: what the base mesh must be ahead by, as `JointFit.effort` measures it."""


def fit_face(
    points: np.ndarray,
    model: FaceModel,
    *,
    shape: np.ndarray | None = None,
    sigma: float = SIGMA,
    distance: float = CAMERA_DISTANCE,
    calibrated: bool | None = None,
) -> FaceFit:
    """Fit one face.

    Parameters
    ----------
    points : np.ndarray
        (468 | 478 | 68 | 72, 2 or 3) landmarks in px, y down; NaN marks missing ones.
    model : FaceModel
        The 3D face.
    shape : np.ndarray | None
        Known identity coefficients to hold fixed (for a video of a known person); None fits them.
    sigma : float
        Expected noise of the landmarks, interocular distances.
    distance : float
        Camera distance, interocular distances.
    calibrated : bool | None
        True expects MediaPipe's points where real faces have them, False where the base mesh has them
        (renders of it). None chooses what needs less identity and expression to explain the points, in
        doubt a real face; with a known ``shape`` it is True. Other layouts need no calibration.

    Returns
    -------
    FaceFit

    Raises
    ------
    ValueError
        When the landmarks cannot be used.
    """
    return fit_faces(
        [points], None, model, shape=shape, sigma=sigma, distance=distance, calibrated=calibrated
    )[0]


def fit_faces(
    points: Sequence[np.ndarray],
    weights: Sequence[float] | None,
    model: FaceModel,
    *,
    shape: np.ndarray | None = None,
    sigma: float = SIGMA,
    distance: float = CAMERA_DISTANCE,
    calibrated: bool | None = None,
) -> list[FaceFit]:
    """Fit several pictures of one person with one identity shape.

    Parameters
    ----------
    points : Sequence[np.ndarray]
        Landmarks of each picture, as `fit_face` takes them; layouts may differ.
    weights : Sequence[float] | None
        >= 0, how much each picture says about the identity (quality); 0 leaves it to the others. None is
        1 for all.
    model, shape, sigma, distance, calibrated
        As for `fit_face`.

    Returns
    -------
    list[FaceFit]
        One for each picture; ``shape`` is the same in all.

    Raises
    ------
    ValueError
        When a picture's landmarks cannot be used; the message says which.
    """
    if not len(points):
        raise ValueError("face fit: no landmarks given")
    per_face = np.ones(len(points)) if weights is None else np.asarray(weights, np.float64)
    if len(per_face) != len(points) or (per_face < 0).any() or not np.isfinite(per_face).all():
        raise ValueError("face fit: weights must be one number >= 0 for each face")
    facemesh = any(len(np.atleast_1d(array)) in FACEMESH_COUNTS for array in points)
    if calibrated is None and facemesh and shape is None:
        real, render = (
            JointFit(points, per_face, model, shape, sigma, distance, option) for option in (True, False)
        )
        real.run(_CHOOSING_ITERATIONS)
        render.run(_CHOOSING_ITERATIONS)
        # The wrong average face has to be bent into the right one by identity and expression.
        best = render if real.effort() > render.effort() + _REAL_FACE_BONUS else real
    else:
        best = JointFit(points, per_face, model, shape, sigma, distance, calibrated is not False)
    best.run(ITERATIONS)
    return best.results()

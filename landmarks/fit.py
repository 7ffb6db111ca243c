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
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import names
from .camera import CAMERA_DISTANCE, angles, project
from .model import FaceModel
from .visibility import visible_points

SIGMA = 0.025
"""Expected noise of a landmark, interocular distances."""
EXPRESSION_SIGMA = 0.3
"""Standard deviation of the prior on expression coefficients that are not in `_FREQUENT` or `_RARE`."""
_FREQUENT = (
    "jawOpen", "mouthSmile", "mouthUpperUp", "mouthLowerDown", "mouthPucker", "eyeBlink", "eyeLook",
    "browDown", "browInnerUp", "browOuterUp",
)  # fmt: skip
_RARE = (
    "mouthShrugLower", "mouthRoll", "mouthClose", "mouthDimple", "mouthPress", "mouthLeft", "mouthRight",
    "jawForward", "jawLeft", "jawRight", "cheekPuff",
)  # fmt: skip
_FREQUENT_SIGMA, _RARE_SIGMA = 0.45, 0.15
SYMMETRY_SIGMA = 0.25
"""Standard deviation of the prior on the difference between the two sides of an expression."""
MIN_POINTS = 24
"""Fewest usable points of a fit."""
_ITERATIONS = 12
_CHOOSING_ITERATIONS = 3
_REAL_FACE_BONUS = 10.0
"""In doubt a face is a real one: what the base mesh must be ahead by, as `_Joint.effort` measures it."""
_FACEMESH_COUNTS = (468, 478)
_FREE_SIDES = {"eyeBlink": 0.5}
"""Sides that differ more freely than `SYMMETRY_SIGMA` says: people wink."""


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """One standard deviation of what was fitted, from the curvature at the solution and the residuals found.

    Attributes
    ----------
    pose : np.ndarray
        (3,) degrees about the picture's vertical, horizontal and viewing axis (about yaw, pitch, roll).
    shape : np.ndarray
        (K,) identity coefficients; 1 means that the picture says nothing about one.
    expression : np.ndarray
        (52,) ARKit coefficients; NaN for what the given points do not show.
    """

    pose: np.ndarray
    shape: np.ndarray
    expression: np.ndarray


@dataclass(frozen=True, eq=False)
class FaceFit:
    """The 3D face as found in one picture.

    Attributes
    ----------
    rotation : np.ndarray
        (3, 3) head frame -> camera (y up).
    scale : float
        Px per interocular distance of the mean face.
    translation : np.ndarray
        (2,) px: where the midpoint of the eyes' centres of the mean face appears.
    shape : np.ndarray
        (K,) identity coefficients.
    expression : np.ndarray
        (52,) ARKit coefficients in 0..1; unobservable ones are 0.
    residual : float
        Mean distance between the fit and the given points of the inner face (no jaw contour), interocular
        distances of this person.
    uncertainty : Uncertainty
        How sure all this is.
    weights : np.ndarray
        (72,) in 0..1: how far each point was trusted at the end; 0 where none was given.
    offset : np.ndarray
        (72, 3) that was added to the model's points to meet the detector's (interocular distances, head
        frame).
    """

    rotation: np.ndarray
    scale: float
    translation: np.ndarray
    shape: np.ndarray
    expression: np.ndarray
    residual: float
    uncertainty: Uncertainty
    weights: np.ndarray
    offset: np.ndarray

    @property
    def pose(self) -> tuple[float, float, float]:
        """Yaw, pitch, roll in degrees."""
        return angles(self.rotation)

    def points(self, model: FaceModel, as_detected: bool = False) -> np.ndarray:
        """Fitted points in the picture.

        Parameters
        ----------
        model : FaceModel
            The 3D face.
        as_detected : bool
            True gives the places where the detector puts the points: use these to align with the picture's
            content. False gives the model's own, as `generate` would draw them.

        Returns
        -------
        np.ndarray
            (72, 3) float64: x, y px and z px towards the viewer.
        """
        face = model.points(self.shape, self.expression) + (self.offset if as_detected else 0.0)
        return project(face, self.rotation, self.scale, self.translation)


def to_72(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Bring landmarks of a known layout to the 72 points.

    Parameters
    ----------
    points : np.ndarray
        (N, 2 or 3) px with N = 468 or 478 (MediaPipe), 68 (iBUG) or 72 (ours). NaN marks a missing point.

    Returns
    -------
    points : np.ndarray
        (72, 2) float64, NaN where missing.
    weights : np.ndarray
        (72,) trust in each point before any fit: contour points slide along the face as it turns.
    facemesh : bool
        Whether they are MediaPipe's points.

    Raises
    ------
    ValueError
        For an unknown layout, or too few usable points.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] not in (2, 3) or len(points) not in (*_FACEMESH_COUNTS, 68, 72):
        raise ValueError(
            f"face landmarks have shape {points.shape}; 468 or 478 (MediaPipe), 68 (iBUG) or 72 "
            "points are understood"
        )
    result = np.full((names.POINT_COUNT, 2), np.nan)
    weights = np.ones(names.POINT_COUNT)
    facemesh = len(points) in _FACEMESH_COUNTS
    if facemesh:
        known = len(points) > names.FACEMESH_INDEX
        result[known] = points[names.FACEMESH_INDEX[known], :2]
        weights[list(names.JAW)] = 0.4
        weights[[names.GLABELLA, names.FOREHEAD]] = 0.5
    else:
        result[: len(points)] = points[:, :2]
        if len(points) == 68:
            weights[list(names.JAW)] = 0.25
    result[~np.isfinite(result).all(1)] = np.nan
    weights[np.isnan(result[:, 0])] = 0.0
    usable = int((weights[:68] > 0).sum())
    spread = np.nanmax(result, 0) - np.nanmin(result, 0) if usable else np.zeros(2)
    if usable < MIN_POINTS:
        raise ValueError(f"only {usable} of 68 face landmarks are usable; at least {MIN_POINTS} are needed")
    if (spread < 2.0).any():
        raise ValueError("face landmarks lie within 2 px of each other; use a larger picture of the face")
    return result, weights, facemesh


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
    trust = np.ones(len(points)) if weights is None else np.asarray(weights, np.float64)
    if len(trust) != len(points) or (trust < 0).any() or not np.isfinite(trust).all():
        raise ValueError("face fit: weights must be one number >= 0 for each face")
    facemesh = any(len(np.atleast_1d(array)) in _FACEMESH_COUNTS for array in points)
    if calibrated is None and facemesh and shape is None:
        real, render = (
            _Joint(points, trust, model, shape, sigma, distance, option) for option in (True, False)
        )
        real.run(_CHOOSING_ITERATIONS)
        render.run(_CHOOSING_ITERATIONS)
        # The wrong average face has to be bent into the right one by identity and expression.
        best = render if real.effort() > render.effort() + _REAL_FACE_BONUS else real
    else:
        best = _Joint(points, trust, model, shape, sigma, distance, calibrated is not False)
    best.run(_ITERATIONS)
    return best.results()


class _Joint:
    """State of a fit of several pictures with one identity."""

    def __init__(
        self,
        points: Sequence[np.ndarray],
        trust: np.ndarray,
        model: FaceModel,
        shape: np.ndarray | None,
        sigma: float,
        distance: float,
        calibrated: bool,
    ):
        self.trust, self.fixed = trust, shape is not None
        self.faces = []
        for number, array in enumerate(points):
            try:
                self.faces.append(_Face(array, model, sigma, distance, calibrated))
            except ValueError as error:
                where = f"face {number + 1} of {len(points)}: " if len(points) > 1 else ""
                raise ValueError(where + str(error)) from error
        self.identity = np.zeros(model.components)
        if shape is not None:
            self.identity[: len(np.ravel(shape))] = np.ravel(shape)
        self.total = np.eye(model.components)
        self.done = 0
        self.previous = np.inf

    def run(self, until: int) -> None:
        """Iterate up to iteration ``until``, or until nothing moves any more."""
        while self.done < until:
            largest = self._iterate(self.done)
            self.done += 1
            if self.done > 6 and max(largest, self.previous) < 3e-3:
                break
            self.previous = largest

    def _iterate(self, iteration: int) -> float:
        """Do one Gauss-Newton step of everything; return the largest change."""
        with_expression = iteration >= 2
        with_shape = with_expression and not self.fixed
        if iteration == 2:
            for face in self.faces:
                face.find_hidden(self.identity)
        total = np.eye(len(self.identity))
        gradient = -self.identity
        steps, follow = [], []
        for face, amount in zip(self.faces, self.trust, strict=True):
            own, cross, shared, g_own, g_shared = face.linearise(
                self.identity, with_expression, robust=iteration >= 3
            )
            if not with_shape:
                steps.append(np.linalg.solve(own, g_own))
                continue
            solved = np.linalg.solve(own, np.c_[cross, g_own])
            steps.append(solved[:, -1])
            follow.append(solved[:, :-1])
            if amount > 0:
                total += amount * (shared - cross.T @ solved[:, :-1])
                gradient = gradient + amount * (g_shared - cross.T @ solved[:, -1])
        self.total = total
        step = np.linalg.solve(total, gradient) if with_shape else np.zeros(len(gradient))
        largest = float(np.abs(step).max(initial=0.0))
        for row, face in enumerate(self.faces):
            largest = max(largest, face.move(steps[row] - follow[row] @ step if with_shape else steps[row]))
        self.identity = self.identity + step
        return largest

    def effort(self) -> float:
        """Return how far identity and expression are from the average, as their priors measure it."""
        expressions = [face.expression @ face.prior @ face.expression for face in self.faces]
        return float((self.identity**2).sum() + np.mean(expressions))

    def results(self) -> list[FaceFit]:
        """Return the fit of each picture."""
        covariance = np.zeros_like(self.total) if self.fixed else np.linalg.inv(self.total)
        return [face.result(self.identity, covariance) for face in self.faces]


class _Face:
    """State of one picture during the fit."""

    def __init__(self, points: np.ndarray, model: FaceModel, sigma: float, distance: float, calibrated: bool):
        self.target, self.layout_weights, facemesh = to_72(points)
        self.base_weights = self.layout_weights
        self.given = self.base_weights > 0
        self.target = np.where(self.given[:, None], self.target, 0.0)
        self.model, self.sigma, self.distance = model, sigma, distance
        self.offset = model.facemesh_offset if facemesh and calibrated else np.zeros_like(model.mean)
        # Without pupils nothing tells the gaze; its effect on the lids would be mistaken for it.
        gaze = bool(self.given[[names.RIGHT_PUPIL, names.LEFT_PUPIL]].all())
        self.names = tuple(name for name in model.observable if gaze or not name.startswith("eyeLook"))
        self.rows = np.array([model.expression_index[name] for name in self.names])
        self.basis = model.expression[self.rows]
        # (72, 3, E + K): all that moves a point, laid out for one batched product.
        self.flat = np.concatenate([self.basis, model.identity]).transpose(1, 2, 0).copy()
        self.expression = np.zeros(len(self.rows))
        lips = ("mouthClose", "jawOpen")
        known = all(name in self.names for name in lips)
        self.close = (self.names.index(lips[0]), self.names.index(lips[1])) if known else None
        self.prior = _expression_prior(self.names)
        self.weights = self.base_weights.copy()
        self.noise = float(sigma)
        self.inner = self.given.copy()
        self.inner[list(names.JAW)] = False
        self._start()

    def _start(self) -> None:
        """Scale, place and roll from a similarity between the mean face and the points."""
        use = self.given.copy()
        mean = (self.model.mean + self.offset)[use, :2] * [1.0, -1.0]
        seen = self.target[use]
        a, b = mean - mean.mean(0), seen - seen.mean(0)
        # Complex numbers: the similarity is one division.
        za, zb = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1]
        turn = (np.conj(za) * zb).sum() / (np.abs(za) ** 2).sum()
        self.scale: float = float(np.sqrt((np.abs(b) ** 2).sum() / (np.abs(a) ** 2).sum()))
        angle = -np.angle(turn)
        c, s = np.cos(angle), np.sin(angle)
        self.rotation = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        moved = za * turn / abs(turn) * self.scale
        self.centre = seen.mean(0) - [moved.real.mean(), moved.imag.mean()]
        origin = mean.mean(0)[0] + 1j * mean.mean(0)[1]
        shift = origin * turn / abs(turn) * self.scale
        self.centre = self.centre - [shift.real, shift.imag]

    def _posed(self, identity: np.ndarray) -> np.ndarray:
        face = self.model.mean + self.offset + self.flat @ np.r_[self.expression, identity]
        return face @ self.rotation.T

    def _project(self, posed: np.ndarray) -> np.ndarray:
        enlarge = self.scale * self.distance / (self.distance - posed[:, 2:])
        return self.centre + posed[:, :2] * enlarge * [1.0, -1.0]

    def find_hidden(self, identity: np.ndarray) -> None:
        """Trust points that the face hides less: detectors guess them."""
        posed = self._posed(identity)
        seen = visible_points(np.c_[self._project(posed), posed[:, 2] * self.scale], self.model)
        self.base_weights = np.where(seen, 1.0, 0.35) * self.layout_weights
        self.weights = self.base_weights.copy()

    def linearise(
        self, identity: np.ndarray, with_expression: bool, robust: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the normal equations: own, cross and shared block, and the two gradients."""
        d, k = self.distance, self.model.components
        posed = self._posed(identity)
        x, y, depth = posed[:, 0], posed[:, 1], d / (d - posed[:, 2])
        projected = self._project(posed)
        residual = self.target - projected
        distances = np.hypot(residual[:, 0], residual[:, 1]) / self.scale
        if robust:
            self.noise = max(self.sigma, 1.2 * float(np.median(distances[self.inner])))
            self.weights = self.base_weights / (1 + (distances / (4 * self.noise)) ** 2)
        root = np.sqrt(self.weights) / (self.sigma * self.scale)

        # Change of every picture coordinate with the posed point, then with the point in the head frame.
        camera = np.zeros((len(posed), 2, 3))
        camera[:, 0, 0], camera[:, 0, 2] = depth, x * depth**2 / d
        camera[:, 1, 1], camera[:, 1, 2] = -depth, -y * depth**2 / d
        camera *= (root * self.scale)[:, None, None]
        turns = np.zeros((len(posed), 3, 3))
        turns[:, 1, 0], turns[:, 2, 0] = -posed[:, 2], y
        turns[:, 0, 1], turns[:, 2, 1] = posed[:, 2], -x
        turns[:, 0, 2], turns[:, 1, 2] = -y, x
        placing = np.zeros((len(posed), 2, 6))
        placing[:, :, :3] = camera @ turns
        placing[:, :, 3] = (projected - self.centre) * root[:, None]
        placing[:, 0, 4] = placing[:, 1, 5] = root * self.scale
        error = (residual * root[:, None]).ravel()
        n = 6 + len(self.rows)
        if not with_expression:  # at first only the pose moves
            own, g_own = np.eye(n), np.zeros(n)
            place = placing.reshape(-1, 6)
            own[:6, :6] = place.T @ place + 1e-3 * np.eye(6)
            g_own[:6] = place.T @ error
            return own, np.zeros((n, k)), np.zeros((k, k)), g_own, np.zeros(k)
        jacobian = np.empty((2 * len(posed), n + k))
        jacobian[:, :6] = placing.reshape(-1, 6)
        jacobian[:, 6:] = ((camera @ self.rotation) @ self.flat).reshape(len(error), -1)
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ error

        own, cross, shared = normal[:n, :n], normal[:n, n:], normal[n:, n:]
        g_own, g_shared = gradient[:n], gradient[n:]
        own[6:, 6:] += self.prior
        g_own[6:] -= self.prior @ self.expression
        own[np.arange(6), np.arange(6)] += 1e-3
        # Coefficients that push against a bound stay where they are.
        held = (self.expression <= 0) & (g_own[6:] < 0) | (self.expression >= 1) & (g_own[6:] > 0)
        fixed = 6 + np.nonzero(held)[0]
        own[fixed], own[:, fixed], cross[fixed], g_own[fixed] = 0.0, 0.0, 0.0, 0.0
        own[fixed, fixed] = 1.0
        return own, cross, shared, g_own, g_shared

    def move(self, step: np.ndarray) -> float:
        """Apply a step of the own parameters; return the largest change."""
        turn = step[:3]
        angle = float(np.linalg.norm(turn))
        if angle > 0.6:
            turn, angle = turn * (0.6 / angle), 0.6
        if angle > 1e-12:
            x, y, z = turn / angle
            k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
            self.rotation = (np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k) @ self.rotation
        self.centre = self.centre + step[4:6] * self.scale
        self.scale = float(self.scale * np.exp(np.clip(step[3], -0.4, 0.4)))
        before = self.expression
        self.expression = np.clip(before + step[6:], 0.0, 1.0)
        if self.close is not None:  # lips close no further than the jaw is open
            row, jaw = self.close
            self.expression[row] = min(self.expression[row], self.expression[jaw])
        return max(float(angle), float(np.abs(self.expression - before).max(initial=0.0)))

    def result(self, identity: np.ndarray, covariance: np.ndarray) -> FaceFit:
        """Put the fit and its uncertainty together."""
        own, cross, *_ = self.linearise(identity, True, robust=True)
        inverse = np.linalg.inv(own)
        spread = inverse @ cross
        own_covariance = inverse + spread @ covariance @ spread.T
        factor = (self.noise / self.sigma) ** 2
        deviation = np.sqrt(np.maximum(np.diag(own_covariance), 0) * factor)
        expression = np.zeros(len(self.model.expression_names))
        expression[self.rows] = self.expression
        expression_deviation = np.full(len(expression), np.nan)
        expression_deviation[self.rows] = np.minimum(deviation[6:], [_sigma_of(name) for name in self.names])
        seen = self._project(self._posed(identity))
        eyes = self.model.points(identity)
        own_unit = names.interocular_distance(eyes) * self.scale
        inner = [i for i in names.INNER_FACE if self.given[i]]
        residual = float(np.linalg.norm(self.target - seen, axis=1)[inner].mean() / own_unit)
        return FaceFit(
            rotation=self.rotation,
            scale=self.scale,
            translation=self.centre,
            shape=identity.copy(),
            expression=expression,
            residual=residual,
            uncertainty=Uncertainty(
                pose=np.rad2deg(deviation[[1, 0, 2]]),
                shape=np.minimum(np.sqrt(np.diag(covariance) * factor), 1.0),
                expression=expression_deviation,
            ),
            weights=self.weights,
            offset=self.offset,
        )


def _sigma_of(name: str) -> float:
    """Prior standard deviation of a coefficient: how often and how strongly faces do it (*ours*)."""
    if name.startswith(_FREQUENT):
        return _FREQUENT_SIGMA
    return _RARE_SIGMA if name.startswith(_RARE) else EXPRESSION_SIGMA


@lru_cache(maxsize=8)
def _expression_prior(names_: tuple[str, ...]) -> np.ndarray:
    """Inverse covariance of the observable coefficients: near 0, and both sides alike."""
    prior = np.diag([1 / _sigma_of(name) ** 2 for name in names_])
    for i, name in enumerate(names_):
        stem = name.removesuffix("Left")
        if stem != name and stem + "Right" in names_ and stem not in ("jaw", "mouth"):
            j = names_.index(stem + "Right")
            # Gaze and mouth shifts move to one side by nature; eyes look the same way by "In" on one and
            # "Out" on the other, which this term must not fight.
            if stem.startswith("eyeLookIn") or stem.startswith("eyeLookOut"):
                continue
            amount = 1 / _FREE_SIDES.get(stem, SYMMETRY_SIGMA) ** 2
            prior[i, i] += amount
            prior[j, j] += amount
            prior[i, j] -= amount
            prior[j, i] -= amount
    prior.flags.writeable = False
    return prior

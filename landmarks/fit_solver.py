"""The solver of the fit: projected Gauss-Newton over pictures that share one identity shape.

*Ours*, after the common practice of fitting 3D morphable models. Each picture's own parameters are eliminated
(Schur complement), so that the cost grows linearly with the number of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from . import names
from .fit_layouts import to_72
from .fit_priors import expression_prior, expression_sigma
from .fit_result import FaceFit, Uncertainty
from .model import FaceModel
from .visibility import visible_points

ITERATIONS = 12
"""Most Gauss-Newton steps of a fit."""


class NormalEquations(NamedTuple):
    """One picture's linear system: E own parameters (6 of the pose, then expression) and K shared ones."""

    own: np.ndarray
    """(6 + E, 6 + E)."""
    cross: np.ndarray
    """(6 + E, K)."""
    shared: np.ndarray
    """(K, K)."""
    own_gradient: np.ndarray
    shared_gradient: np.ndarray


class JointFit:
    """State of a fit of several pictures with one identity.

    Parameters
    ----------
    points : Sequence[np.ndarray]
        Landmarks of each picture, in any layout that `fit_layouts.to_72` knows.
    weights : np.ndarray
        (N,) >= 0, how much each picture says about the identity.
    model : FaceModel
        The 3D face.
    shape : np.ndarray | None
        Identity coefficients to hold fixed; None fits them.
    sigma, distance : float
        Expected noise and camera distance, interocular distances.
    calibrated : bool
        Whether MediaPipe's points are expected where real faces have them.

    Raises
    ------
    ValueError
        A picture's landmarks cannot be used; the message says which.
    """

    def __init__(
        self,
        points: Sequence[np.ndarray],
        weights: np.ndarray,
        model: FaceModel,
        shape: np.ndarray | None,
        sigma: float,
        distance: float,
        calibrated: bool,
    ) -> None:
        self.weights, self.fixed = weights, shape is not None
        self.faces = []
        for number, array in enumerate(points):
            try:
                self.faces.append(PictureFit(array, model, sigma, distance, calibrated))
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
        for face, amount in zip(self.faces, self.weights, strict=True):
            part = face.linearise(self.identity, with_expression, robust=iteration >= 3)
            if not with_shape:
                steps.append(np.linalg.solve(part.own, part.own_gradient))
                continue
            solved = np.linalg.solve(part.own, np.c_[part.cross, part.own_gradient])
            steps.append(solved[:, -1])
            follow.append(solved[:, :-1])
            if amount > 0:
                total += amount * (part.shared - part.cross.T @ solved[:, :-1])
                gradient = gradient + amount * (part.shared_gradient - part.cross.T @ solved[:, -1])
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


class PictureFit:
    """State of one picture during the fit."""

    def __init__(
        self, points: np.ndarray, model: FaceModel, sigma: float, distance: float, calibrated: bool
    ) -> None:
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
        self.prior = expression_prior(self.names)
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
        posed: np.ndarray = face @ self.rotation.T
        return posed

    def _project(self, posed: np.ndarray) -> np.ndarray:
        enlarge = self.scale * self.distance / (self.distance - posed[:, 2:])
        projected: np.ndarray = self.centre + posed[:, :2] * enlarge * [1.0, -1.0]
        return projected

    def find_hidden(self, identity: np.ndarray) -> None:
        """Lower the confidence of points that the face hides: detectors guess them."""
        posed = self._posed(identity)
        seen = visible_points(np.c_[self._project(posed), posed[:, 2] * self.scale], self.model)
        self.base_weights = np.where(seen, 1.0, 0.35) * self.layout_weights
        self.weights = self.base_weights.copy()

    def linearise(self, identity: np.ndarray, with_expression: bool, robust: bool) -> NormalEquations:
        """Return the normal equations at the current parameters; ``robust`` weighs points anew."""
        posed = self._posed(identity)
        projected = self._project(posed)
        residual = self.target - projected
        distances = np.hypot(residual[:, 0], residual[:, 1]) / self.scale
        if robust:
            self.noise = max(self.sigma, 1.2 * float(np.median(distances[self.inner])))
            self.weights = self.base_weights / (1 + (distances / (4 * self.noise)) ** 2)
        root = np.sqrt(self.weights) / (self.sigma * self.scale)

        camera, placing = self._derivatives(posed, projected, root)
        error = (residual * root[:, None]).ravel()
        if not with_expression:
            return self._pose_alone(placing, error)
        n, k = 6 + len(self.rows), self.model.components
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
        return NormalEquations(own, cross, shared, g_own, g_shared)

    def _pose_alone(self, placing: np.ndarray, error: np.ndarray) -> NormalEquations:
        """Return a system in which only the pose moves, as at first."""
        n, k = 6 + len(self.rows), self.model.components
        own, gradient = np.eye(n), np.zeros(n)
        place = placing.reshape(-1, 6)
        own[:6, :6] = place.T @ place + 1e-3 * np.eye(6)
        gradient[:6] = place.T @ error
        return NormalEquations(own, np.zeros((n, k)), np.zeros((k, k)), gradient, np.zeros(k))

    def _derivatives(
        self, posed: np.ndarray, projected: np.ndarray, root: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the change of every picture coordinate, times its weight's ``root``.

        Parameters
        ----------
        posed, projected : np.ndarray
            (72, 3) posed points and (72, 2) px.
        root : np.ndarray
            (72,).

        Returns
        -------
        tuple[np.ndarray, np.ndarray]
            (72, 2, 3) with the posed point, and (72, 2, 6) with rotation, scale and place.
        """
        d = self.distance
        x, y, depth = posed[:, 0], posed[:, 1], d / (d - posed[:, 2])
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
        return camera, placing

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
        part = self.linearise(identity, True, robust=True)
        inverse = np.linalg.inv(part.own)
        spread = inverse @ part.cross
        own_covariance = inverse + spread @ covariance @ spread.T
        factor = (self.noise / self.sigma) ** 2
        deviation = np.sqrt(np.maximum(np.diag(own_covariance), 0) * factor)
        expression = np.zeros(len(self.model.expression_names))
        expression[self.rows] = self.expression
        expression_deviation = np.full(len(expression), np.nan)
        expression_deviation[self.rows] = np.minimum(
            deviation[6:], [expression_sigma(name) for name in self.names]
        )
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

"""What a fit of the 3D face found in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import angles, project
from .model import FaceModel


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
        (72,) in 0..1: confidence of each point at the end of the fit; 0 where none was given.
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

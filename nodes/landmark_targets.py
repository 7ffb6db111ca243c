"""What the landmark nodes share: finding the target's face, and reading it as a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from comfy.utils import ProgressBar

from ..faces.analyzer import FaceAnalyzer
from ..faces.records import ReferenceFaces
from ..faces.select import PICKS, pick_single
from ..landmarks.fit import fit_faces
from ..landmarks.landmarks import FaceLandmarks3D
from ..landmarks.model import FaceModel
from ..landmarks.sequence import fit_sequence, target_from_fits, target_from_landmarks
from ..landmarks.target import Target
from .pictures import faces_in

TARGET_PICKS = PICKS[1:]
PLACES = ("canvas", "as in the target")


def find_faces(
    image: torch.Tensor, analyzer: FaceAnalyzer, pick: str, index: int, what: str = "target picture"
) -> tuple[list[np.ndarray | None], list[tuple[int, int]], list[str]]:
    """Landmarks of one face in every picture of a batch.

    Parameters
    ----------
    image : torch.Tensor
        (B, H, W, C) in 0..1.
    analyzer : FaceAnalyzer
        Finds the faces.
    pick, index
        Which face of several, as in Load Reference Faces.
    what : str
        What messages call a picture.

    Returns
    -------
    points : list[np.ndarray | None]
        (468 | 68, 3) px, or None where there is no such face.
    sizes : list[tuple[int, int]]
        (width, height) of each picture.
    notes : list[str]
        Where one of several faces was picked.
    """
    points: list[np.ndarray | None] = []
    sizes: list[tuple[int, int]] = []
    notes: list[str] = []
    for picture, faces in faces_in(image, analyzer, what):
        height, width = picture.pixels.shape[:2]
        chosen = pick_single(faces, width, height, pick, index)
        points.append(None if chosen is None else faces[chosen].landmarks)
        sizes.append((width, height))
        if len(faces) > 1 and len(image) == 1:
            notes.append(f"The {picture.name} has {len(faces)} faces: {pick} was picked")
    if all(array is None for array in points):
        reason = "no face found" if pick != TARGET_PICKS[-1] else f"no face number {index}"
        raise ValueError(
            f"{what}: {reason}; use a picture that shows a face larger than 24 px, or pick another face"
        )
    return points, sizes, notes


def target_from_image(
    image: torch.Tensor, analyzer: FaceAnalyzer | None, pick: str, index: int, place: str, model: FaceModel
) -> tuple[Target, tuple[str, ...]]:
    """Pose, expression and place of a photo or of frames."""
    if analyzer is None:
        raise ValueError("target_image needs an analyzer: connect Load Face Analyzer")
    points, sizes, notes = find_faces(image, analyzer, pick, index)
    bar = ProgressBar(2 * len(points))
    fits = fit_sequence(points, model, lambda: bar.update(1))
    target, more = target_from_fits(fits, sizes, in_place=place == PLACES[1])
    return target, (*notes, *more)


def target_from_faces(faces: ReferenceFaces, model: FaceModel) -> tuple[Target, tuple[str, ...]]:
    """Pose and expression of faces that Load Reference Faces found, in the order of its pictures."""
    records = sorted(faces.faces, key=lambda face: face.source_index)
    fits = list(fit_faces([face.landmarks for face in records], [face.weight for face in records], model))
    target, notes = target_from_fits(fits, [(1, 1)] * len(fits))
    return target, notes


def target_from_host(data: Any, place: str, model: FaceModel) -> tuple[Target, tuple[str, ...]]:
    """Pose and expression of the host's own FACE_LANDMARKS: the first face of every frame."""
    try:
        height, width = (int(value) for value in data["image_size"])
        points = [
            np.asarray(frame[0]["landmarks_xy"], np.float64) if len(frame) else None
            for frame in data["frames"]
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"target_host_landmarks are not what this pack knows of the host's ({error!r})"
        ) from error
    return target_from_fits(
        fit_sequence(points, model), [(width, height)] * len(points), in_place=place == PLACES[1]
    )


@dataclass(frozen=True, eq=False)
class TargetInputs:
    """What an artist may connect as a target, and how it is to be read."""

    place: str
    """One of `PLACES`: whether the face goes where it is in the target."""
    pick: str
    """One of `TARGET_PICKS`: which face of several in a picture."""
    index: int
    """Number of the face, where it is picked by number."""
    image: torch.Tensor | None = None
    """(B, H, W, C) in 0..1; needs an analyzer."""
    analyzer: FaceAnalyzer | None = None
    faces: ReferenceFaces | None = None
    landmarks: FaceLandmarks3D | None = None
    host: Any = None
    """The host's own FACE_LANDMARKS."""

    @property
    def given(self) -> list[str]:
        """Names of the node's inputs that are connected."""
        inputs = {
            "target_image": self.image,
            "target_faces": self.faces,
            "target_landmarks": self.landmarks,
            "target_host_landmarks": self.host,
        }
        return [name for name, value in inputs.items() if value is not None]


def choose_target(model: FaceModel, inputs: TargetInputs) -> tuple[Target | None, tuple[str, ...]]:
    """Read the one target that is connected.

    Returns
    -------
    tuple
        The target, or None where none is connected; and notes for the artist.

    Raises
    ------
    ValueError
        Several are connected, or the one cannot be read; one line names the input.
    """
    if len(inputs.given) > 1:
        raise ValueError(f"connect one target only, not {' and '.join(inputs.given)}")
    if inputs.image is not None:
        return target_from_image(
            inputs.image, inputs.analyzer, inputs.pick, inputs.index, inputs.place, model
        )
    if inputs.faces is not None:
        return target_from_faces(inputs.faces, model)
    if inputs.landmarks is not None:
        target = target_from_landmarks(inputs.landmarks, model)
        if inputs.place == PLACES[0]:
            target = Target(pose=target.pose, expression=target.expression)
        return target, ()
    if inputs.host is not None:
        return target_from_host(inputs.host, inputs.place, model)
    return None, ()


def shape_and_expression(
    identity: Any, references: ReferenceFaces | None, model: FaceModel, head: Any = None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Identity shape and own expression of the person; (None, None) is the average face."""
    if identity is not None:
        return identity.shape, getattr(identity, "expression", None)
    if references is None and head is not None:
        return head.shape, head.expression
    if references is None:
        return None, None
    used = [face for face in references.faces if face.weight > 0]
    if not used:
        raise ValueError("references: every face has weight 0; give at least one a weight above 0")
    weights = np.array([face.weight for face in used])
    fits = fit_faces([face.landmarks for face in used], list(weights), model)
    expression = sum(w * fit.expression for w, fit in zip(weights / weights.sum(), fits, strict=True))
    return fits[0].shape.astype(np.float32), np.asarray(expression)

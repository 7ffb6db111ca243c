"""How much generated pictures look like the person, and whether pose and expression are what was asked for.

Similarity to the references alone rewards copying one of them; so it is measured against held-out photos too,
where there are some, and both are reported side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..boundary.licences import merged, summary
from ..faces.analyzer import DetectedFace, FaceAnalyzer
from ..faces.crop import in_crop
from ..faces.pictures import NamedImage, UnreadableImage
from ..faces.records import ReferenceFaces
from ..faces.references import analyze_cached
from ..landmarks.camera import rotation
from ..landmarks.fit import fit_face
from ..landmarks.landmarks import FaceLandmarks3D
from ..landmarks.model import FaceModel


@dataclass(frozen=True, eq=False)
class Compared:
    """One picture, measured.

    Attributes
    ----------
    name : str
        The picture's name.
    face : DetectedFace or None
        The face that was compared; None where none was found.
    similarity : float
        Weighted mean cosine similarity to the references; 0 without a face: nobody is like nobody.
    held_out : float or None
        Mean cosine similarity to the held-out photos, where there are some.
    pose_error : float or None
        Angle between the face's and the target's rotation, degrees.
    turn : np.ndarray or None
        (3,) yaw, pitch, roll of the face less the target's, degrees.
    expression_error : float or None
        Mean absolute difference of the expression coefficients that can be seen, 0..1.
    """

    name: str
    face: DetectedFace | None
    similarity: float
    held_out: float | None
    pose_error: float | None
    turn: np.ndarray | None
    expression_error: float | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """All pictures, measured with one recognizer.

    Attributes
    ----------
    pictures : tuple of Compared
        In input order.
    recognizer : str
        Which embeddings the similarities are of.
    notes : tuple of str
        What else there is to know, one line each.
    """

    pictures: tuple[Compared, ...]
    recognizer: str
    notes: tuple[str, ...] = ()

    def mean(self, name: str) -> float:
        """Mean of an attribute over the pictures that have it; NaN where none has."""
        values = [getattr(item, name) for item in self.pictures]
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else float("nan")


def compare(
    images: Sequence[NamedImage | UnreadableImage],
    references: ReferenceFaces,
    analyzer: FaceAnalyzer,
    held_out: Sequence[NamedImage | UnreadableImage] = (),
    target: FaceLandmarks3D | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare pictures with the references of one person.

    In a picture of several people, the face most like the references is compared.

    Parameters
    ----------
    images : sequence of NamedImage or UnreadableImage
        Generated pictures.
    references : ReferenceFaces
        The person.
    analyzer : FaceAnalyzer
        Its recognizer need not be the one the references were made with: they are embedded anew where it
        differs.
    held_out : sequence, optional
        Photos of the person that were not among the references; their largest faces.
    target : FaceLandmarks3D, optional
        What the pictures were to show: one entry for all, or one per picture.
    progress : callable, optional
        Called with (pictures done, pictures in all); may raise to stop.

    Raises
    ------
    ValueError
        No pictures, or a number of targets that fits neither one nor all of them.
    """
    if not images:
        raise ValueError("there are no pictures to compare")
    if target is not None and len(target.points) not in (1, len(images)):
        raise ValueError(
            f"there are {len(target.points)} target landmarks for {len(images)} pictures: one, or one each"
        )
    notes: list[str] = []
    used = [face for face in references.faces if face.weight > 0]
    weights = np.array([face.weight for face in used])
    if analyzer.recognizer == references.recognizer:
        known = np.stack([face.embedding for face in used])
        notes.append(
            f"compared with {analyzer.recognizer}, which the references were made with too: a model that was "
            "conditioned on it can please it without looking like the person"
        )
    else:
        known = np.stack([analyzer.embed(f.crop, in_crop(f.keypoints, f.crop_matrix)) for f in used])
    notes.append(summary(merged(references.licences, analyzer.licences)))
    others = _held_out(held_out, analyzer, notes)
    model = FaceModel.load() if target is not None else None
    results = []
    for index, image in enumerate(images):
        if progress is not None:
            progress(index, len(images))
        faces = [] if isinstance(image, UnreadableImage) else analyze_cached(image, analyzer)
        if not faces:
            why = f": {image.reason}" if isinstance(image, UnreadableImage) else ""
            notes.append(f"{image.name}: no face found, similarity counts as 0{why}")
            results.append(Compared(image.name, None, 0.0, 0.0 if len(others) else None, None, None, None))
            continue
        similarities = [float((known @ face.embedding) @ weights / weights.sum()) for face in faces]
        best = int(np.argmax(similarities))
        face = faces[best]
        pose_error = turn = expression_error = None
        if target is not None and model is not None:
            row = index if len(target.points) > 1 else 0
            try:
                pose_error, turn, expression_error = _against_target(face, target, row, model)
            except ValueError as error:
                notes.append(f"{image.name}: pose and expression cannot be measured ({error})")
        results.append(
            Compared(
                image.name,
                face,
                similarities[best],
                float((others @ face.embedding).mean()) if len(others) else None,
                pose_error,
                turn,
                expression_error,
            )
        )
    return Comparison(tuple(results), analyzer.recognizer, tuple(notes))


def _held_out(
    images: Sequence[NamedImage | UnreadableImage], analyzer: FaceAnalyzer, notes: list[str]
) -> np.ndarray:
    vectors = []
    for image in images:
        faces = [] if isinstance(image, UnreadableImage) else analyze_cached(image, analyzer)
        if faces:
            vectors.append(faces[0].embedding)
        else:
            notes.append(f"{image.name} (held out): no face found, not counted")
    return np.stack(vectors) if vectors else np.zeros((0, 1), np.float32)


def _against_target(
    face: DetectedFace, target: FaceLandmarks3D, row: int, model: FaceModel
) -> tuple[float, np.ndarray, float]:
    fit = fit_face(face.landmarks, model)
    wanted = rotation(*target.pose[row].tolist())
    cosine = (np.trace(fit.rotation @ wanted.T) - 1) / 2
    seen = np.isfinite(fit.uncertainty.expression)
    difference = np.abs(fit.expression - target.expression[row])[seen]
    turn = np.array(fit.pose) - target.pose[row]
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))), turn, float(difference.mean())

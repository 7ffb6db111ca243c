"""What comes out of reference photos: rated face records of one person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..boundary.licences import FileLicence
from .photo import HeadPhoto


@dataclass(frozen=True)
class Quality:
    """How much one reference can tell about a face.

    Every part is in 0..1 except `size_px`; `faces/quality.py` says how each is measured and combined.

    Attributes
    ----------
    size_px : float
        Side of the face in the source picture: geometric mean of the box's width and height, px.
    sharpness : float
        Fine detail of the skin and eyes at the size of the canonical crop.
    exposure : float
        Neither clipped nor flat nor much too dark or bright.
    frontality : float
        1 looking at the camera, falling with the angle between face and camera.
    completeness : float
        Share of the face that the picture shows: not cut off by its frame and not covered.
    agreement : float
        How well the face agrees with the other references of the set.
    score : float
        All of them combined, 0..1.
    """

    size_px: float
    sharpness: float
    exposure: float
    frontality: float
    completeness: float
    agreement: float
    score: float


@dataclass(frozen=True, eq=False)
class FaceRecord:
    """One chosen face of one picture.

    Attributes
    ----------
    source : str
        Name of the picture, for messages.
    source_index : int
        Position of the picture in the input, from 0.
    box : np.ndarray
        (4,) float32: x0, y0, x1, y1 in the source picture, px.
    score : float
        The detector's confidence, 0..1.
    keypoints : np.ndarray
        (5, 2) float32, source px: right eye, left eye, nose tip, right and left mouth corner (the subject's).
    landmarks : np.ndarray
        (468, 3) FaceMesh or (68, 3) iBUG points, float32: x, y in source px, z in px towards the viewer.
    embedding : np.ndarray
        (D,) float32 of unit length.
    crop : np.ndarray
        (224, 224, 3) uint8 RGB: the canonical crop, its background grey 127.
    crop_matrix : np.ndarray
        (2, 3) float32: source px to crop px.
    mask : np.ndarray
        (224, 224) float32 in 0..1: 1 where the crop shows the person.
    quality : Quality
        How good the reference is, by parts.
    weight : float
        >= 0; 1 is neutral, 0 is as if the reference were not there.
    embedding_norm : float
        Length of the embedding as the recognizer gave it; networks such as InstantID's read it unnormalised.
    photo : HeadPhoto or None
        Source pixels around the head, for its texture.
    """

    source: str
    source_index: int
    box: np.ndarray
    score: float
    keypoints: np.ndarray
    landmarks: np.ndarray
    embedding: np.ndarray
    crop: np.ndarray
    crop_matrix: np.ndarray
    mask: np.ndarray
    quality: Quality
    weight: float
    embedding_norm: float = 1.0
    photo: HeadPhoto | None = None


@dataclass(frozen=True, eq=False)
class DroppedPicture:
    """A picture that gave no reference, and why.

    Attributes
    ----------
    source : str
        Name of the picture.
    source_index : int
        Position of the picture in the input, from 0.
    reason : str
        One line for the artist.
    similarity : float or None
        Similarity of its face to the accepted ones, where a face was found and compared.
    crop : np.ndarray or None
        (224, 224, 3) uint8 RGB canonical crop for the contact sheet, where a face was found.
    """

    source: str
    source_index: int
    reason: str
    similarity: float | None
    crop: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class ReferenceFaces:
    """All references of one person.

    Attributes
    ----------
    faces : tuple of FaceRecord
        Sorted by the pictures' content, so that the order of the input changes nothing downstream.
    dropped : tuple of DroppedPicture
        Pictures that were not used, in input order.
    recognizer : str
        Id of the recognizer, for example "sface" or "antelopev2"; thresholds and compatibility hang on it.
    analyzer : str
        Fingerprint of the analyzer that made the records.
    notes : tuple of str
        What else the artist should know, one line each.
    licences : tuple of FileLicence
        What the files that made the records may be used for.
    """

    faces: tuple[FaceRecord, ...]
    dropped: tuple[DroppedPicture, ...]
    recognizer: str
    analyzer: str
    notes: tuple[str, ...] = ()
    licences: tuple[FileLicence, ...] = ()

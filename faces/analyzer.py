"""What an analyzer is, whichever models it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ..boundary.licences import FileLicence


@dataclass(frozen=True, eq=False)
class DetectedFace:
    """One face of one picture, before anything is chosen.

    Attributes
    ----------
    box : np.ndarray
        (4,) float32 x0, y0, x1, y1, px.
    score : float
        The detector's confidence, 0..1.
    keypoints : np.ndarray
        (5, 2) float32: right eye, left eye, nose tip, right and left mouth corner (the subject's), px.
    landmarks : np.ndarray
        (468, 3) or (68, 3) float32, px, z towards the viewer.
    embedding : np.ndarray
        (D,) float32 of unit length.
    presence : float
        How sure the landmark model is that it sees a face, 0..1; 1 where it does not say.
    embedding_norm : float
        Length of the embedding as the recognizer gave it; networks such as InstantID's read it unnormalised.
    """

    box: np.ndarray
    score: float
    keypoints: np.ndarray
    landmarks: np.ndarray
    embedding: np.ndarray
    presence: float = 1.0
    embedding_norm: float = 1.0

    @property
    def size(self) -> float:
        """Geometric mean of the box's width and height, px."""
        width, height = self.box[2:] - self.box[:2]
        return float(np.sqrt(max(width, 0.0) * max(height, 0.0)))


@runtime_checkable
class FaceAnalyzer(Protocol):
    """Finds, locates and recognises faces.

    Attributes
    ----------
    fingerprint : str
        Changes with every model file and setting that changes results; part of every cache key.
    recognizer : str
        Id of the embedding space: embeddings with the same id can be compared.
    licence : str
        Of the models' weights.
    commercial_use : bool or None
        Whether that licence allows commercial use; None where nobody knows.
    licences : tuple of FileLicence
        The same for each file, for what is made with them.
    provider : str
        The inference provider that really runs, for the artist to read.
    """

    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    @property
    def recognizer(self) -> str: ...  # noqa: D102
    @property
    def licence(self) -> str: ...  # noqa: D102
    @property
    def commercial_use(self) -> bool | None: ...  # noqa: D102
    @property
    def licences(self) -> tuple[FileLicence, ...]: ...  # noqa: D102
    @property
    def provider(self) -> str: ...  # noqa: D102

    def analyze(self, image: np.ndarray, name: str) -> list[DetectedFace]:
        """Find all faces of a (H, W, 3) uint8 RGB picture, largest first; `name` is for messages."""
        ...

    def embed(self, image: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        """Embed the face with these (5, 2) keypoints; returns (D,) float32 of unit length."""
        ...

    def person_mask(self, view: np.ndarray) -> np.ndarray:
        """Matte a (256, 256, 3) uint8 RGB view; returns (256, 256) float32, 1 on people."""
        ...


def describe(analyzer: FaceAnalyzer) -> str:
    """Tell the artist in a few lines what runs, under which licence, and where."""
    commercial = {True: "allowed", False: "NOT allowed", None: "unknown, ask the model's authors"}
    return (
        f"recognizer: {analyzer.recognizer}\n"
        f"runs on: {analyzer.provider}\n"
        f"licence of the models: {analyzer.licence}\n"
        f"commercial use: {commercial[analyzer.commercial_use]}"
    )

"""Landmarks from the optional package face-alignment (68 points in 3D) in place of an analyzer's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..boundary.licences import FileLicence, merged
from .analyzer import DetectedFace, FaceAnalyzer
from .geometry import head_pose_residual
from .runtime import missing_package

LICENCE = "BSD-3-Clause (face-alignment)"


class FaceAlignmentPoints:
    """An analyzer whose landmarks come from face-alignment; faces and embeddings stay the inner one's.

    Parameters
    ----------
    inner : FaceAnalyzer
        Finds and recognises the faces.
    device : str
        torch device of the landmark network. The package downloads its weights when it first runs.

    Raises
    ------
    MissingPackageError
        face-alignment is not installed.
    OSError
        Its weights cannot be downloaded.
    """

    def __init__(self, inner: FaceAnalyzer, device: str = "cpu") -> None:
        try:
            import face_alignment
        except ImportError:
            raise missing_package("face-alignment", "landmarks from face-alignment") from None
        try:
            # "folder" reads boxes from files and so loads no detector of its own; we hand over our boxes.
            self._network: Any = face_alignment.FaceAlignment(
                face_alignment.LandmarksType.THREE_D, device=device, face_detector="folder"
            )
        except OSError as error:
            raise OSError(f"face-alignment cannot download its weights: {error}") from None
        self._inner = inner
        self.recognizer = inner.recognizer
        self.licence = f"{inner.licence}; landmarks {LICENCE}"
        self.commercial_use = inner.commercial_use
        self.licences = merged(inner.licences, (FileLicence("face-alignment", "BSD-3-Clause", True),))
        self.provider = f"{inner.provider}, landmarks on {device}"
        self.fingerprint = f"{inner.fingerprint}-fa1"

    def analyze(self, image: np.ndarray, name: str) -> list[DetectedFace]:
        """Find all faces of a (H, W, 3) uint8 RGB picture, largest first."""
        faces = self._inner.analyze(image, name)
        if not faces:
            return []
        boxes = [[*face.box.tolist(), face.score] for face in faces]
        located = self._network.get_landmarks_from_image(image, detected_faces=boxes) or []
        if len(located) != len(faces):
            raise ValueError(f"{name}: face-alignment located {len(located)} of {len(faces)} faces")
        return [
            replace(face, landmarks=_towards_viewer(np.asarray(points, np.float32)), presence=1.0)
            for face, points in zip(faces, located, strict=True)
        ]

    def embed(self, image: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        """Embed as the inner analyzer does."""
        return self._inner.embed(image, keypoints)

    def person_mask(self, view: np.ndarray) -> np.ndarray:
        """Matte as the inner analyzer does."""
        return self._inner.person_mask(view)


def _towards_viewer(points: np.ndarray) -> np.ndarray:
    """Give z its sign and origin: of the two mirror images one is a face."""
    centred = points - np.array([0, 0, points[:, 2].mean()], np.float32)
    mirrored = centred * np.array([1, 1, -1], np.float32)
    return min((centred, mirrored), key=head_pose_residual)

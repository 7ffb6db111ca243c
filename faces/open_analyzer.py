"""The open analyzer: YuNet, SFace, Face Mesh and Selfie Segmentation, all permissively licensed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..boundary.licences import FileLicence
from .analyzer import DetectedFace
from .files import DETECTOR, FACE_MESH, MODEL_FILES, PERSON_MASK, RECOGNIZER, require
from .geometry import RECOGNIZER_SIZE, RECOGNIZER_TEMPLATE, invert, similarity_2d, transform, warp
from .runtime import (
    LiteModel,
    onnx_providers,
    onnx_session,
    provider_note,
    running_provider,
    unpacked_onnx,
)
from .yunet import YuNet

_MESH_MARGIN = 1.5
"""Side of Face Mesh's view in sides of the face's box: MediaPipe's own value."""

_MAX_FACES = 64
_SMALLEST_FACE = 8.0
"""px; below, there is nothing to recognise and boxes are mostly noise."""


class OpenAnalyzer:
    """YuNet detects, Face Mesh locates 468 points in 3D, SFace recognises, Selfie Segmentation mattes.

    Parameters
    ----------
    folders : sequence of Path
        Where the four model files are looked for, in order.
    provider : str
        One of `PROVIDER_CHOICES`, for the two ONNX models. "auto" is the CPU: for networks this small a
        graphics card spends more time on the copies than it saves. The two LiteRT models always run on the
        CPU.

    Raises
    ------
    MissingModelFileError
        A file is in none of the folders.
    WrongModelFileError
        A file is damaged, or another version than the pinned one.
    MissingPackageError
        onnxruntime, onnx or ai-edge-litert is not installed.
    """

    recognizer = "sface"
    licence = "MIT (YuNet), Apache-2.0 (SFace, Face Mesh, Selfie Segmentation)"
    commercial_use = True
    licences = tuple(FileLicence.of(file.name, file.licence) for file in MODEL_FILES)

    def __init__(self, folders: Sequence[Path], provider: str = "auto") -> None:
        paths = require(MODEL_FILES, folders)
        providers = onnx_providers(provider, auto=("CPU",))
        self._detector = YuNet(paths[DETECTOR], providers)
        self._recognizer = onnx_session(unpacked_onnx(paths[RECOGNIZER]), providers)
        self._mesh = LiteModel(paths[FACE_MESH])
        self._segmentation = LiteModel(paths[PERSON_MASK])
        self.provider = provider_note(provider, running_provider(self._recognizer))
        pinned = repr(("v2", [file.sha256 for file in MODEL_FILES]))
        self.fingerprint = "open-" + hashlib.blake2b(pinned.encode(), digest_size=8).hexdigest()

    def analyze(self, image: np.ndarray, name: str) -> list[DetectedFace]:
        """Find all faces of a (H, W, 3) uint8 RGB picture, largest first."""
        faces = []
        for row in self._detector.detect(image)[:_MAX_FACES]:
            box, keypoints, score = row[:4].copy(), row[4:14].reshape(5, 2).copy(), float(row[14])
            if min(box[2:] - box[:2]) < _SMALLEST_FACE:
                continue
            landmarks, presence = self._locate(image, box, keypoints)
            faces.append(
                DetectedFace(box, score, keypoints, landmarks, self.embed(image, keypoints), presence)
            )
        return sorted(faces, key=lambda face: (-face.size, *face.box.tolist()))

    def embed(self, image: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        """Embed the face with these (5, 2) keypoints; returns (128,) float32 of unit length."""
        aligned = warp(image, similarity_2d(keypoints, RECOGNIZER_TEMPLATE), RECOGNIZER_SIZE)
        blob = np.ascontiguousarray(aligned.transpose(2, 0, 1)[None], np.float32)
        vector: np.ndarray = self._recognizer.run(None, {"data": blob})[0][0]
        return (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32)

    def person_mask(self, view: np.ndarray) -> np.ndarray:
        """Matte a (256, 256, 3) uint8 RGB view; returns (256, 256) float32, 1 on people."""
        return self._segmentation(view)[0][0, :, :, 0]

    def _locate(self, image: np.ndarray, box: np.ndarray, keypoints: np.ndarray) -> tuple[np.ndarray, float]:
        eyes = keypoints[1] - keypoints[0]
        points, presence = self._run_mesh(
            image, (box[:2] + box[2:]) / 2, float(max(box[2:] - box[:2])), float(np.arctan2(eyes[1], eyes[0]))
        )
        return points, presence

    def _run_mesh(
        self, image: np.ndarray, centre: np.ndarray, side: float, angle: float
    ) -> tuple[np.ndarray, float]:
        size = self._mesh.size
        zoom = size / (side * _MESH_MARGIN)
        cosine, sine = np.cos(angle) * zoom, np.sin(angle) * zoom
        linear = np.array([[cosine, sine], [-sine, cosine]])
        matrix = np.hstack([linear, (size / 2 - linear @ centre)[:, None]])
        points, presence = self._mesh(warp(image, matrix, size))
        # Face Mesh's z grows away from the viewer.
        flipped = points.reshape(468, 3).astype(np.float64) * (1.0, 1.0, -1.0)
        located = transform(flipped, invert(matrix)).astype(np.float32)
        return located, float(1.0 / (1.0 + np.exp(-float(presence.reshape(-1)[0]))))

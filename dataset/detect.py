"""Stage detect: the one face that a picture is about; pictures without one, or with several, are rejected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..faces.analyzer import DetectedFace, FaceAnalyzer
from .config import Detect
from .decode import rejected
from .record import PictureRecord


def detect(
    record: PictureRecord, pixels: np.ndarray, analyzer: FaceAnalyzer, config: Detect
) -> tuple[PictureRecord, DetectedFace | None]:
    """Find the face of a picture.

    Parameters
    ----------
    record : PictureRecord
        Of the picture.
    pixels : np.ndarray
        (H, W, 3) uint8 RGB.
    analyzer : FaceAnalyzer
        Finds, locates and recognises faces.
    config : Detect
        Which faces count.

    Returns
    -------
    tuple
        The record with box, landmarks and embedding, and the face; None where it is rejected.
    """
    found = analyzer.analyze(pixels, record.name)
    return chosen(record, found, config)


def chosen(
    record: PictureRecord, found: list[DetectedFace], config: Detect
) -> tuple[PictureRecord, DetectedFace | None]:
    """Choose the face; faces come largest first."""
    best = max((face.score for face in found), default=0.0)
    faces = [f for f in found if f.score >= config.confidence and f.presence >= config.presence]
    if not faces:
        return rejected(record, "detect", "no face", best_score=round(best, 4)), None
    count = sum(face.size >= config.beside * faces[0].size for face in faces)
    record = replace(record, faces=count)
    if count > config.most_faces:
        share = round(faces[1].size / max(faces[0].size, 1e-6), 4)
        return rejected(record, "detect", "several faces", faces=count, second_size=share), None
    face = faces[0]
    return (
        replace(
            record,
            box=face.box.astype(np.float32),
            score=float(face.score),
            keypoints=face.keypoints.astype(np.float32),
            landmarks=face.landmarks.astype(np.float32),
            embedding=face.embedding.astype(np.float32),
            embedding_norm=float(face.embedding_norm),
        ),
        face,
    )

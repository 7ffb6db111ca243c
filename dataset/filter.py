"""Stage filter: is the face large, sharp, well lit, turned not too far, and not covered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..faces.analyzer import DetectedFace, FaceAnalyzer
from ..faces.crop import canonical_crop
from ..faces.geometry import head_pose, pose_degrees
from ..faces.quality import measure
from .config import Filter
from .decode import rejected
from .duplicates import aligned_view, view_hashes
from .record import PictureRecord
from .shards import encode_picture


def rate(
    record: PictureRecord, pixels: np.ndarray, face: DetectedFace, analyzer: FaceAnalyzer
) -> PictureRecord:
    """Measure what `usable` judges by, and the perceptual hashes of the aligned face."""
    crop, matrix, mask = canonical_crop(pixels, face.landmarks, analyzer.person_mask)
    quality = measure(pixels, face, crop, matrix, mask)
    _, rotation, _ = head_pose(face.landmarks)
    view = aligned_view(pixels, face.landmarks)
    return replace(
        record,
        size_px=quality.size_px,
        sharpness=quality.sharpness,
        exposure=quality.exposure,
        completeness=quality.completeness,
        quality=quality.score,
        pose=np.array(pose_degrees(rotation), np.float32),
        hashes=view_hashes(view),
        view=encode_picture(view, "png"),
    )


def usable(record: PictureRecord, config: Filter) -> PictureRecord:
    """Return the record, rejected where its face is not usable; the first reason counts."""
    yaw, pitch, roll = (abs(float(angle)) for angle in record.pose)
    checks = (
        ("face too small", "size_px", record.size_px, config.smallest_face, False),
        ("blurred", "sharpness", record.sharpness, config.sharpness, False),
        ("badly exposed", "exposure", record.exposure, config.exposure, False),
        ("covered or cut off", "completeness", record.completeness, config.completeness, False),
        ("turned too far", "yaw", yaw, config.largest_yaw, True),
        ("tilted too far", "pitch", pitch, config.largest_pitch, True),
        ("rolled too far", "roll", roll, config.largest_roll, True),
    )
    for why, name, value, limit, most in checks:
        if limit is not None and (value > limit if most else value < limit):
            return rejected(record, "filter", why, **{name: round(float(value), 4), "limit": limit})
    return record

"""Stage texture: UV textures of the photographic head, of one picture or of all of a person's together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..faces.analyzer import FaceAnalyzer
from ..faces.crop import canonical_crop
from ..faces.photo import head_photo
from ..faces.records import FaceRecord, Quality, ReferenceFaces
from ..head.fuse import fuse_head
from ..head.records import Head
from .config import Texture
from .record import PictureRecord


def reference_of(record: PictureRecord, pixels: np.ndarray, analyzer: FaceAnalyzer) -> FaceRecord:
    """Make the reference that networks and the head's texture read: canonical crop, mask, source pixels."""
    crop, matrix, mask = canonical_crop(pixels, record.landmarks, analyzer.person_mask)
    return FaceRecord(
        source=record.key,
        source_index=0,
        box=record.box,
        score=record.score,
        keypoints=record.keypoints,
        landmarks=record.landmarks,
        embedding=record.embedding,
        crop=crop,
        crop_matrix=matrix,
        mask=mask,
        quality=Quality(
            record.size_px, record.sharpness, record.exposure, 1.0, record.completeness, 1.0, record.quality
        ),
        weight=1.0,
        embedding_norm=record.embedding_norm,
        photo=head_photo(pixels, record.landmarks, analyzer.person_mask),
    )


def texture_of(faces: Sequence[FaceRecord], analyzer: FaceAnalyzer, config: Texture) -> np.ndarray:
    """Fuse the source pixels of some references into a UV texture.

    Returns
    -------
    np.ndarray
        (size, size, 4) uint8: sRGB and, as the fourth channel, the confidence of each texel (low where it was
        mirrored or filled in).
    """
    best = sorted(faces, key=lambda face: (-face.quality.score, face.source))[: config.most_pictures]
    ordered = tuple(sorted(best, key=lambda face: face.source))
    references = ReferenceFaces(ordered, (), analyzer.recognizer, analyzer.fingerprint, (), analyzer.licences)
    head: Head = fuse_head(references, config.size)
    return np.dstack([head.texture, head.confidence])

"""Stage matte: how much of each pixel is the person."""

from __future__ import annotations

import cv2
import numpy as np

from ..faces.analyzer import FaceAnalyzer
from ..faces.photo import MASK_SIZE, HeadPhoto
from ..head.matting import person_alpha
from .config import Matte
from .decode import rejected
from .record import PictureRecord

_WHOLE = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def matte(
    record: PictureRecord, pixels: np.ndarray, analyzer: FaceAnalyzer, config: Matte
) -> tuple[PictureRecord, np.ndarray]:
    """Matte the whole picture: the analyzer's coarse mask, its edge refined by a guided filter (kornia's).

    Returns
    -------
    tuple
        The record, rejected where almost nobody was found, and (H, W) uint8, 255 on the person.
    """
    view = cv2.resize(pixels, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA)
    coarse = np.asarray(analyzer.person_mask(view), np.float32).clip(0, 1)
    alpha = person_alpha(HeadPhoto(pixels, _WHOLE, (coarse * 255 + 0.5).astype(np.uint8)))
    share = float(alpha.mean())
    if share < config.smallest_share:
        record = rejected(record, "matte", "nobody in the matte", share=round(share, 4))
    return record, (alpha * 255 + 0.5).astype(np.uint8)

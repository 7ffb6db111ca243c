"""How much one reference can tell about a face: six measured parts and one score.

*Ours*; the paper keeps the best-scoring detected face and weighs no reference. The score is the weighted
geometric mean of the parts (`EXPONENTS`): one bad part cannot be bought back by good ones, as it could in a
sum. No part is counted as less than `FLOOR`, so that scores still rank bad pictures among themselves.
"""

from __future__ import annotations

import cv2
import numpy as np

from .analyzer import DetectedFace
from .crop import CROP_SIZE, in_crop
from .geometry import head_pose, warp
from .occlusion import clear_share
from .records import Quality
from .thresholds import Threshold

EXPONENTS = {
    "size": 1.0,
    "sharpness": 1.0,
    "exposure": 0.5,
    "frontality": 0.5,
    "agreement": 0.5,
}
"""How much each part counts. Half a face missing costs more than anything else: nothing can show that
half."""

FLOOR = 0.05

SIZE_RANGE = (32.0, 224.0)
"""px of the face where the part `size` is 0 and 1 (the canonical crop then shows source pixels one to
one)."""

SHARPNESS_RANGE = (0.02, 0.20)
"""Detail (see `_sharpness`) where the part is 0 and 1, logarithmic between."""

FULL_TURN = 75.0
"""Degrees between face and camera where `frontality` is 0."""


def measure(
    image: np.ndarray, face: DetectedFace, crop: np.ndarray, matrix: np.ndarray, mask: np.ndarray
) -> Quality:
    """Rate one face on its own; `agreement` is 1 until `with_agreement` compares it with others.

    Parameters
    ----------
    image : np.ndarray
        (H, W, 3) uint8 RGB source picture.
    face : DetectedFace
        The face in it.
    crop : np.ndarray
        (224, 224, 3) its canonical crop.
    matrix : np.ndarray
        (2, 3) source px to crop px.
    mask : np.ndarray
        (224, 224) the person in the crop: what lies in front of a face is not part of it.
    """
    points = in_crop(face.landmarks, matrix)
    hull = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.round(points[:, :2]).astype(np.int32)), 1)
    inside = warp(np.full(image.shape[:2], 255, np.uint8), matrix, CROP_SIZE) > 127
    # The mask is soft at its edge, and the outline is that edge: only what is clearly something else counts.
    shown = inside & (mask > 0.25)
    # The outline belongs half to the background: measure within.
    skin = cv2.erode(hull, np.ones((9, 9), np.uint8)).astype(bool) & inside
    light = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    parts = Quality(
        size_px=face.size,
        sharpness=_sharpness(light, skin),
        exposure=_exposure(light[skin]),
        frontality=_frontality(face.landmarks),
        completeness=_completeness(hull.astype(bool), shown)
        * clear_share(crop, points, shown)
        * face.presence,
        agreement=1.0,
        score=0.0,
    )
    return _scored(parts, 1.0)


def with_agreement(quality: Quality, similarity: float | None, threshold: Threshold) -> Quality:
    """Add the agreement with the other references.

    Parameters
    ----------
    quality : Quality
        As from `measure`.
    similarity : float or None
        Mean cosine similarity to the other references; None where there is no other, which counts as
        agreement.
    threshold : Threshold
        Of the recognizer: `same` is agreement .25, `typical` and above 1.
    """
    if similarity is None:
        return _scored(quality, 1.0)
    slope = 0.75 / (threshold.typical - threshold.same)
    return _scored(quality, float(np.clip(0.25 + slope * (similarity - threshold.same), 0.0, 1.0)))


def size_part(size_px: float) -> float:
    """Rate a face's size: logarithmic between the ends of `SIZE_RANGE`."""
    low, high = np.log2(SIZE_RANGE)
    return float(np.clip((np.log2(max(size_px, 1.0)) - low) / (high - low), 0.0, 1.0))


def _scored(quality: Quality, agreement: float) -> Quality:
    parts = {
        "size": size_part(quality.size_px),
        "sharpness": quality.sharpness,
        "exposure": quality.exposure,
        "frontality": quality.frontality,
        "agreement": agreement,
    }
    total = sum(EXPONENTS.values())
    logs = [EXPONENTS[name] * np.log(max(value, FLOOR)) for name, value in parts.items()]
    return Quality(
        quality.size_px,
        quality.sharpness,
        quality.exposure,
        quality.frontality,
        quality.completeness,
        agreement,
        max(quality.completeness, FLOOR) ** 2 * float(np.exp(sum(logs) / total)),
    )


def _sharpness(light: np.ndarray, skin: np.ndarray) -> float:
    """Finest detail at crop size, over the face's own contrast: flat light is not blur."""
    if skin.sum() < 100:
        return 0.0
    detail = light - cv2.GaussianBlur(light, (0, 0), 1.2)
    contrast = max(float(light[skin].std()), 0.04)
    value = max(float(detail[skin].std()) / contrast, 1e-6)
    low, high = np.log(SHARPNESS_RANGE)
    return float(np.clip((np.log(value) - low) / (high - low), 0.0, 1.0))


def _completeness(hull: np.ndarray, shown: np.ndarray) -> float:
    """Share of the face's outline that lies in the picture and shows a person."""
    return float(shown[hull].mean()) if hull.any() else 0.0


def _exposure(light: np.ndarray) -> float:
    if light.size < 100:
        return 0.0
    clipped = float(((light < 0.02) | (light > 0.98)).mean())
    low, middle, high = np.percentile(light, (5, 50, 95))
    level = float(np.clip(min((middle - 0.06) / 0.24, (0.97 - middle) / 0.2), 0.0, 1.0))
    range_ = float(np.clip((high - low - 0.03) / 0.2, 0.0, 1.0))
    return level * range_ * float(np.clip(1.0 - 2.5 * clipped, 0.0, 1.0))


def _frontality(landmarks: np.ndarray) -> float:
    _, rotation, _ = head_pose(landmarks)
    edge = np.cos(np.radians(FULL_TURN))
    return float(np.clip((rotation[2, 2] - edge) / (1.0 - edge), 0.0, 1.0))

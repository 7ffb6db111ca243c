"""Similarity transforms, and the few face points that every landmark set shares."""

from __future__ import annotations

import cv2
import numpy as np

RECOGNIZER_SIZE = 112
"""Side of the crop that recognizers of ArcFace's kind (SFace among them) take, px."""

RECOGNIZER_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
)
"""(5, 2) where the keypoints lie in that crop: ArcFace's alignment, as published by InsightFace."""

STABLE_468 = np.array([33, 133, 362, 263, 4, 2, 61, 291])
STABLE_68 = np.array([36, 39, 42, 45, 30, 33, 48, 54])
"""Eye corners (subject's right outer, inner, left inner, outer), nose tip and base, mouth corners."""

STABLE_SHAPE = np.array(
    [
        [-0.642, 0.012, -0.046],
        [-0.298, -0.006, -0.003],
        [0.298, -0.006, -0.003],
        [0.642, 0.012, -0.046],
        [0.0, -0.502, 0.466],
        [0.0, -0.696, 0.326],
        [-0.382, -1.019, 0.126],
        [0.382, -1.019, 0.126],
    ]
)
"""(8, 3) those points on the mean face of ``landmarks/model.py`` (its head frame and unit), three
decimals."""


def stable_points(landmarks: np.ndarray) -> np.ndarray:
    """Pick the eight shared points from 468 or 68 landmarks (N, D) -> (8, D)."""
    if len(landmarks) not in (68, 468):
        raise ValueError(f"expected 468 or 68 landmarks, got {len(landmarks)}")
    chosen: np.ndarray = landmarks[STABLE_468 if len(landmarks) == 468 else STABLE_68]
    return chosen


def similarity_2d(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares rotation, uniform scale and shift between 2D point sets (Umeyama 1991, no reflection).

    Parameters
    ----------
    source, target : np.ndarray
        (N, 2), N >= 2.

    Returns
    -------
    np.ndarray
        (2, 3) float64 matrix that takes `source` to `target`.
    """
    scale, rotation, shift = _umeyama(np.asarray(source, np.float64), np.asarray(target, np.float64))
    return np.hstack([scale * rotation, shift[:, None]])


def head_pose(landmarks: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Rigid pose of the mean face under scaled orthography, from 3D landmarks.

    Parameters
    ----------
    landmarks : np.ndarray
        (468, 3) or (68, 3): px, y down, z towards the viewer.

    Returns
    -------
    tuple
        Scale in px per unit of the head frame; (3, 3) rotation of the head in the head frame's axes (y up);
        (2,) the head frame's origin (midpoint between the eyes) in px.
    """
    points = stable_points(np.asarray(landmarks, np.float64)) * (1.0, -1.0, 1.0)
    scale, rotation, shift = _umeyama(STABLE_SHAPE, points)
    return scale, rotation, shift[:2] * (1.0, -1.0)


def head_pose_residual(landmarks: np.ndarray) -> float:
    """RMS distance of the rigidly placed mean face to the landmarks, in units of the head frame."""
    scale, rotation, _ = head_pose(landmarks)
    points = stable_points(np.asarray(landmarks, np.float64)) * (1.0, -1.0, 1.0)
    placed = scale * STABLE_SHAPE @ rotation.T
    offset = (points - placed) - (points - placed).mean(0)
    return float(np.sqrt((offset**2).sum(1).mean()) / max(scale, 1e-6))


def pose_degrees(rotation: np.ndarray) -> tuple[float, float, float]:
    """Yaw, pitch, roll in degrees of a (3, 3) rotation, as defined in docs/architecture.md."""
    # R = Rz(-roll) Rx(-pitch) Ry(yaw): the last row does not depend on roll.
    pitch = float(np.degrees(np.arcsin(np.clip(-rotation[2, 1], -1.0, 1.0))))
    yaw = float(np.degrees(np.arctan2(-rotation[2, 0], rotation[2, 2])))
    roll = float(np.degrees(np.arctan2(rotation[0, 1], rotation[1, 1])))
    return yaw, pitch, roll


def invert(matrix: np.ndarray) -> np.ndarray:
    """Invert a (2, 3) affine matrix."""
    inverse = np.linalg.inv(matrix[:, :2].astype(np.float64))
    return np.hstack([inverse, -inverse @ matrix[:, 2:].astype(np.float64)])


def transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a (2, 3) matrix to points (..., 2), or to (..., 3) whose z takes the scale only."""
    linear = matrix[:, :2]
    moved: np.ndarray = points[..., :2] @ linear.T + matrix[:, 2]
    if points.shape[-1] == 2:
        return moved
    scale = np.sqrt(abs(np.linalg.det(linear)))
    return np.concatenate([moved, points[..., 2:] * scale], axis=-1)


def _umeyama(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    mean_s, mean_t = source.mean(0), target.mean(0)
    s, t = source - mean_s, target - mean_t
    variance = (s**2).sum()
    u, singular, vt = np.linalg.svd(t.T @ s)
    signs = np.ones(len(singular))
    if np.linalg.det(u @ vt) < 0:
        signs[-1] = -1.0
    rotation = (u * signs) @ vt
    scale = float((singular * signs).sum() / max(variance, 1e-12))
    return scale, rotation, mean_t - scale * rotation @ mean_s


def warp(image: np.ndarray, matrix: np.ndarray, size: int, border: int | None = 0) -> np.ndarray:
    """Sample a square view out of a picture, averaged where it shrinks much (no aliasing).

    Parameters
    ----------
    image : np.ndarray
        (H, W) or (H, W, C).
    matrix : np.ndarray
        (2, 3) picture px to view px, a similarity transform; pixel centres at .5.
    size : int
        Side of the view, px.
    border : int or None
        Value outside the picture; None repeats the picture's edge.
    """
    matrix = np.asarray(matrix, np.float64).copy()
    height, width = image.shape[:2]
    step = int(1.0 / max(np.sqrt(abs(np.linalg.det(matrix[:, :2]))), 1e-6))
    corners = transform(np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float64), invert(matrix))
    margin = 2 * max(step, 1)
    x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int) - margin, 0)
    x1, y1 = np.minimum(np.ceil(corners.max(0)).astype(int) + margin, (width, height))
    if x1 <= x0 or y1 <= y0:
        return np.full((size, size, *image.shape[2:]), border or 0, image.dtype)
    view = image[y0:y1, x0:x1]
    matrix[:, 2] += matrix[:, :2] @ (x0, y0)
    if step > 1:
        small = max((x1 - x0) // step, 1), max((y1 - y0) // step, 1)
        ratio = np.array([(x1 - x0) / small[0], (y1 - y0) / small[1]])
        view = cv2.resize(view, small, interpolation=cv2.INTER_AREA)
        matrix[:, :2] *= ratio
    # OpenCV puts pixel centres at whole numbers.
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    value = (border or 0,) * 4
    return cv2.warpAffine(
        view, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=mode, borderValue=value
    )

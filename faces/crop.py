"""The canonical crop: every face at the same place, size and in-plane angle, its background matted to grey.

*Ours*; the paper removes each reference's background (with PP-Matting) and crops the best-scoring face,
without giving the geometry. Scale and position come from the rigid pose of the eyes, nose and mouth in 3D,
not from the distance between the eyes in the picture: that one shrinks as the head turns, and a profile would
be cropped far too tight. The head is upright in the crop (roll removed); yaw and pitch stay.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .geometry import head_pose, invert, pose_degrees, transform, warp

CROP_SIZE = 224
"""Side of the canonical crop, px."""

CROP_SCALE = 62.0
"""px per head unit: a mean face measures 169 px from the top of the forehead to the chin."""

EYES_Y = 92.0
"""Height of the eyes in the crop of a frontal face, px: forehead from 34, chin at 203, hair above."""

GREY = 127
"""Value of the matted background."""

_ANCHOR = np.array([0.0, -0.4, -0.45])
"""Point inside the head (head frame) that stays put: turning the head then keeps it in the middle."""

_MASK_ZOOM = 0.66
_MASK_SIZE = 256


def canonical_matrix(landmarks: np.ndarray) -> np.ndarray:
    """Return the (2, 3) float32 similarity transform from source px to canonical crop px.

    Parameters
    ----------
    landmarks : np.ndarray
        (468, 3) or (68, 3): source px, y down, z in px towards the viewer.
    """
    scale, rotation, origin = head_pose(landmarks)
    roll = np.radians(pose_degrees(rotation)[2])
    anchor = origin + scale * (rotation @ _ANCHOR)[:2] * (1.0, -1.0)
    zoom = CROP_SCALE / max(scale, 1e-6)
    cosine, sine = np.cos(roll), np.sin(roll)
    linear = zoom * np.array([[cosine, sine], [-sine, cosine]])
    target = np.array([CROP_SIZE / 2, EYES_Y - _ANCHOR[1] * CROP_SCALE])
    return np.hstack([linear, (target - linear @ anchor)[:, None]]).astype(np.float32)


def canonical_crop(
    image: np.ndarray, landmarks: np.ndarray, person_mask: Callable[[np.ndarray], np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut and matte the canonical crop of one face.

    Parameters
    ----------
    image : np.ndarray
        (H, W, 3) uint8 RGB source picture.
    landmarks : np.ndarray
        (468, 3) or (68, 3) of the face, source px.
    person_mask : callable or None
        (256, 256, 3) uint8 to (256, 256) float32 in 0..1; None keeps the background.

    Returns
    -------
    tuple
        (224, 224, 3) uint8 crop, (2, 3) float32 matrix from source px to crop px, (224, 224) float32 mask of
        the person; outside the source picture the mask is 0 and the crop grey.
    """
    matrix = canonical_matrix(landmarks)
    crop = warp(image, matrix, CROP_SIZE, border=GREY)
    inside = warp(np.full(image.shape[:2], 255, np.uint8), matrix, CROP_SIZE).astype(np.float32) / 255
    if person_mask is None:
        mask = inside
    else:
        # The network knows people from head to chest: show it more than the crop.
        zoom = _MASK_ZOOM * _MASK_SIZE / CROP_SIZE
        to_view = np.array([[zoom, 0, 0], [0, zoom, 0]], np.float64)
        to_view[:, 2] = _MASK_SIZE / 2 - zoom * CROP_SIZE / 2, _MASK_SIZE * 0.45 - zoom * CROP_SIZE / 2
        whole = np.vstack([matrix.astype(np.float64), [0, 0, 1]])
        view = warp(image, to_view @ whole, _MASK_SIZE, border=None)
        mask = warp(person_mask(view).astype(np.float32), invert(to_view), CROP_SIZE, border=None)
        # The network's edge is soft over many pixels; a steeper one keeps no halo of the old background.
        mask = np.clip((mask - 0.3) / 0.5, 0.0, 1.0) * inside
    mask = mask.astype(np.float32)
    matted = GREY + (crop.astype(np.float32) - GREY) * mask[..., None]
    return (matted + 0.5).astype(np.uint8), matrix, mask


def in_crop(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points of the source picture (N, 2 or 3) in px of the canonical crop."""
    return transform(points, matrix).astype(np.float32)

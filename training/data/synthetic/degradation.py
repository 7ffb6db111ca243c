"""What goes wrong with reference photos: things in the way, blur, low resolution, compression, light."""

from __future__ import annotations

import cv2
import numpy as np

from ....landmarks.names import eye_centres, interocular_distance


def _occlude(image: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cover a part of the face: a half, the mouth, the eyes, the forehead, or a patch anywhere."""
    size = len(image)
    unit = interocular_distance(points[:, :2]) + 1e-6
    centre = points[:68, :2].mean(0)
    right, left = eye_centres(points[:, :2])
    across = (left - right) / unit
    down = np.array([-across[1], across[0]])
    part = rng.choice(
        ["left", "right", "mouth", "eyes", "forehead", "patch"], p=[0.2, 0.2, 0.2, 0.15, 0.1, 0.15]
    )
    u, v, half_u, half_v = {
        "left": (1.25, 0.0, 1.15, 2.6),
        "right": (-1.25, 0.0, 1.15, 2.6),
        "mouth": (0.0, 0.95, 1.6, 0.75),
        "eyes": (0.0, -0.5, 1.5, 0.42),
        "forehead": (0.0, -1.45, 1.8, 0.75),
        "patch": (*rng.uniform(-0.8, 0.8, 2), *rng.uniform(0.45, 0.85, 2)),
    }[str(part)]
    middle = centre + unit * ((u + rng.normal() * 0.08) * across + (v + rng.normal() * 0.08) * down)
    angle = np.degrees(np.arctan2(across[1], across[0])) + rng.normal() * 8
    box = (tuple(map(float, middle)), (2 * half_u * unit, 2 * half_v * unit), float(angle))
    cover = np.zeros((size, size), np.float32)
    if rng.random() < 0.5:
        cv2.ellipse(cover, box, 1.0, -1, cv2.LINE_AA)
    else:
        cv2.fillConvexPoly(cover, np.round(cv2.boxPoints(box)).astype(np.int32), 1.0, cv2.LINE_AA)
    colour = rng.uniform(15, 235, 3)
    grain = cv2.GaussianBlur(rng.normal(size=(size, size, 1)).astype(np.float32), (0, 0), 3)
    thing = colour + 60 * np.atleast_3d(grain) + np.linspace(-20, 20, size)[:, None, None]
    return image + (thing - image) * cover[..., None]


def degrade(image: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Degrade a reference picture in one to three ways, so that no single reference tells all.

    Parameters
    ----------
    image : np.ndarray
        (S, S, 3) uint8 RGB.
    points : np.ndarray
        (72, 3) landmarks, px; tell where the face is.
    rng : np.random.Generator
        Randomness.

    Returns
    -------
    np.ndarray
        (S, S, 3) uint8.
    """
    result: np.ndarray = image.astype(np.float32)
    size = len(image)
    faults = rng.random(5) < [0.75, 0.25, 0.3, 0.3, 0.25]
    if not faults.any():
        faults[0] = True
    if faults[0]:
        result = _occlude(result, points, rng)
    if faults[1]:
        result = cv2.GaussianBlur(result, (0, 0), float(rng.uniform(0.8, 2.4)))
    if faults[2]:
        small = int(size * rng.uniform(0.25, 0.55))
        result = cv2.resize(cv2.resize(result, (small, small), interpolation=cv2.INTER_AREA), (size, size))
    if faults[4]:
        gain, gamma = rng.uniform(0.6, 1.5), rng.uniform(0.75, 1.35)
        result = 255 * (np.clip(result / 255, 0, 1) ** gamma * gain)
    result = np.clip(result, 0, 255).round().astype(np.uint8)
    if faults[3]:
        quality = int(rng.uniform(8, 35))
        coded = cv2.imencode(
            ".jpg", np.ascontiguousarray(result[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )[1]
        result = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1]
    return np.ascontiguousarray(result)

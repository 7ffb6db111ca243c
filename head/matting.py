"""A soft mask of the person at the photo's own resolution, from the coarse one. *Ours*.

The segmentation network's mask has 256 px for head and shoulders: its edge is a band of several pixels that
takes background for hair. A guided filter (He, Sun, Tang 2010; kornia's) lets that edge follow the picture's
own, strand by strand where hair and background differ.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from kornia.filters import guided_blur

from ..faces.photo import HeadPhoto

_SIDE = 512
"""px of the longest side at which the filter runs; finer, its window would see no background."""
_WINDOW, _EPS = 12, 3e-4
_LEVELS = (0.25, 0.85)
"""Values of the filtered mask that become 0 and 1: its haze is not the person."""


def person_alpha(photo: HeadPhoto) -> np.ndarray:
    """Return (H, W) float32 in 0..1: how much of each pixel of ``photo.pixels`` is the person."""
    height, width = photo.pixels.shape[:2]
    if (photo.mask == 255).all():
        return np.ones((height, width), np.float32)
    zoom = min(1.0, _SIDE / max(height, width))
    size = max(round(width * zoom), 1), max(round(height * zoom), 1)
    guide = cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(photo.mask, size, interpolation=cv2.INTER_LINEAR)
    picture = torch.from_numpy(guide.astype(np.float32) / 255).permute(2, 0, 1)[None]
    mask = torch.from_numpy(coarse.astype(np.float32) / 255)[None, None]
    if min(size) > _WINDOW:
        mask = guided_blur(picture, mask, _WINDOW, _EPS, subsample=4)
    low, high = _LEVELS
    fine = ((mask[0, 0].numpy() - low) / (high - low)).clip(0, 1)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_LINEAR)

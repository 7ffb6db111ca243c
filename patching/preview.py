"""Who is where: a picture of the people that were applied to a MODEL."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ..landmarks.draw import draw
from .masks import fit_mask
from .patch import HiFiPatch

_COLOURS = ((66, 165, 245), (255, 152, 0), (102, 187, 106), (236, 64, 122), (171, 71, 188), (38, 198, 218))
_GROUND = 38
_TINT = 0.45
_SIDE = 512
_LONGEST_SIDE = 2048
_SHORTEST_SIDE = 64


def draw_people(patches: tuple[HiFiPatch, ...], width: int, height: int) -> np.ndarray:
    """Return a picture with each person's mask as a tinted area, the landmarks on it, and a legend.

    Parameters
    ----------
    patches
        From `applied_patches`.
    width, height
        Size of the picture to be made, px; sets the aspect. Drawn with a shorter side of 512 px, or
        a longer one of 2048 px where that is smaller.

    Returns
    -------
    ``(H, W, 3)`` uint8 RGB.
    """
    scale = min(_SIDE / min(width, height), _LONGEST_SIDE / max(width, height))
    w, h = max(_SHORTEST_SIDE, round(width * scale)), max(_SHORTEST_SIDE, round(height * scale))
    picture: np.ndarray = np.full((h, w, 3), _GROUND, np.float32)
    everywhere = sum(patch.mask is None for patch in patches)
    for number, patch in enumerate(patches):
        colour = np.asarray(_COLOURS[number % len(_COLOURS)], np.float32)
        if patch.mask is None:
            # People without a mask share the picture.
            area = np.full((h, w), 1.0 / everywhere, np.float32)
        else:
            area = fit_mask(patch.mask[:1], h, w)[0].numpy()
        weight = _TINT * area[..., None]
        picture = picture * (1 - weight) + colour * weight
        if patch.mask is not None:
            _outline(picture, area, colour)
    for patch in patches:
        if patch.landmarks is not None:
            lines = draw(patch.landmarks[0].resized(w, h), "mesh72")[0].astype(np.float32)
            drawn = lines.max(axis=2, keepdims=True) / 255.0
            picture = picture * (1 - drawn) + lines
    image = np.ascontiguousarray(picture.clip(0, 255).astype(np.uint8))
    for number, patch in enumerate(patches):
        _label(image, patch, number)
    return image


def _outline(picture: np.ndarray, area: np.ndarray, colour: np.ndarray) -> None:
    # The line where the person's weight is one half.
    contours, _ = cv2.findContours((area >= 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    layer = np.zeros(area.shape, np.uint8)
    cv2.drawContours(layer, contours, -1, 255, 2, cv2.LINE_AA)
    alpha = layer[..., None].astype(np.float32) / 255.0
    picture[:] = picture * (1 - alpha) + colour * alpha


def person_name(patch: HiFiPatch, number: int) -> str:
    """Return what to call the person: the name given, or a number."""
    return patch.settings.name or f"Person {number + 1}"


def _label(image: np.ndarray, patch: HiFiPatch, number: int) -> None:
    text = f"{person_name(patch, number)}  {patch.settings.identity_strength:g}"
    # OpenCV's fonts know ASCII only.
    text = text.encode("ascii", "replace").decode()
    colour = _COLOURS[number % len(_COLOURS)]
    y = 26 + 26 * number
    cv2.rectangle(image, (10, y - 13), (24, y + 1), colour, -1)
    for ink, shift in (((0, 0, 0), 1), ((255, 255, 255), 0)):
        place = (32 + shift, y + shift)
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, ink, 1, cv2.LINE_AA)


def people_image(patches: tuple[HiFiPatch, ...], width: int, height: int) -> torch.Tensor:
    """Return `draw_people` as the host's IMAGE, ``(1, H, W, 3)`` float in 0..1."""
    return torch.from_numpy(draw_people(patches, width, height)).to(torch.float32)[None] / 255.0

"""Faces of finished pictures cut out at a working size, and put back: small faces get the pixels they need.

*Ours*, after what detailers do (Impact Pack's FaceDetailer): cut out with context, sample again, paste with a
soft seam. What is added: the face is matched by recognition, boxes are steadied over frames, and colours are
matched where both pictures should be the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from kornia.color import lab_to_rgb, rgb_to_lab
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from ..faces.analyzer import DetectedFace

_LARGEST_GAIN = 1.25
"""Of contrast, in matching colours."""
_SMALLEST_SIDE = 16


@dataclass(frozen=True, eq=False)
class FaceCrops:
    """Where N squares were cut out of a batch of pictures.

    Attributes
    ----------
    rows : tuple of int
        Which picture of the batch each was cut out of.
    boxes : np.ndarray
        (N, 3) int64: left, top and side, px; inside the picture.
    pictures : int
        Number of pictures of the batch.
    width, height : int
        Of the pictures, px.
    size : int
        Side of the crops at their working size, px.
    """

    rows: tuple[int, ...]
    boxes: np.ndarray
    pictures: int
    width: int
    height: int
    size: int

    def matrix(self, index: int) -> np.ndarray:
        """(2, 3) from picture px to px of crop ``index``."""
        left, top, side = (float(value) for value in self.boxes[index])
        scale = self.size / side
        return np.array([[scale, 0.0, -left * scale], [0.0, scale, -top * scale]])


def choose_face(faces: Sequence[DetectedFace], person: np.ndarray | None, same: float) -> DetectedFace | None:
    """Return the face that is this person's; without a person the largest.

    Parameters
    ----------
    faces : sequence of DetectedFace
        Of one picture.
    person : np.ndarray or None
        (D,) embedding of length one, of the recognizer that embedded the faces.
    same : float
        Cosine similarity from which on a face is the person's.
    """
    if not faces:
        return None
    if person is None:
        return max(faces, key=lambda face: face.size)
    best = max(faces, key=lambda face: float(face.embedding @ person))
    return best if float(best.embedding @ person) >= same else None


def place_crops(
    faces: Sequence[DetectedFace | None], width: int, height: int, size: int, context: float, steady: float
) -> FaceCrops:
    """Return where to cut.

    Parameters
    ----------
    faces : sequence of DetectedFace or None
        One for each picture; None: nothing is cut out there.
    width, height : int
        Of the pictures, px.
    size : int
        Side of the crops at their working size, px.
    context : float
        Side of the square, in sides of the face's box.
    steady : float
        Standard deviation, in frames, of the smoothing of place and size over the batch; 0: none.

    Raises
    ------
    ValueError
        There is no face in any picture.
    """
    rows = tuple(row for row, face in enumerate(faces) if face is not None)
    if not rows:
        raise ValueError("no face of this person was found in the picture")
    boxes = np.stack([face.box for face in faces if face is not None]).astype(np.float64)
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(1)
    if steady > 0 and len(rows) > 1:
        centres = gaussian_filter1d(centres, steady, axis=0, mode="nearest")
        sides = np.exp(gaussian_filter1d(np.log(sides), steady, mode="nearest"))
    sides = np.clip(np.round(sides * context), _SMALLEST_SIDE, min(width, height))
    corners = np.clip(np.round(centres - sides[:, None] / 2), 0, np.stack([width - sides, height - sides], 1))
    return FaceCrops(
        rows, np.concatenate([corners, sides[:, None]], 1).astype(np.int64), len(faces), width, height, size
    )


def cut_out(pictures: Tensor, crops: FaceCrops) -> Tensor:
    """Return the squares at their working size, ``(N, C, size, size)`` of ``pictures (B or 1, C, H, W)``.

    Raises
    ------
    ValueError
        The pictures have another size than those that the squares belong to.
    """
    _check_size(pictures, crops)
    parts = []
    for row, (left, top, side) in zip(crops.rows, crops.boxes.tolist(), strict=True):
        part = pictures[row % len(pictures)][None, :, top : top + side, left : left + side]
        parts.append(_resized(part, crops.size).clamp(0.0, 1.0))
    return torch.cat(parts)


def paste_back(
    pictures: Tensor,
    parts: Tensor,
    crops: FaceCrops,
    feather: float = 0.15,
    colour_match: float = 1.0,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the pictures with the squares put back, and where they changed.

    Parameters
    ----------
    pictures : Tensor
        ``(B, 3, H, W)`` in 0..1: the pictures that the squares were cut out of.
    parts : Tensor
        ``(N, 3, S, S)`` in 0..1, S any size.
    crops : FaceCrops
        Where they belong.
    feather : float
        0..1: width of the soft seam, in half sides of the square.
    colour_match : float
        0..1: how far mean and contrast of the new square's rim are brought to those of the picture (CIELAB).
    mask : Tensor or None
        ``(N or 1, S, S)`` in 0..1: where in the squares to act.

    Returns
    -------
    pictures : Tensor
        ``(B, 3, H, W)``; where the second is 0, bit for bit the given ones.
    mask : Tensor
        ``(B, H, W)`` in 0..1.

    Raises
    ------
    ValueError
        Numbers or sizes do not belong together.
    """
    _check_size(pictures, crops)
    if len(pictures) != crops.pictures or len(parts) != len(crops.rows):
        raise ValueError(
            f"{len(crops.rows)} faces were cut out of {crops.pictures} pictures, but there are {len(parts)} "
            f"faces and {len(pictures)} pictures; connect what went into Crop to Face, and all its faces"
        )
    out, changed = pictures.clone(), pictures.new_zeros(len(pictures), *pictures.shape[-2:])
    for index, (row, (left, top, side)) in enumerate(zip(crops.rows, crops.boxes.tolist(), strict=True)):
        where = (slice(top, top + side), slice(left, left + side))
        before = out[row][(slice(None), *where)]
        soft = _seam(side, feather, before)
        new = _resized(parts[index][None, :3], side)[0].clamp(0.0, 1.0)
        if colour_match > 0:
            new = torch.lerp(new, _matched(new, before, 1.0 - soft), colour_match)
        if mask is not None:
            soft = soft * _resized(mask[index % len(mask)][None, None], side)[0, 0].clamp(0.0, 1.0)
        # Not by arithmetic where nothing is to change: x + 0 * (y - x) is not always x.
        out[row][(slice(None), *where)] = torch.where(soft > 0, torch.lerp(before, new, soft), before)
        changed[row][where] = torch.maximum(changed[row][where], soft)
    return out, changed


def _check_size(pictures: Tensor, crops: FaceCrops) -> None:
    height, width = pictures.shape[-2:]
    if (width, height) != (crops.width, crops.height):
        raise ValueError(
            f"the faces were cut out of pictures of {crops.width} x {crops.height}, these have {width} x "
            f"{height}; connect pictures of one size"
        )


def _resized(part: Tensor, side: int) -> Tensor:
    if tuple(part.shape[-2:]) == (side, side):
        return part
    return F.interpolate(part.float(), size=(side, side), mode="bicubic", antialias=True)


def _seam(side: int, feather: float, like: Tensor) -> Tensor:
    """``(side, side)``: 1 in the middle, falling to 0 at the border over ``feather`` of the half side."""
    edge = (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) / side
    edge = torch.minimum(edge, 1 - edge) * 2
    ramp = (edge / max(feather, 1.0 / side)).clamp(0.0, 1.0)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return ramp[:, None] * ramp[None]


def _matched(new: Tensor, before: Tensor, weight: Tensor) -> Tensor:
    """Bring mean and contrast of ``new`` to those of ``before``, both weighted by ``weight``."""
    share = weight / weight.sum().clamp(min=1e-6)
    ours, theirs = rgb_to_lab(new[None])[0], rgb_to_lab(before[None])[0]

    def moments(lab: Tensor) -> tuple[Tensor, Tensor]:
        mean = (lab * share).sum((-2, -1), keepdim=True)
        return mean, ((lab - mean).square() * share).sum((-2, -1), keepdim=True).sqrt()

    (mean, spread), (wanted, contrast) = moments(ours), moments(theirs)
    gain = (contrast / spread.clamp(min=1e-3)).clamp(1 / _LARGEST_GAIN, _LARGEST_GAIN)
    matched: Tensor = lab_to_rgb(((ours - mean) * gain + wanted)[None])[0].clamp(0.0, 1.0)
    return matched

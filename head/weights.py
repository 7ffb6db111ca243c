"""How much each photo is worth at each texel. *Ours*."""

from __future__ import annotations

import cv2
import numpy as np

from .layout import UVLayout
from .model import HeadModel
from .posed import Posed
from .unwrap import Unwrapped
from .visibility import View, smoothstep

INNER = ("mouth", "upper_teeth", "lower_teeth", "tongue")
_MOVED = 0.10
"""Displacement by a photo's own expression (interocular distances) from which it counts less: its folds, its
lips."""
_COHERENT = (
    ("right_eye", "left_eye", "lids"),
    ("lips",),
    INNER,
    ("neck",),
)
"""Regions that are taken from one photo as a whole: two half gazes or two half smiles are neither."""
_COHERENCE = 6.0
_NO_CHROMA = 0.03
"""Share of blue light, below white's, of a face in a black-and-white photo: colour tells nothing there."""
_LIT, _SHADED = ((0.4, 0.75), (0.5, 0.8)), ((0.3, 0.6), (0.12, 0.3))
"""Whiteness and brightness of what is not skin: on the face, and in the shade under the jaw."""
_BEARD = (0.15, 0.4)
"""Share of the chin as neutral as a collar, from which it is a grey beard."""
_BEARDED = -1.2
"""Height above which a beard is looked for, clear of what is mistaken for it."""
_UNDER, _BELOW_LIPS, _COLLAR = (0.05, 0.3), (1.0, 1.3), (1.95, 2.2)
"""How far a normal points down, and between which heights (interocular distances below the eyes) a place
lies, under the jaw; lower, a collar is in its place."""
_JAW, _ASIDE = (-0.3, -0.05), (0.3, 0.6)
"""The same for the jaw's edge beside the chin, and how far from the middle that begins."""
SKIN = ("face", "lids", "ears", "neck")


def weights_of(
    photos: list[Posed], views: list[View], textures: list[Unwrapped], layout: UVLayout, model: HeadModel
) -> tuple[np.ndarray, np.ndarray]:
    """Weigh photos texel by texel, before they are compared with each other.

    Returns
    -------
    tuple
        (N, s, s) float32 how well each photo shows each texel, which confidence is made of; and how much it
        is worth there beside the other photos: a smile's folds count little where another photo is calm.
    """
    finest = max(p.scale for p in photos)
    face = member(layout, model, "face", "lids", "ears")
    # Down to the throat: below lie collars, which may be white.
    face = cv2.dilate(face, np.ones((2 * (layout.size // 32) + 1,) * 2, np.uint8))
    # Behind the teeth geometry is a guess: what a photo would show there are its teeth, torn.
    before = 1 - member(layout, model, "mouth", "tongue")
    under, chin = throat(layout, model), _chin(layout, model)
    clear, worth = [], []
    for photo, view, texture in zip(photos, views, textures, strict=True):
        moved = layout.interpolate(photo.moved[:, None])[..., 0]
        calm = 0.03 + 0.97 * np.exp(-((moved / _MOVED) ** 2))
        frontal = view.seen * np.clip(view.cosine, 0, 1)
        fine = min(1.0, photo.scale / finest)
        person = cv2.resize(texture.person * texture.shown, (layout.size,) * 2, interpolation=cv2.INTER_AREA)
        skin = frontal * face
        foreign = face * _foreign(texture, skin, layout.size, *_LIT)
        collar = _foreign(texture, skin, layout.size, *_SHADED)
        # A grey beard is as neutral as a shirt; it goes on over the chin.
        bearded = (collar * chin * skin).sum() / max(float((chin * skin).sum()), 1e-6)
        collar *= under * (1 - smoothstep(*_BEARD, bearded))
        rating = photo.face.weight * photo.face.quality.score
        person = (person > 0.02) * before
        clear.append(frontal**2 * (1 - 0.88 * foreign) * (1 - collar) * person * min(1.0, rating / 0.5))
        own = (1 - 0.99 * foreign) * (1 - 0.999 * collar) * person
        worth.append(photo.face.weight * fine * frontal**2 * calm * own)
    return np.stack(clear).astype(np.float32), np.stack(worth).astype(np.float32)


def _foreign(
    texture: Unwrapped,
    seen: np.ndarray,
    size: int,
    whiteness: tuple[float, float],
    brightness: tuple[float, float],
) -> np.ndarray:
    """(s, s) in 0..1: lit, and whiter or bluer than this person's skin: a collar, a reflection.

    ``whiteness`` is where it begins and is sure on the way from skin to white, ``brightness`` the same in
    shares of the skin's.
    """
    colour = cv2.resize(texture.colour, (size, size), interpolation=cv2.INTER_AREA)
    total = colour.sum(-1)
    blue = colour[..., 2] / np.maximum(total, 1e-6)
    clear = seen > 0.5
    if clear.sum() < 50:
        return np.zeros_like(blue)
    own, lit = float(np.median(blue[clear])), float(np.median(total[clear]))
    to_white = 1 / 3 - own
    if to_white < _NO_CHROMA:
        return np.zeros_like(blue)
    found = smoothstep(*whiteness, (blue - own) / to_white) * smoothstep(*brightness, total / lit)
    # What is half covered is mixed with it.
    reach = 2 * (size // 128) + 1
    return cv2.GaussianBlur(cv2.dilate(found, np.ones((reach, reach), np.uint8)), (0, 0), size / 256)


def throat(layout: UVLayout, model: HeadModel) -> np.ndarray:
    """(s, s) float32 in 0..1: underside of jaw and chin, the jaw's edge: collars land there by mistake."""
    normals = layout.interpolate(model.normals(model.mean[model.source])[:, 1:2])[..., 0]
    aside, height = np.moveaxis(layout.interpolate(model.mean[model.source][:, :2]), -1, 0)
    edge = smoothstep(*_JAW, -normals) * smoothstep(*_ASIDE, np.abs(aside))
    under = np.maximum(smoothstep(*_UNDER, -normals), edge) * member(layout, model, "face", "neck")
    low = smoothstep(*_BELOW_LIPS, -height) * (1 - smoothstep(*_COLLAR, -height))
    return np.asarray(under * low, np.float32)


def _chin(layout: UVLayout, model: HeadModel) -> np.ndarray:
    """(s, s) bool: around the lips and on the front of the chin, well above the throat."""
    x, y, z = np.moveaxis(layout.interpolate(model.mean[model.source]), -1, 0)
    face = (member(layout, model, "face") > 0.9) & (y > _BEARDED) & (y < -0.75)
    return np.asarray(face & (np.abs(x) < 0.5) & (z > 0))


def coherent(weights: np.ndarray, layout: UVLayout, model: HeadModel) -> np.ndarray:
    """Favour, in each region that must not be mixed, the photo that is best there as a whole."""
    if len(weights) < 2:
        return weights
    result = weights.copy()
    for regions in _COHERENT:
        inside = member(layout, model, *regions)
        soft = cv2.GaussianBlur(cv2.dilate(inside, np.ones((5, 5), np.uint8)), (0, 0), 2.0)
        worth = (weights * inside).sum((1, 2))
        favour = (worth / max(float(worth.max()), 1e-9)) ** _COHERENCE
        result *= 1 + soft * (favour[:, None, None] - 1)
    return result


def member(layout: UVLayout, model: HeadModel, *regions: str) -> np.ndarray:
    """(s, s) float32 in 0..1: share of a texel that belongs to these regions."""
    member = model.in_region(*regions).astype(np.float32)
    return layout.interpolate(member[:, None])[..., 0].clip(0, 1)

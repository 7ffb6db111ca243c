"""Posed photos become one UV texture: sampled, balanced, weighed texel by texel, blended, filled. *Ours*."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from .balance import LARGEST_GAIN, agreement, solve_lights
from .blend import blend, pull_push
from .fill import continued, continued_within, with_pores
from .layout import UVLayout, enlarge, padded
from .light import basis, fit_light, unit
from .model import HeadModel
from .mouth import arch, crowns
from .posed import Posed
from .register import moved, registered
from .unwrap import TO_LINEAR, Unwrapped, to_srgb8, unwrap
from .visibility import View, smoothstep, view_of
from .weights import INNER, SKIN, coherent, member, throat, weights_of

_VIEW, _LIGHT = 512, 128
"""px of the textures on which visibility and light are worked out."""
_SURE = 0.35
"""Weight at which confidence reaches 63 %."""
_MIRRORED, _FILLED = 0.35, 0.04
"""Confidence of what is copied from the other side, as a share of that side's, and of what is filled in."""
_LARGEST_APART, _LARGEST_HUE = 0.2, 0.04
"""Most that a borrowed side is corrected by in brightness and colour, square root of linear light."""
_USUAL = {
    "upper_teeth": (226, 217, 203),
    "lower_teeth": (214, 204, 190),
    "tongue": (165, 80, 80),
    "mouth": (88, 36, 36),
}
"""sRGB of what is inside a mouth, as ``training/data/synthetic`` has it."""
_ENOUGH = 0.08
"""Share of a region that must be shown for its own colour to go on instead of the usual one."""
_REDDISH, _DIM = (0.16, 0.26), (0.3, 0.5)
"""Red minus blue (square root of linear light) and brightness, as a share of usual teeth's, between which
something is no tooth, or one."""
_USUAL_SKIN = 0.75
"""Square root of linear light of a well lit face's brightest channel."""


@lru_cache(maxsize=2)
def _layout(model: HeadModel) -> UVLayout:
    return UVLayout.of(model.uv, model.triangles, _VIEW)


@dataclass(frozen=True, eq=False)
class Fused:
    """The texture of a head and what is known of it; see `Head`."""

    texture: np.ndarray
    opacity: np.ndarray
    confidence: np.ndarray
    light: np.ndarray
    shares: tuple[float, ...]


def fuse_texture(photos: list[Posed], geometry: np.ndarray, model: HeadModel, size: int = 1024) -> Fused:
    """Fuse posed photos into one texture.

    Parameters
    ----------
    photos : list of Posed
        Of one person.
    geometry : np.ndarray
        (G, 3) the person's neutral head.
    model : HeadModel
        Mesh and UV layout.
    size : int
        Side of the texture, px.
    """
    layout = _layout(model)
    inner = model.in_region(*INNER).astype(np.float32)
    views = [view_of(p.vertices, p.normals, model.triangles, layout, p.scale, inner) for p in photos]
    textures = [unwrap(p, v, layout, size) for p, v in zip(photos, views, strict=True)]
    shown, weights = weights_of(photos, views, textures, layout, model)
    normals = padded(layout.interpolate(model.normals(geometry[model.source])), layout.inside)
    lights, common, agreeing = _balance(textures, weights, normals, layout, model, [p.grey for p in photos])
    weights = coherent(weights * agreeing, layout, model)
    sure = 1 - np.exp(-enlarge((shown * (0.25 + 0.75 * agreeing)).sum(0), size) / _SURE)

    large = np.stack([enlarge(w, size) for w in weights])
    large *= np.stack([smoothstep(0.5, 1.0, t.person) * t.shown for t in textures])
    sure *= np.stack([smoothstep(0.3, 0.9, t.person) * t.shown for t in textures]).max(0)
    gains = [np.exp(np.clip(basis(normals) @ (common - own), -LARGEST_GAIN, LARGEST_GAIN)) for own in lights]
    colours = np.stack(
        [np.sqrt((t.colour * enlarge(g, size)).clip(0, 1)) for t, g in zip(textures, gains, strict=True)]
    )
    if len(colours) > 1:
        moves = registered(colours, large)
        colours = np.stack([moved(c, m).clip(0, 1) for c, m in zip(colours, moves, strict=True)])
    blended = blend(colours, large)
    light = _light_of(blended, sure, normals, layout, model)
    blended, confidence = _fill(blended, sure, light, normals, layout, model)
    inside = enlarge(layout.inside.astype(np.float32), size) > 0
    total = float(large.sum())
    return Fused(
        to_srgb8(blended.clip(0, 1) ** 2),
        _opacity(textures, views, size),
        (confidence * inside * 255 + 0.5).astype(np.uint8),
        light.astype(np.float32),
        tuple(float(w.sum()) / max(total, 1e-9) for w in large),
    )


def _balance(
    textures: list[Unwrapped],
    weights: np.ndarray,
    normals: np.ndarray,
    layout: UVLayout,
    model: HeadModel,
    grey: list[bool],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lights (N, 9, 3), the common one (9, 3), and how far each photo agrees (N, s, s)."""
    side = (_LIGHT, _LIGHT)
    count = len(textures)
    small = np.stack([cv2.resize(t.colour, side, interpolation=cv2.INTER_AREA) for t in textures])
    person = np.stack([cv2.resize(t.person * t.shown, side, interpolation=cv2.INTER_AREA) for t in textures])
    shrunk = np.stack([cv2.resize(w, side, interpolation=cv2.INTER_AREA) for w in weights]) * (person > 0.7)
    skin = cv2.resize(member(layout, model, *SKIN), side, interpolation=cv2.INTER_AREA) > 0.9
    flat_normals = cv2.resize(normals, side, interpolation=cv2.INTER_AREA).reshape(-1, 3)
    flat_normals = unit(flat_normals)
    logs = np.log(small.reshape(count, -1, 3) + 2e-3).astype(np.float64)
    flat_weights = shrunk.reshape(count, -1).astype(np.float64)
    lights, _ = solve_lights(logs, flat_weights * skin.ravel(), flat_normals)
    says = flat_weights.sum(1)
    if not all(grey):
        # A black-and-white photo does not tell the light's colour, nor the skin's.
        says = says * ~np.array(grey)
    common = np.tensordot(says / max(float(says.sum()), 1e-9), lights, 1)
    unlit = logs - np.einsum("pt,ntc->npc", basis(flat_normals), lights)
    mirrored = np.arange(_LIGHT * _LIGHT).reshape(side)[:, ::-1].ravel()
    agreeing = agreement(unlit, flat_weights, mirrored).reshape(count, *side).astype(np.float32)
    agreeing = np.stack([cv2.GaussianBlur(a, (0, 0), 1.0) for a in agreeing])
    return lights, common, np.stack([enlarge(a, layout.size) for a in agreeing])


def _light_of(
    blended: np.ndarray, sure: np.ndarray, normals: np.ndarray, layout: UVLayout, model: HeadModel
) -> np.ndarray:
    """(9, 3) the light in a texture, its skin taken for one colour."""
    side = (_LIGHT, _LIGHT)
    logs = 2 * np.log(cv2.resize(blended, side, interpolation=cv2.INTER_AREA).clip(0.04, 1)).reshape(-1, 3)
    weight = (
        cv2.resize(sure.astype(np.float32), side, interpolation=cv2.INTER_AREA).ravel().astype(np.float64)
    )
    skin = member(layout, model, "face", "neck")
    weight *= cv2.resize(skin, side, interpolation=cv2.INTER_AREA).ravel() > 0.9
    small = cv2.resize(normals, side, interpolation=cv2.INTER_AREA).reshape(-1, 3)
    small = unit(small)
    light = np.zeros((9, 3))
    robust = weight
    for _ in range(4):
        light = fit_light(logs, robust, small)
        residual = np.abs(logs - basis(small) @ light).max(1)
        robust = weight / (1 + (residual / 0.3) ** 2)
    # The mean is the skin's colour, not the light's.
    light[0] = 0.0
    return light


def _fill(
    blended: np.ndarray,
    sure: np.ndarray,
    light: np.ndarray,
    normals: np.ndarray,
    layout: UVLayout,
    model: HeadModel,
) -> tuple[np.ndarray, np.ndarray]:
    """Fill what no photo shows: from the other side, then smoothly. Returns colours and confidence."""
    size = len(blended)
    # Brightness alone: the light's colour on a side that no photo shows is not known.
    shading = (basis(normals) @ light).mean(-1)
    across = np.exp(np.clip((shading - shading[:, ::-1]) / 2, -0.3, 0.3)).astype(np.float32)
    other = blended[:, ::-1] * enlarge(across, size)[..., None]
    own, there = smoothstep(0.03, 0.35, sure), smoothstep(0.03, 0.35, sure[:, ::-1])
    borrowed = there * (1 - own)
    known = own + borrowed
    other = other + _apart(blended - other, (own * there).astype(np.float32))
    mixed = (blended * own[..., None] + other * borrowed[..., None]) / np.maximum(known, 1e-6)[..., None]
    scalp = enlarge(member(layout, model, "scalp"), size)
    known = known.astype(np.float32).clip(0, 1)
    mixed = mixed.astype(np.float32)
    filled = continued(mixed, known, scalp)
    under, face = (enlarge(m, size) for m in (throat(layout, model), member(layout, model, "face")))
    filled = continued_within(filled, mixed, known, under, face)
    filled = with_pores(filled, mixed, known, enlarge(member(layout, model, "face", "ears", "neck"), size))
    filled = _with_usual(filled, known, layout, model)
    confidence = np.maximum(sure, _MIRRORED * sure[:, ::-1])
    return filled, np.maximum(confidence, _FILLED)


def _apart(difference: np.ndarray, both: np.ndarray) -> np.ndarray:
    """(S, S, 3) what differs between sides that are both shown, spread smoothly: they are lit differently."""
    size, small = len(both), len(both) // 4
    weight = cv2.GaussianBlur(
        cv2.resize(both, (small, small), interpolation=cv2.INTER_AREA), (0, 0), small / 80
    )
    mean = cv2.resize(difference * both[..., None], (small, small), interpolation=cv2.INTER_AREA)
    mean = cv2.GaussianBlur(mean, (0, 0), small / 80) / np.maximum(weight, 1e-6)[..., None]
    # Colours differ little between the sides of a face; where they do, one of them is something else.
    grey = mean.mean(-1, keepdims=True)
    hue = np.clip(mean - grey, -_LARGEST_HUE, _LARGEST_HUE)
    mean = np.clip(grey, -_LARGEST_APART, _LARGEST_APART) + hue
    return enlarge(pull_push(mean.astype(np.float32), np.clip(weight * 8, 0, 1)), size)


def _with_usual(filled: np.ndarray, known: np.ndarray, layout: UVLayout, model: HeadModel) -> np.ndarray:
    """Teeth, tongue and the inside of the mouth that no photo shows: usual colours, lit as the face is."""
    size = len(filled)
    face = enlarge(member(layout, model, "face"), size) * (known > 0.9)
    lit = np.median(filled[face > 0.9].max(-1)) if (face > 0.9).any() else _USUAL_SKIN
    brightness = float(np.clip(lit / _USUAL_SKIN, 0.45, 1.15))
    way = enlarge(layout.interpolate(arch(model)[:, None])[..., 0], size)
    for region, colour in _USUAL.items():
        usual = np.sqrt(TO_LINEAR[list(colour)]) * brightness
        inside = enlarge(member(layout, model, region), size)
        shown = known
        if "teeth" in region:
            # Lips, gums and the mouth's dark that land on teeth are not teeth.
            red = filled[..., 0] - filled[..., 2]
            white = 1 - smoothstep(*_REDDISH, red)
            shown = known * white * smoothstep(*_DIM, filled.max(-1) / max(float(usual.max()), 1e-6))
        own = (inside > 0.9) & (shown > 0.9)
        if own.mean() > _ENOUGH * (inside > 0.9).mean():
            usual = np.median(filled[own], 0)
        wanted = np.broadcast_to(usual, filled.shape)
        if "teeth" in region:
            wanted = wanted * np.sqrt(crowns(way, region == "upper_teeth"))[..., None]
        share = inside * (1 - shown)
        filled = filled + share[..., None] * (wanted - filled)
    return filled.astype(np.float32)


def _opacity(textures: list[Unwrapped], views: list[View], size: int) -> np.ndarray:
    """(size, size) uint8: where the photos see the person at a texel, whatever the angle."""
    total, person = np.full((size, size), 1e-3, np.float32), np.full((size, size), 1e-3, np.float32)
    for texture, view in zip(textures, views, strict=True):
        seen = enlarge(smoothstep(0.0, 0.2, view.cosine) * (view.seen > 0), size) * texture.shown
        total += seen
        person += seen * texture.person
    return (person / total * 255 + 0.5).astype(np.uint8)

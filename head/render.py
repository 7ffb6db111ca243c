"""A picture of a head in a wanted pose, expression and light. *Ours*."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from kornia.color import linear_rgb_to_rgb, rgb_to_linear_rgb
from torch.nn.functional import grid_sample

from ..landmarks.camera import project, rotation
from ..landmarks.generate import placement
from ..landmarks.landmarks import FaceLandmarks3D
from ..landmarks.model import FaceModel
from .expression import blinks_of, expressed
from .lids import SURE, ClosedLid, mixed
from .light import basis, unit
from .model import HeadModel
from .mouth import light_inside, lips_closed
from .raster import interpolate, triangle_ids
from .records import Head, HeadRender
from .visibility import smoothstep

_OPAQUE = (0.15, 0.5)
"""Cosines between surface and line of sight: below the first the texture's opacity counts (it comes from the
outlines that the photos show), from the second the head is solid."""
_GRAZING = (0.05, 0.45)
"""Cosines between which confidence rises: foreshortened texels show little."""
_SHUTTING, _SHUT = (0.5, 0.95), 0.3
"""Blink coefficients between which an eyeball goes dark behind its lids, and its brightness then."""
_COARSE = 2
"""Normals and what hangs on them are computed at one of so many pixels."""


def render_head(
    head: Head,
    landmarks: FaceLandmarks3D,
    width: int | None = None,
    height: int | None = None,
    light: np.ndarray | None = None,
    device: torch.device | str = "cpu",
) -> HeadRender:
    """Render a head as landmarks ask for.

    Parameters
    ----------
    head : Head
        The person.
    landmarks : FaceLandmarks3D
        Pose, expression (gaze too) and place of B faces. The head keeps its own identity.
    width, height : int or None
        Size of the pictures, px; the landmarks' canvas by default, else the landmarks are fitted to it.
    light : np.ndarray or None
        (9, 3) harmonics of the wanted light (``head/light.py``), in the camera's frame; None keeps the
        photos'.
    device : torch.device or str
        Where texture lookups run and the result lies.

    Returns
    -------
    HeadRender
    """
    if width is not None or height is not None:
        landmarks = landmarks.resized(width or landmarks.width, height or landmarks.height)
    positions, scales = placement(landmarks, FaceModel.load())
    texture = _texture(head, device)
    lids = head.closed_lids if _blinking(landmarks.expression) else ()
    views = []
    for row, expression in enumerate(landmarks.expression):
        shown = _blinked(texture, lids, expression)
        views.append(_render_one(head, shown, landmarks, row, positions[row], float(scales[row]), light))
    return HeadRender(*(torch.stack(parts) for parts in zip(*views, strict=True)))


def _texture(head: Head, device: torch.device | str) -> torch.Tensor:
    """(1, 5, S, S) float32 in 0..1: colour, opacity, confidence."""
    layers = np.dstack([head.texture, head.opacity, head.confidence])
    return torch.from_numpy(layers).to(device).permute(2, 0, 1)[None].float() / 255


def _blinking(expression: np.ndarray) -> bool:
    """Whether any of (B, 52) coefficients closes a lid so far that it looks different."""
    return any(mixed(float(expression[:, blink.row].max())) > 0 for blink in blinks_of(HeadModel.load()))


def _blinked(texture: torch.Tensor, lids: tuple[ClosedLid, ...], expression: np.ndarray) -> torch.Tensor:
    """Return the texture with lids closed as far as (52,) coefficients close them."""
    result = texture
    for lid in lids:
        amount = mixed(float(expression[lid.row]))
        if not amount:
            continue
        if result is texture:
            result = texture.clone()
        count = len(lid.share)
        part = result[0, :, lid.top : lid.top + count, lid.left : lid.left + count]
        share = torch.from_numpy(lid.share * amount).to(texture.device)
        part[:3] += share * (torch.from_numpy(lid.colour).to(texture.device).permute(2, 0, 1) - part[:3])
        part[4] *= 1 - (1 - SURE) * share
    return result


def _render_one(
    head: Head,
    texture: torch.Tensor,
    landmarks: FaceLandmarks3D,
    row: int,
    position: np.ndarray,
    scale: float,
    light: np.ndarray | None,
) -> tuple[torch.Tensor, ...]:
    model = HeadModel.load()
    width, height, device = landmarks.width, landmarks.height, texture.device
    matrix = rotation(*landmarks.pose[row])
    expression = landmarks.expression[row]
    geometry = head.geometry + expressed(model, head.geometry, expression)
    geometry += lips_closed(model, head.geometry, expression)
    posed = model.posed(geometry[model.source], matrix)
    points = project(posed, np.eye(3), scale, position)
    ids = triangle_ids(points, model.triangles, width, height)
    rows, columns = np.nonzero((ids >= 0).any(1))[0], np.nonzero((ids >= 0).any(0))[0]
    empty = torch.zeros((height, width), device=device)
    if not len(rows):
        return empty[..., None].expand(-1, -1, 3), empty, empty, empty, empty[..., None].expand(-1, -1, 3)
    y0, x0 = rows[0] // 2 * 2, columns[0] // 2 * 2
    part = np.s_[y0 : rows[-1] + 1, x0 : columns[-1] + 1]
    ids = ids[part]
    points = points - [x0, y0, 0]

    shade = _shade(model, geometry, expression)
    values = np.c_[model.uv * 2 - 1, points[:, 2:], shade]
    maps = interpolate(ids, points, model.triangles, values)
    grid = torch.from_numpy(maps[None, ..., :2]).to(device)
    sampled = grid_sample(texture, grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
    covered = (ids >= 0).astype(np.float32)

    normals = model.normals(posed)
    coarse = interpolate(ids[::_COARSE, ::_COARSE], points / _COARSE, model.triangles, normals)
    size = ids.shape[1], ids.shape[0]
    normal = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
    on = _on_device(covered, normal, maps, device)
    picture = sampled[:3].permute(1, 2, 0) * on["lit"][..., None]
    if light is not None:
        gain = _gain(coarse, matrix, head.light, light)
        picture = _relit(picture, torch.from_numpy(cv2.resize(gain, size)).to(device))
    alpha = on["outline"] * torch.clamp(sampled[3] + on["solid"], max=1)
    confidence = sampled[4] * on["sure"] * alpha
    near, far = float(points[:, 2].max()), float(points[:, 2].min())
    depth = (on["z"] - far) / max(near - far, 1e-6) * on["covered"]
    shown = on["normal"] / on["normal"].norm(dim=-1, keepdim=True).clamp(min=1e-6)
    shown = (shown * 0.5 + 0.5) * on["covered"][..., None]

    def placed(values: torch.Tensor) -> torch.Tensor:
        whole = torch.zeros((height, width, *values.shape[2:]), device=device)
        whole[part] = values
        return whole

    return tuple(placed(v) for v in (picture, alpha, confidence, depth, shown))


def _on_device(
    covered: np.ndarray, normal: np.ndarray, maps: np.ndarray, device: torch.device
) -> dict[str, torch.Tensor]:
    """Return what is blended with: outline, opacity and confidence as far as geometry decides them."""
    cosine = normal[..., 2]
    arrays = {
        # Inwards only: what lies outside of the outline has no colour.
        "outline": np.clip(2 * cv2.GaussianBlur(covered, (0, 0), 0.9) - 1, 0, 1),
        "solid": smoothstep(*_OPAQUE, cosine),
        "sure": smoothstep(*_GRAZING, cosine),
        "covered": covered,
        "normal": normal,
        "z": maps[..., 2],
        "lit": maps[..., 3] * covered,
    }
    return {name: torch.from_numpy(a.astype(np.float32)).to(device) for name, a in arrays.items()}


def _gain(normals: np.ndarray, matrix: np.ndarray, own: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32 factor on linear light: the texture's own light off, the wanted one on."""
    seen = unit(normals)
    gain = basis(seen) @ wanted - basis(seen @ matrix) @ own
    return np.exp(np.clip(gain, -3, 3)).astype(np.float32)


def _relit(picture: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    linear = rgb_to_linear_rgb(picture.permute(2, 0, 1)) * gain.permute(2, 0, 1)
    return linear_rgb_to_rgb(linear.clamp(0, 1)).permute(1, 2, 0)


def _shade(model: HeadModel, geometry: np.ndarray, expression: np.ndarray) -> np.ndarray:
    """(V,) float32 brightness: dark behind lips and lids that hardly part."""
    shade = light_inside(model, geometry)
    for blink, ball in zip(blinks_of(model), ("right_eye", "left_eye"), strict=True):
        shade[model.in_region(ball)] = 1 - (1 - _SHUT) * smoothstep(*_SHUTTING, expression[blink.row])
    return shade

"""What Load Reference Faces takes beside its plain inputs: sockets that grow, boxes and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from comfy_api.latest import io

from ..boundary.text import echoed
from ..faces.regions import Region, both, regions_of_boxes, regions_of_masks
from ..patching import host
from .sockets import socket_problem
from .types import BoundingBox

NODE = "Load Reference Faces"
MOST_SOCKETS = 16
"""Of single photos; more come as a batch, a list or a folder."""


def region_inputs() -> list[Any]:
    """Return the inputs that choose a face by where it is."""
    return [
        BoundingBox.Input(
            "boxes",
            optional=True,
            tooltip="Where the person is in each picture, from a node that finds faces or things "
            "(BOUNDING_BOX): other faces are not looked at. One box or list for all pictures, or one each.",
            extra_dict={"forceInput": True},
        ),
        io.Mask.Input(
            "masks",
            optional=True,
            tooltip="Where the person is in each picture, white, from a node that segments: other faces are "
            "not looked at. One mask for all pictures, or one each.",
        ),
    ]


def growing_inputs() -> list[Any]:
    """Return a row of sockets that grows with every photo that is linked; none on hosts without such rows."""
    autogrow = host.growing_inputs(io)
    if autogrow is None:
        return []
    photo = io.Image.Input("photo", optional=True, tooltip="A photo of the person, of any size.")
    return [
        autogrow.Input(
            "photos",
            template=autogrow.TemplatePrefix(photo, prefix="photo", min=0, max=MOST_SOCKETS),
            optional=True,
            tooltip="Photos of the person, a socket each: another one appears with every link.",
        )
    ]


def growing_pictures(photos: Any) -> list[torch.Tensor]:
    """Return what is linked to the row of sockets, in its order.

    Parameters
    ----------
    photos
        By socket, a picture or a list of them; None on hosts without such rows.

    Raises
    ------
    ValueError
        Something else than pictures; one line.
    """
    if photos is None:
        return []
    if isinstance(photos, Sequence) and not isinstance(photos, str) and len(photos) == 1:
        photos = photos[0]
    if not isinstance(photos, Mapping):
        raise ValueError(f"{NODE}: photos must come from sockets, it is {echoed(photos)}")
    found: list[torch.Tensor] = []
    for name, value in photos.items():
        for picture in value if isinstance(value, list) else [value]:
            problem = None if picture is None else socket_problem("IMAGE", picture)
            if problem:
                raise ValueError(f"{NODE}: {name} {problem}")
            if picture is not None:
                found.append(picture)
    return found


def regions(boxes: Any, masks: Sequence[torch.Tensor] | None, count: int) -> tuple[Region | None, ...] | None:
    """Return where the person is in each picture, or None where nothing says it.

    Parameters
    ----------
    boxes
        As the host hands a list input: a list of BOUNDING_BOX values.
    masks
        (H, W) or (B, H, W) each, 0..1.
    count
        Of pictures.

    Raises
    ------
    ValueError
        They are no boxes, or not as many as pictures; one line.
    """
    boxes = [value for value in boxes or [] if value is not None]
    masks = [mask for mask in masks or [] if mask is not None]
    if not boxes and not masks:
        return None
    none: tuple[Region | None, ...] = (None,) * count
    try:
        of_boxes = regions_of_boxes(boxes[0] if len(boxes) == 1 else boxes, count) if boxes else none
    except ValueError as error:
        raise ValueError(f"{NODE}: boxes {error}") from None
    planes = [plane for mask in masks for plane in mask.reshape(-1, *mask.shape[-2:]).float().cpu().numpy()]
    try:
        of_masks = regions_of_masks(planes, count) if planes else none
    except ValueError as error:
        raise ValueError(f"{NODE}: masks {error}") from None
    return both(of_boxes, of_masks)

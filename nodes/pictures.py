"""ComfyUI's pictures as the analyzers want them, and what nodes that read many of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from comfy.utils import ProgressBar

from ..faces.analyzer import DetectedFace, FaceAnalyzer
from ..faces.pictures import EXTENSIONS, NamedImage, UnreadableImage, to_rgb8
from ..faces.references import analyze_cached


def count_images(images: Sequence[torch.Tensor]) -> int:
    """Return how many pictures there are in image batches."""
    return sum(len(batch) if batch.ndim == 4 else 1 for batch in images)


def named_images(
    images: Sequence[torch.Tensor], label: str = "picture"
) -> list[NamedImage | UnreadableImage]:
    """Name the pictures of ComfyUI's image batches, counted from 1 over all of them."""
    out: list[NamedImage | UnreadableImage] = []
    for batch in images:
        for image in batch if batch.ndim == 4 else batch[None]:
            name = f"{label} {len(out) + 1}"
            try:
                out.append(NamedImage(name, to_rgb8(image.detach().float().cpu().numpy())))
            except ValueError as error:
                out.append(UnreadableImage(name, str(error)))
    return out


def to_image(pixels: np.ndarray) -> torch.Tensor:
    """Return uint8 pictures as ComfyUI's IMAGE."""
    tensor = torch.from_numpy(pixels).float() / 255
    return tensor if tensor.ndim == 4 else tensor[None]


def faces_in(
    image: torch.Tensor, analyzer: FaceAnalyzer, what: str
) -> Iterator[tuple[NamedImage, list[DetectedFace]]]:
    """Find all faces of each picture of a batch, with the host's progress bar; ``what`` names a picture."""
    bar = ProgressBar(len(image)) if len(image) > 2 else None
    for number, frame in enumerate(image, start=1):
        name = what if len(image) == 1 else f"{what} {number}"
        picture = NamedImage(name, to_rgb8(frame.detach().float().cpu().numpy()))
        yield picture, analyze_cached(picture, analyzer)
        if bar is not None:
            bar.update(1)


def channels_first(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return pictures ``(B, H, W, C)`` as ``(B, 3, height, width)``, resized where they have another size."""
    pictures = image[..., :3].movedim(-1, 1).float()
    if tuple(pictures.shape[-2:]) != (height, width):
        pictures = F.interpolate(pictures, size=(height, width), mode="bicubic", antialias=True)
    return pictures


def masks_of(mask: torch.Tensor, count: int, height: int, width: int) -> torch.Tensor:
    """Return ``(count, height, width)``; masks start again with the first when they end."""
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.shape[-2:] != (height, width):
        mask = F.interpolate(mask[:, None], size=(height, width), mode="bilinear", antialias=True)[:, 0]
    return mask[torch.arange(count) % len(mask)].clamp(0.0, 1.0)


def progress(count: int) -> Callable[[int, int], None] | None:
    """Return what tells the host how far many pictures are; it also lets the host interrupt."""
    if count < 3:
        return None
    bar = ProgressBar(count)
    return lambda done, total: bar.update_absolute(done, total)


def folder_version(folder: Path) -> str:
    """Tell the pictures in a folder from others; what cannot be looked at is not there."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in EXTENSIONS:
            try:
                status = path.stat()
            except OSError:  # a link to nowhere, or removed meanwhile
                continue
            found.append((path.name, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino))
    return repr(found)

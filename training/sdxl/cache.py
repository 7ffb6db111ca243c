"""Latents and text embeddings of a data set, computed once: VAE and text encoders are not needed after."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...boundary.files import written
from ..data.batches import to_signed
from ..data.shards import ShardIndex
from .base import Base
from .frame import Frame

MOMENTS, TEXT, POOLED = "moments/", "text/", "pooled/"
EMPTY = "empty.safetensors"
"""Holds the embeddings of the empty prompt, for text dropout."""


def text_key(caption: str) -> str:
    """Return the name of a caption's embeddings."""
    return hashlib.sha256(caption.encode()).hexdigest()[:24]


@torch.no_grad()
def build_cache(
    index: ShardIndex,
    base: Base,
    folder: Path,
    side: int,
    batch: int = 4,
    part: tuple[int, int] = (0, 1),
    report: Callable[[str], None] = print,
) -> None:
    """Write what is missing, one file for each shard, in half precision.

    Parameters
    ----------
    folder
        Of the cache: of one data set, one base and one resolution.
    side
        Resolution, px.
    batch
        Pictures that go through the VAE at once.
    part
        Number of this process, and of how many: each does its share of the shards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs: list[tuple[Path, np.ndarray]] = [(folder / EMPTY, np.zeros(0, int))]
    jobs += [
        (folder / f"{Path(name).stem}.safetensors", np.flatnonzero(index.shard == number))
        for number, name in enumerate(index.files)
    ]
    for file, rows in jobs[part[0] :: part[1]]:
        if file.is_file():
            continue
        found: dict[str, Tensor] = {}
        for first in range(0, len(rows), batch):
            found.update(_encoded(index, rows[first : first + batch], base, side))
        if not len(rows):
            found.update(_texts(base, [""]))
        with written(file) as partial:
            save_file({k: v.to("cpu", torch.float16).contiguous() for k, v in found.items()}, partial)
        report(f"cached {file.name}: {len(rows)} pictures")


def _encoded(index: ShardIndex, rows: np.ndarray, base: Base, side: int) -> dict[str, Tensor]:
    pictures = [index.read(int(row)) for row in rows]
    squares = []
    for one in pictures:
        height, width = one.image.shape[:2]
        squares.append(Frame.around(width, height, one.arrays["points"], side).cut(one.image))
    device = next(base.vae.parameters()).device
    moments = base.encode(to_signed(np.stack(squares)).to(device))
    found = {MOMENTS + one.key: value for one, value in zip(pictures, moments, strict=True)}
    return found | _texts(base, sorted({one.caption for one in pictures}))


def _texts(base: Base, captions: list[str]) -> dict[str, Tensor]:
    text, pooled = base.text(captions)
    found: dict[str, Tensor] = {}
    for caption, tokens, vector in zip(captions, text, pooled, strict=True):
        found |= {TEXT + text_key(caption): tokens, POOLED + text_key(caption): vector}
    return found


class Cache:
    """What `build_cache` wrote, read at random.

    Parameters
    ----------
    folder
        Of the cache.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def latents(self, shard: str, key: str) -> Tensor:
        """``(2 C, h, w)`` float32: mean and standard deviation of a picture's latents."""
        return self._tensor(f"{Path(shard).stem}.safetensors", MOMENTS + key)

    def text(self, shard: str, caption: str) -> tuple[Tensor, Tensor]:
        """Return ``(77, context_dim)`` and ``(pooled_dim,)`` float32 of a caption in a shard, or of ""."""
        file = f"{Path(shard).stem}.safetensors" if caption else EMPTY
        key = text_key(caption)
        return self._tensor(file, TEXT + key), self._tensor(file, POOLED + key)

    def _tensor(self, file: str, name: str) -> Tensor:
        found: Tensor = _opened(str(self.folder / file)).get_tensor(name).float()
        return found


@lru_cache(maxsize=64)
def _opened(path: str) -> Any:
    return safe_open(path, "pt")


def cache_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a cache."""
    yield from sorted(folder.glob("*.safetensors"))

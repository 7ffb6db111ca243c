"""Synthetic people as WebDataset shards, for training on SDXL without a photo of anybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ....faces.crop import CROP_SIZE, canonical_matrix
from ....faces.geometry import warp
from ..preparation import embed, matted_crop
from ..shards import Picture, write_shard
from .dataset import load_shards


def synthetic_pictures(folder: Path, recognizer: Path) -> Iterator[Picture]:
    """Yield the pictures of a folder of `synthesize` with what `shards.ARRAYS` names; SFace embeddings."""
    arrays, words = load_shards(folder)
    for row, person in enumerate(arrays["person"]):
        image, mask, points = arrays["image"][row], arrays["mask"][row], arrays["points"][row]
        matrix = canonical_matrix(points[:68])
        found = {
            "points": points.astype(np.float32),
            "embedding": embed(image, points, str(recognizer)),
            "crop": matted_crop(image, mask, matrix, CROP_SIZE),
            "crop_matrix": matrix,
            "mask": warp(mask, matrix, CROP_SIZE),
        }
        yield Picture(
            f"{int(person):07d}-{row:05d}", f"{int(person):07d}", ", ".join(words[row]), image, found
        )


def write_synthetic_shards(folder: Path, out: Path, recognizer: Path, pictures_per_shard: int = 512) -> int:
    """Write a folder of `synthesize` as WebDataset shards; returns how many pictures."""
    out.mkdir(parents=True, exist_ok=True)
    pictures = list(synthetic_pictures(folder, recognizer))
    for number, first in enumerate(range(0, len(pictures), pictures_per_shard)):
        write_shard(out / f"people-{number:05d}.tar", pictures[first : first + pictures_per_shard])
    return len(pictures)

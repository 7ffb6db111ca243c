"""Batches for the trainer, drawn by (seed, step) alone, so that a resumed run goes on to the bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...identity.refine import texture_tensor
from ...models.tokens import FaceBatch, TargetMaps
from ...tiny.prompt import LENGTH, PADDING, concept_ids
from .synthetic.dataset import load_shards

PREPARED = ("crop", "crop_coords", "texture", "embedding", "degraded", "hint", "coords", "uv_map", "face")
"""Arrays that `preparation.prepare` adds to what is rendered."""


@dataclass(eq=False)
class PreparedPeople:
    """A prepared data set in memory, one row for each picture; P people with K pictures.

    ``latents`` are filled in when there is a codec (`encode`).
    """

    person: np.ndarray
    image: np.ndarray
    crop: np.ndarray
    crop_coords: np.ndarray
    embedding: np.ndarray
    degraded: np.ndarray
    texture: np.ndarray
    hint: np.ndarray
    coords: np.ndarray
    uv_map: np.ndarray
    face: np.ndarray
    concepts: np.ndarray
    points: np.ndarray
    pictures: int
    latents: Tensor | None = None

    @classmethod
    def load(cls, folder: Path, limit: int | None = None) -> PreparedPeople:
        """Read shards that are rendered and prepared, in the order of their people.

        Raises
        ------
        FileNotFoundError
            If there are none.
        """
        files = [
            f for f in sorted(folder.glob("shard-*[0-9].npz")) if (folder / "prepared" / f.name).is_file()
        ]
        files = files[:limit]
        if not files:
            raise FileNotFoundError(f"{folder}: nothing prepared; run 'hifi-portrait train --prepare' first.")
        raw = [load_shards(folder, only=f) for f in files]
        made = [_read_prepared(folder / "prepared" / f.name) for f in files]

        def rows(key: str) -> np.ndarray:
            return np.concatenate([r[0][key] for r in raw])

        person = rows("person")
        pictures = int((person == person[0]).sum())
        ready: dict[str, Any] = {k: np.concatenate([m[k] for m in made]) for k in PREPARED}
        return cls(
            person=person,
            image=rows("image"),
            points=rows("points"),
            concepts=np.array([concept_ids(w) for r in raw for w in r[1]], np.int64),
            pictures=pictures,
            **ready,
        )

    def identities(self, mean: np.ndarray) -> np.ndarray:
        """(P, E) centred unit vectors: the mean embedding of each person's pictures without degradation.

        A person whose pictures are all degraded is the mean of those. ``mean`` (E,) is taken off.
        """
        vectors = self.embedding.reshape(self.people, self.pictures, -1)
        clean = ~self.degraded.reshape(self.people, self.pictures)
        clean |= ~clean.any(1, keepdims=True)
        person = (vectors * clean[..., None]).sum(1) / clean.sum(1, keepdims=True) - mean
        return (person / np.linalg.norm(person, axis=1, keepdims=True)).astype(np.float32)

    def maps(self, rows: np.ndarray) -> TargetMaps:
        """Return what HiFi-Net sees of the landmarks of some pictures."""
        uv = self.uv_map[rows].astype(np.float32)
        head = (uv.sum(-1, keepdims=True) > 0).astype(np.float32)
        return TargetMaps.from_arrays(self.hint[rows], self.coords[rows], np.concatenate([uv, head], -1))

    @property
    def people(self) -> int:
        """Number of people."""
        return len(self.person) // self.pictures


def _read_prepared(file: Path) -> dict[str, np.ndarray]:
    """Read one prepared shard.

    Raises
    ------
    ValueError
        If an earlier version prepared it.
    """
    arrays = dict(np.load(file))
    missing = sorted(set(PREPARED) - set(arrays))
    if missing:
        raise ValueError(f"{file}: prepared by an earlier version; delete {file.parent} and prepare again")
    return arrays


def to_signed(images: np.ndarray) -> Tensor:
    """(..., H, W, 3) uint8 to (..., 3, H, W) in -1..1."""
    return torch.from_numpy(np.moveaxis(images, -1, -3).astype(np.float32) / 127.5 - 1)


def to_bytes(pictures: Tensor) -> np.ndarray:
    """(B, 3, H, W) in -1..1 to (B, H, W, 3) uint8."""
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


@dataclass(frozen=True)
class Batch:
    """One training batch of B people with N references each."""

    latents: Tensor
    """(B, C, h, w)."""
    noise: Tensor
    uniform: Tensor
    """(B,) in 0..1: decides the time step."""
    concepts: Tensor
    """(B, L) concept numbers, some dropped."""
    maps: TargetMaps
    face: Tensor
    """(B, 1, h, w): 1 on the face."""
    faces: FaceBatch
    rows: np.ndarray
    """(B,) rows of the targets."""

    def first(self, n: int) -> tuple[FaceBatch, TargetMaps]:
        """Return references and target maps of the first `n` people."""
        return self.faces.each(lambda tensor: tensor[:n]), self.maps[:n]


def without_alignment(faces: FaceBatch, maps: TargetMaps) -> tuple[FaceBatch, TargetMaps]:
    """Take canonical coordinates away from references and target, and with them the UV textures."""
    bare = replace(faces, coords=torch.zeros_like(faces.coords), textures=None)
    return bare, replace(maps, coords=None if maps.coords is None else torch.zeros_like(maps.coords))


def without_textures(faces: FaceBatch, maps: TargetMaps) -> tuple[FaceBatch, TargetMaps]:
    """Take the UV textures away: references are read as tokens alone."""
    return replace(faces, textures=None), maps


def prepared_faces(people: PreparedPeople, rows: np.ndarray) -> FaceBatch:
    """Return References (B, N) by row, as the refiner reads them."""
    return FaceBatch(
        crops=to_signed(people.crop[rows]),
        coords=torch.from_numpy(np.moveaxis(people.crop_coords[rows], -1, -3).astype(np.float32) / 255),
        embeddings=torch.from_numpy(people.embedding[rows]),
        weights=torch.ones(rows.shape),
        textures=texture_tensor(people.texture[rows]),
    )


def draw_batch(
    people: PreparedPeople, seed: int, step: int, size: int, counts: tuple[float, ...], word_dropout: float
) -> Batch:
    """Draw targets, and references of the same people that are never the target.

    Parameters
    ----------
    people : PreparedPeople
        With latents.
    seed, step : int
        Decide everything random.
    size : int
        People in the batch.
    counts : tuple of float
        Odds of 1, 2, ... references; one number for the whole batch.
    word_dropout : float
        Chance of each concept, and of all at once, to be left out.
    """
    assert people.latents is not None
    rng = np.random.default_rng([seed, 3, step])
    odds = np.array(counts[: people.pictures - 1], float)
    count = 1 + int(rng.choice(len(odds), p=odds / odds.sum()))
    who = rng.integers(people.people, size=size)
    order = np.argsort(rng.random((size, people.pictures)), 1) + who[:, None] * people.pictures
    target, references = order[:, 0], order[:, 1 : 1 + count]
    concepts = people.concepts[target].copy()
    concepts[rng.random(concepts.shape) < word_dropout] = PADDING
    concepts[rng.random(size) < word_dropout] = PADDING
    # Left-aligned, as a prompt's are.
    concepts = np.take_along_axis(concepts, np.argsort(concepts == PADDING, 1, kind="stable"), 1)
    assert concepts.shape[1] == LENGTH
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
    latents = people.latents[torch.from_numpy(target)]
    return Batch(
        latents=latents,
        noise=torch.randn(latents.shape, generator=generator),
        uniform=torch.rand(size, generator=generator),
        concepts=torch.from_numpy(concepts),
        maps=people.maps(target),
        face=torch.from_numpy(people.face[target][:, None].astype(np.float32)),
        faces=prepared_faces(people, references),
        rows=target,
    )

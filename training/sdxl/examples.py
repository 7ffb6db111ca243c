"""The n-th example of a run: a function of the seed and of n alone, so that runs resume to the bit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ...faces.geometry import RECOGNIZER_SIZE, RECOGNIZER_TEMPLATE, similarity_2d, warp
from ...identity.refine import texture_tensor
from ...landmarks.canonical import crop_canonical_map, moved
from ...landmarks.head import HeadSurface
from ...landmarks.landmarks import FaceLandmarks3D
from ...landmarks.model import FaceModel
from ...landmarks.names import five_points
from ...landmarks.target_maps import target_arrays
from ...landmarks.visibility import visible_points
from ...models.config import HiFiNetConfig
from ..config import Recipe
from ..data.batches import to_signed
from ..data.shards import Picture, ShardIndex
from .cache import Cache
from .frame import Frame

SHARDS_AT_ONCE = 16
"""Shards whose pictures are mixed with one another: reads stay within a few files."""


@dataclass(eq=False)
class Examples(Dataset[dict[str, Tensor]]):
    """Examples of a run: a target, references of the same person that are never the target, text, noise.

    Parameters
    ----------
    index, rows
        Data set, and the rows of it that are targets.
    cache
        Latents and text embeddings.
    recipe
        Decides how references and dropouts are drawn.
    config
        Of the networks that read them.
    length
        Examples of the run.
    stream
        Number of a stream of random numbers: 0 is training, others are not correlated with it.
    """

    index: ShardIndex
    rows: np.ndarray
    cache: Cache
    recipe: Recipe
    config: HiFiNetConfig
    length: int
    stream: int = 0

    def __len__(self) -> int:
        """Return the number of examples of the run."""
        return self.length

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        """Return the n-th example; see `batch` for names and shapes (without the batch's dimension)."""
        data = self.recipe.data
        rng = np.random.default_rng([self.recipe.seed, 12, self.stream, n])
        row = self.target(n)
        picture = self.index.read(row, image=True)
        shard = self.index.files[self.index.shard[row]]
        caption = "" if rng.random() < data.word_dropout else picture.caption
        nobody = rng.random() < data.identity_dropout
        references = self.references(row, rng)
        height, width = picture.image.shape[:2]
        frame = Frame.around(width, height, picture.arrays["points"], data.resolution)
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        moments = self.cache.latents(shard, picture.key)
        mean, deviation = moments.chunk(2)
        text, pooled = self.cache.text(shard, caption)
        example = {
            "latents": mean + deviation * torch.randn(mean.shape, generator=generator),
            "noise": torch.randn(mean.shape, generator=generator),
            "uniform": torch.rand((), generator=generator),
            "text": text,
            "pooled": pooled,
            "time_ids": torch.tensor(frame.time_ids),
            "row": torch.tensor(row),
        }
        example |= self._target(picture, frame)
        return example | self._faces(references, nobody)

    def target(self, n: int) -> int:
        """Return the row of the n-th example's target: every row once before any comes again."""
        epoch, position = divmod(n, len(self.rows))
        return int(self.rows[self._order(epoch)[position]])

    def references(self, target: int, rng: np.random.Generator) -> list[int]:
        """Draw the rows of 1 to N other pictures of a target's person."""
        person = self.index.person[target]
        first, count = int(self.index.first[person]), int(self.index.count[person])
        others = [row for row in range(first, first + count) if row != target]
        odds = np.array(self.recipe.data.reference_counts[: len(others)], float)
        number = 1 + int(rng.choice(len(odds), p=odds / odds.sum()))
        return [others[i] for i in rng.choice(len(others), number, replace=False)]

    def _order(self, epoch: int) -> np.ndarray:
        return _order(self.recipe.seed, self.stream, epoch, self.index, self.rows.tobytes())

    def _target(self, picture: Picture, frame: Frame) -> dict[str, Tensor]:
        config, side = self.config, frame.side
        points = frame.moved(picture.arrays["points"])
        size = side // config.latent_downscale
        one = _as_landmarks(points, side)
        maps = target_arrays(
            one,
            0,
            (size, size),
            config.latent_downscale,
            config.landmark_style,
            with_uv=bool(config.texture_size),
            model=_model(),
        )
        found = {
            "hint": _channels_first(maps.hint),
            "coords": _channels_first(maps.coords),
            "points": torch.from_numpy(points),
        }
        if maps.uv_map is not None:
            found["uv_map"] = _channels_first(maps.uv_map.astype(np.float32))
        losses = self.recipe.losses
        if losses.identity or losses.texture:
            square = frame.cut(picture.image)
            if losses.identity:
                matrix = similarity_2d(five_points(points[:, :2]), RECOGNIZER_TEMPLATE)
                found["face"] = to_signed(warp(square, matrix, RECOGNIZER_SIZE))
            if losses.texture:
                found["picture"] = _channels_first(square)
        return found

    def _faces(self, rows: list[int], nobody: bool) -> dict[str, Tensor]:
        """Return references, filled up with faces of weight 0; ``nobody``: all blank."""
        config, most = self.config, len(self.recipe.data.reference_counts)
        crop, size = config.crop_size, config.texture_size
        found = {
            "crops": torch.zeros(most, 3, crop, crop),
            "crop_coords": torch.zeros(most, 3, crop, crop),
            "embeddings": torch.zeros(most, config.embedding_dim),
            "weights": torch.zeros(most),
        }
        if size:
            found["textures"] = torch.zeros(most, 4, size, size)
        for i, row in enumerate(rows):
            found["weights"][i] = 1.0
            if nobody:
                continue
            for name, value in self._reference(self.index.read(row, image=False)).items():
                found[name][i] = value
        return found

    def _reference(self, picture: Picture) -> dict[str, Tensor]:
        """Return what the refiner reads of one reference, as `identity.refine` makes it at inference."""
        config, arrays = self.config, picture.arrays
        if len(arrays["embedding"]) != config.embedding_dim:
            raise ValueError(
                f"{picture.key}: its embedding has {len(arrays['embedding'])} numbers, the network reads "
                f"{config.embedding_dim}; set network.embedding_dim and network.recognizer"
            )
        embedding = arrays["embedding"].astype(np.float32)
        if config.embedding_kind == "raw":
            embedding = embedding * np.float32(arrays.get("embedding_norm", 1.0))
        crops = torch.from_numpy(arrays["crop"]).permute(2, 0, 1)[None].float()
        if crops.shape[-1] != config.crop_size:
            crops = torch.nn.functional.interpolate(crops, size=(config.crop_size,) * 2, mode="area")
        coords = crop_canonical_map(arrays["points"], arrays["crop_matrix"], config.crop_size, _model())
        found = {
            "crops": crops[0] / 127.5 - 1,
            "crop_coords": _channels_first(coords.astype(np.float32)),
            "embeddings": torch.from_numpy(embedding),
        }
        if config.texture_size:
            places = moved(arrays["points"], arrays["crop_matrix"])
            head = HeadSurface.of(_model()).extract_texture(
                arrays["crop"], arrays["mask"], places, config.texture_size
            )
            found["textures"] = texture_tensor(head)
        return found


@lru_cache(maxsize=2)
def _order(seed: int, stream: int, epoch: int, index: ShardIndex, rows: bytes) -> np.ndarray:
    """Return an order of the rows in which neighbours lie in a few shards."""
    targets = np.frombuffer(rows, np.int64)
    rng = np.random.default_rng([seed, 11, stream, epoch])
    group = rng.permutation(len(index.files)) // SHARDS_AT_ONCE
    return np.lexsort((rng.random(len(targets)), group[index.shard[targets]]))


@lru_cache(maxsize=1)
def _model() -> FaceModel:
    return FaceModel.load()


def _as_landmarks(points: np.ndarray, side: int) -> FaceLandmarks3D:
    none: dict[str, Any] = {
        "visible": visible_points(points, _model())[None],
        "pose": np.zeros((1, 3), np.float32),
        "expression": np.zeros((1, 52), np.float32),
        "shape": np.zeros(_model().components, np.float32),
    }
    return FaceLandmarks3D(points=points[None], width=side, height=side, **none)


def _channels_first(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 0)))

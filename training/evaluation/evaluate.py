"""Measure the tiny model on people it never saw: likeness, pose, expression, detection.

Each of P held-out people has one target scene, up to four references and some held-out pictures that nobody
but the judges sees. Landmarks are made from the shape that is fitted to the *references*, with the target's
pose, expression and place; never from the target's own shape.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from ...faces.analyzer import FaceAnalyzer
from ...landmarks.fit import fit_face, fit_faces
from ...landmarks.generate import generate
from ...landmarks.model import FaceModel
from ...landmarks.target_maps import target_arrays
from ...models.config import HiFiNetConfig
from ...models.tokens import FaceBatch, TargetMaps
from ..data.batches import (
    PreparedPeople,
    prepared_faces,
    to_signed,
    without_alignment,
    without_textures,
)
from ..data.preparation import embed
from ..data.synthetic.dataset import load_shards
from ..networks.crops import aligned_crops
from ..networks.recognizer import SmallRecognizer
from ..system import TinySystem, tiny
from ..trainer import to_bytes

TARGET, REFERENCES, HELD_OUT = 1, (2, 3, 4, 5), (0, 6, 7)
"""Pictures of each person, by number."""


@dataclass(frozen=True)
class Judge:
    """Something that tells how alike two faces are: an embedding whose population mean is taken off."""

    name: str
    embed: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """(N, S, S, 3) uint8 pictures and (N, 72, 3) landmarks to (N, E)."""
    mean: np.ndarray

    def __call__(self, images: np.ndarray, points: np.ndarray) -> np.ndarray:
        """(N, E) centred unit embeddings."""
        vectors = self.embed(images, points)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) - self.mean
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def sface_judge(recognizer: Path, population: tuple[np.ndarray, np.ndarray]) -> Judge:
    """SFace, whose embeddings of the references are also a condition; mean over pictures with landmarks."""

    def embed_all(images: np.ndarray, points: np.ndarray) -> np.ndarray:
        return np.stack([embed(i, p, str(recognizer)) for i, p in zip(images, points, strict=True)])

    return Judge("sface", embed_all, embed_all(*population).mean(0))


def small_judge(network: SmallRecognizer, population: tuple[np.ndarray, np.ndarray]) -> Judge:
    """Return a small recognizer trained on other people: no condition, no loss of the model."""

    def embed_all(images: np.ndarray, points: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(aligned_crops(to_signed(images), points)).numpy()

    return Judge("small", embed_all, embed_all(*population).mean(0))


@dataclass(eq=False)
class Trial:
    """Held-out people with what is asked of the model; P people, up to N references each."""

    people: PreparedPeople
    rows: np.ndarray
    """(P, K) rows of each person's pictures."""
    pose: np.ndarray
    expression: np.ndarray
    place: list[tuple[np.ndarray, float]]
    reference_points: list[list[np.ndarray | None]]
    """FaceMesh landmarks of each person's references, None where no face was found."""

    @classmethod
    def build(cls, folder: Path, analyzer: FaceAnalyzer, limit: int | None = None) -> Trial:
        """Read a prepared data set of unseen people and look for the faces of their references."""
        people = PreparedPeople.load(folder)
        raw = load_shards(folder)[0]
        rows = np.arange(len(people.person)).reshape(-1, people.pictures)[:limit]
        targets = rows[:, TARGET]
        found = []
        for person in rows:
            faces = [analyzer.analyze(people.image[person[i]], f"picture {i}") for i in REFERENCES]
            found.append([f[0].landmarks if f else None for f in faces])
        return cls(
            people,
            rows,
            raw["pose"][targets],
            raw["expression"][targets],
            [(raw["position"][t], float(raw["scale"][t])) for t in targets],
            found,
        )

    def landmarks(self, count: int, config: HiFiNetConfig) -> tuple[np.ndarray, TargetMaps]:
        """Points (P, 72, 3) and their maps, of the shape fitted to the first `count` references."""
        model = FaceModel.load()
        size, scale = self.people.image.shape[1], config.latent_downscale
        latent_size = (size // scale, size // scale)
        points, made = [], []
        for i, found in enumerate(self.reference_points):
            seen = [f for f in found[:count] if f is not None] or [f for f in found if f is not None]
            shape = fit_faces(seen, None, model, calibrated=False)[0].shape if seen else None
            face = generate(model, shape, self.pose[i], self.expression[i], size, size, *self.place[i])
            points.append(face.points[0])
            made.append(target_arrays(face, 0, latent_size, scale, config.landmark_style, with_uv=True))
        hints, coords, uv_maps = (np.stack(arrays) for arrays in zip(*made, strict=True))
        return np.stack(points), TargetMaps.from_arrays(hints, coords, uv_maps)


@dataclass(frozen=True)
class Painted:
    """Pictures (P, 128, 128, 3) uint8 of all people, with the landmarks that were asked for."""

    images: np.ndarray
    points: np.ndarray
    seconds: float


def paint(
    system: TinySystem,
    trial: Trial,
    count: int,
    steps: int = 8,
    cfg: float = 2.5,
    change: Callable[[FaceBatch, TargetMaps], tuple[FaceBatch, TargetMaps]] | None = None,
    batch: int = 20,
) -> Painted:
    """Paint every person once, from `count` references; 0: the base alone, which is the floor.

    ``change`` may alter references and target maps, for ablations. Noise depends on the person alone.
    """
    points, maps = trial.landmarks(max(count, 1), system.config)
    people, made, start = trial.people, [], time.perf_counter()
    for k in range(0, len(trial.rows), batch):
        rows = trial.rows[k : k + batch]
        noise = torch.stack(
            [
                torch.randn(
                    system.codec.channels, 16, 16, generator=torch.Generator().manual_seed(9000 + k + i)
                )
                for i in range(len(rows))
            ]
        )
        concepts = torch.from_numpy(people.concepts[rows[:, TARGET]])
        if count == 0:
            made.append(to_bytes(system.sample(noise, concepts, steps=steps, cfg=cfg)))
            continue
        faces, shown = prepared_faces(people, rows[:, list(REFERENCES[:count])]), maps[k : k + batch]
        if change is not None:
            faces, shown = change(faces, shown)
        made.append(to_bytes(system.sample(noise, concepts, shown, faces, steps, cfg)))
    return Painted(np.concatenate(made), points, (time.perf_counter() - start) / len(trial.rows))


def likeness(vectors: np.ndarray, known: np.ndarray, pictures: tuple[int, ...] = HELD_OUT) -> np.ndarray:
    """(P,) mean similarity of each person's picture (P, E) to known ones, chosen of (P, K, E)."""
    return (known[:, list(pictures)] * vectors[:, None]).sum(2).mean(1)


def mean_and_error(values: np.ndarray) -> dict[str, float]:
    """Mean and its standard error."""
    return {
        "mean": round(float(values.mean()), 4),
        "se": round(float(values.std(ddof=1) / len(values) ** 0.5), 4),
    }


def control(painted: Painted, trial: Trial, analyzer: FaceAnalyzer) -> dict[str, float]:
    """Return detection rate, pose error and expression correlation, through FaceMesh and our fit."""
    model = FaceModel.load()
    poses, wanted_poses, fitted, wanted = [], [], [], []
    found = 0
    for i, image in enumerate(painted.images):
        faces = analyzer.analyze(image, f"painted {i}")
        if not faces:
            continue
        found += 1
        fit = fit_face(faces[0].landmarks, model, calibrated=False)
        poses.append(fit.pose)
        wanted_poses.append(trial.pose[i])
        fitted.append(fit.expression)
        wanted.append(trial.expression[i])
    error = np.abs(np.array(poses) - np.array(wanted_poses))
    names = [n for n in model.observable if np.std(np.array(wanted)[:, model.expression_index[n]]) > 0.08]
    correlations = []
    for name in names:
        column = model.expression_index[name]
        a, b = np.nan_to_num(np.array(fitted)[:, column]), np.array(wanted)[:, column]
        if a.std() > 1e-6:
            correlations.append(np.corrcoef(a, b)[0, 1])
    mouth = [np.corrcoef(np.nan_to_num(np.array(fitted)[:, c]), np.array(wanted)[:, c])[0, 1]
             for c in (model.expression_index[n] for n in ("jawOpen", "mouthSmileLeft"))]  # fmt: skip
    return {
        "detect_rate": round(found / len(painted.images), 4),
        "pose_mae_deg": round(float(error.mean()), 2),
        "yaw_mae_deg": round(float(error[:, 0].mean()), 2),
        "expression_corr": round(float(np.mean(correlations)), 3),
        "jaw_open_corr": round(float(mouth[0]), 3),
        "smile_corr": round(float(mouth[1]), 3),
    }


def evaluate(
    system: TinySystem,
    trial: Trial,
    judges: list[Judge],
    analyzer: FaceAnalyzer,
    counts: tuple[int, ...] = (1, 2, 3, 4),
    steps: int = 8,
    cfg: float = 2.5,
) -> tuple[dict[str, object], dict[str, Painted]]:
    """All figures of one model, and the pictures they are of.

    Returns
    -------
    tuple
        JSON-able figures: for each judge ceiling, floor, similarity by count with standard errors, the
        paired gain of the most over one reference, the copying gap; control figures; seconds. And the
        painted pictures by name.
    """
    painted = {"0": paint(system, trial, 0, steps, cfg)}
    painted |= {str(n): paint(system, trial, n, steps, cfg) for n in counts}
    most = str(counts[-1])
    painted["unaligned"] = paint(system, trial, counts[-1], steps, cfg, without_alignment)
    painted["tokens"] = paint(system, trial, counts[-1], steps, cfg, without_textures)
    people, rows = trial.people, trial.rows
    figures: dict[str, object] = {"people": len(trial.rows)}
    for judge in judges:
        known = judge(people.image[rows.ravel()], people.points[rows.ravel()]).reshape(*rows.shape, -1)
        vectors = {name: judge(p.images, p.points) for name, p in painted.items()}
        scores = {name: likeness(v, known) for name, v in vectors.items()}
        truth = known[:, TARGET]
        ceiling = likeness(truth, known)
        gain = scores[most] - scores[str(counts[0])]
        to_references = likeness(vectors[most], known, REFERENCES[: counts[-1]])
        strangers = likeness(np.roll(truth, 1, 0), known)
        figures[judge.name] = {
            "ceiling": mean_and_error(ceiling),
            "floor": mean_and_error(scores["0"]),
            "strangers": mean_and_error(strangers),
            "similarity": {str(n): mean_and_error(scores[str(n)]) for n in counts},
            "of_ceiling": round(float(scores[most].mean() / ceiling.mean()), 3),
            "gain_4_over_1": mean_and_error(gain),
            "ratio_4_over_1": round(float(scores[most].mean() / scores[str(counts[0])].mean()), 3),
            "copying_gap": mean_and_error(to_references - scores[most]),
            "coordinates_removed_at_sampling": mean_and_error(scores["unaligned"]),
            "textures_removed_at_sampling": mean_and_error(scores["tokens"]),
        }
    figures |= control(painted[most], trial, analyzer)
    figures["seconds_per_image"] = round(painted[most].seconds, 3)
    return figures, painted


def provenance(folder: Path = tiny.ASSETS) -> dict[str, object]:
    """Return what the shipped base says about its training."""
    with safe_open(str(folder / tiny.BASE_FILE.name), "pt") as file:
        return json.loads((file.metadata() or {}).get("provenance", "{}"))

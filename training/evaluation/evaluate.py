"""Measure the tiny model on people it never saw: identity similarity, pose, expression, detection."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ...faces.analyzer import FaceAnalyzer
from ...landmarks.fit import fit_face
from ...landmarks.model import FaceModel
from ...models.tokens import FaceBatch, TargetMaps
from ..data.batches import prepared_faces, to_bytes, without_alignment, without_textures
from ..system import TinySystem
from .evaluation_set import HELD_OUT, REFERENCES, TARGET, EvaluationSet
from .recognizers import EvaluationRecognizer


@dataclass(frozen=True)
class Samples:
    """Pictures (P, 128, 128, 3) uint8 of all people, with the landmarks that were asked for."""

    images: np.ndarray
    points: np.ndarray
    seconds: float


def sample(
    system: TinySystem,
    unseen: EvaluationSet,
    count: int,
    steps: int = 8,
    cfg: float = 2.5,
    change: Callable[[FaceBatch, TargetMaps], tuple[FaceBatch, TargetMaps]] | None = None,
    batch: int = 20,
) -> Samples:
    """Sample every person once, from `count` references; 0: the base alone, which is the floor.

    ``change`` may alter references and target maps, for ablations. Noise depends on the person alone.
    """
    points, maps = unseen.landmarks(max(count, 1), system.config)
    people, made, start = unseen.people, [], time.perf_counter()
    for k in range(0, len(unseen.rows), batch):
        rows = unseen.rows[k : k + batch]
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
    return Samples(np.concatenate(made), points, (time.perf_counter() - start) / len(unseen.rows))


def identity_similarity(
    vectors: np.ndarray, known: np.ndarray, pictures: tuple[int, ...] = HELD_OUT
) -> np.ndarray:
    """(P,) mean similarity of each person's picture (P, E) to known ones, chosen of (P, K, E)."""
    return (known[:, list(pictures)] * vectors[:, None]).sum(2).mean(1)


def mean_and_error(values: np.ndarray) -> dict[str, float]:
    """Mean and its standard error."""
    return {
        "mean": round(float(values.mean()), 4),
        "se": round(float(values.std(ddof=1) / len(values) ** 0.5), 4),
    }


def control(samples: Samples, unseen: EvaluationSet, analyzer: FaceAnalyzer) -> dict[str, float]:
    """Return detection rate, pose error and expression correlation, through FaceMesh and our fit."""
    model = FaceModel.load()
    poses, wanted_poses, fitted, wanted = [], [], [], []
    found = 0
    for i, image in enumerate(samples.images):
        faces = analyzer.analyze(image, f"sample {i}")
        if not faces:
            continue
        found += 1
        fit = fit_face(faces[0].landmarks, model, calibrated=False)
        poses.append(fit.pose)
        wanted_poses.append(unseen.pose[i])
        fitted.append(fit.expression)
        wanted.append(unseen.expression[i])
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
        "detect_rate": round(found / len(samples.images), 4),
        "pose_mae_deg": round(float(error.mean()), 2),
        "yaw_mae_deg": round(float(error[:, 0].mean()), 2),
        "expression_corr": round(float(np.mean(correlations)), 3),
        "jaw_open_corr": round(float(mouth[0]), 3),
        "smile_corr": round(float(mouth[1]), 3),
    }


def evaluate(
    system: TinySystem,
    unseen: EvaluationSet,
    recognizers: list[EvaluationRecognizer],
    analyzer: FaceAnalyzer,
    counts: tuple[int, ...] = (1, 2, 3, 4),
    steps: int = 8,
    cfg: float = 2.5,
) -> tuple[dict[str, object], dict[str, Samples]]:
    """All figures of one model, and the pictures they are of.

    Returns
    -------
    tuple
        JSON-able figures: for each recognizer ceiling, floor, similarity by count with standard errors, the
        paired gain of the most over one reference, the copying gap; control figures; seconds. And the
        samples by name.
    """
    samples = {"0": sample(system, unseen, 0, steps, cfg)}
    samples |= {str(n): sample(system, unseen, n, steps, cfg) for n in counts}
    most = str(counts[-1])
    samples["unaligned"] = sample(system, unseen, counts[-1], steps, cfg, without_alignment)
    samples["tokens"] = sample(system, unseen, counts[-1], steps, cfg, without_textures)
    people, rows = unseen.people, unseen.rows
    figures: dict[str, object] = {"people": len(unseen.rows)}
    for recognizer in recognizers:
        known = recognizer.of_rows(people, rows)
        vectors = {name: recognizer(p.images, p.points) for name, p in samples.items()}
        scores = {name: identity_similarity(v, known) for name, v in vectors.items()}
        truth = known[:, TARGET]
        ceiling = identity_similarity(truth, known)
        gain = scores[most] - scores[str(counts[0])]
        to_references = identity_similarity(vectors[most], known, REFERENCES[: counts[-1]])
        strangers = identity_similarity(np.roll(truth, 1, 0), known)
        figures[recognizer.name] = {
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
    figures |= control(samples[most], unseen, analyzer)
    figures["seconds_per_image"] = round(samples[most].seconds, 3)
    return figures, samples

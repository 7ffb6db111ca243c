"""Held-out people, and what is asked of a model for each of them.

Each of P people has one target scene, up to four references and some held-out pictures that only the
evaluation recognizers see. Landmarks are made from the shape that is fitted to the *references*, with the
target's pose, expression and place; never from the target's own shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...faces.analyzer import FaceAnalyzer
from ...landmarks.fit import fit_faces
from ...landmarks.generate import generate
from ...landmarks.model import FaceModel
from ...landmarks.target_maps import target_arrays
from ...models.config import HiFiNetConfig
from ...models.tokens import TargetMaps
from ..data.batches import PreparedPeople
from ..data.synthetic.dataset import load_shards

TARGET, REFERENCES, HELD_OUT = 1, (2, 3, 4, 5), (0, 6, 7)
"""Pictures of each person, by number."""


@dataclass(eq=False)
class EvaluationSet:
    """Held-out people with what is asked of the model; P people, up to N references each."""

    people: PreparedPeople
    rows: np.ndarray
    """(P, K) rows of each person's pictures."""
    pose: np.ndarray
    """(P, 3) yaw, pitch, roll of the targets, degrees."""
    expression: np.ndarray
    """(P, 52) ARKit coefficients of the targets."""
    place: list[tuple[np.ndarray, float]]
    """Where each target's face is, px: midpoint of the eyes, and interocular distance."""
    reference_points: list[list[np.ndarray | None]]
    """FaceMesh landmarks of each person's references, None where no face was found."""

    @classmethod
    def build(cls, folder: Path, analyzer: FaceAnalyzer, limit: int | None = None) -> EvaluationSet:
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

"""Evaluation recognizers: what tells whether a generated face is the person.

SFace is also a condition and a loss of the model. The second, a small network trained on other people, is
neither; where the two differ, trust the second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..data.batches import PreparedPeople, to_signed
from ..data.preparation import embed
from ..data.synthetic.dataset import load_shards
from ..networks.crops import aligned_crops
from ..networks.recognizer import SmallRecognizer, load_recognizer

SFACE = "face_recognition_sface_2021dec_int8bq.onnx"
Population = tuple[np.ndarray, np.ndarray]
"""Pictures (N, S, S, 3) uint8 and landmarks (N, 72, 3)."""


@dataclass(frozen=True)
class EvaluationRecognizer:
    """An embedding whose population mean is taken off; cosines of it are identity similarities. *Ours*.

    Parameters
    ----------
    name : str
        Key of its figures.
    embed : callable
        (N, S, S, 3) uint8 pictures and (N, 72, 3) landmarks, px, to (N, E).
    mean : np.ndarray
        (E,) mean of unit embeddings over the training pictures.
    """

    name: str
    embed: Callable[[np.ndarray, np.ndarray], np.ndarray]
    mean: np.ndarray

    def __call__(self, images: np.ndarray, points: np.ndarray) -> np.ndarray:
        """(N, E) centred unit embeddings."""
        vectors = self.embed(images, points)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) - self.mean
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def of_rows(self, people: PreparedPeople, rows: np.ndarray) -> np.ndarray:
        """(P, K, E) centred unit embeddings of the pictures in some rows (P, K)."""
        flat = rows.ravel()
        return self(people.image[flat], people.points[flat]).reshape(*rows.shape, -1)


def sface_recognizer(recognizer: Path, population: Population) -> EvaluationRecognizer:
    """SFace, whose embeddings of the references are also a condition; mean over pictures with landmarks."""

    def embed_all(images: np.ndarray, points: np.ndarray) -> np.ndarray:
        return np.stack([embed(i, p, str(recognizer)) for i, p in zip(images, points, strict=True)])

    return EvaluationRecognizer("sface", embed_all, embed_all(*population).mean(0))


def small_recognizer(network: SmallRecognizer, population: Population) -> EvaluationRecognizer:
    """Return a small recognizer trained on other people: no condition, no loss of the model."""

    def embed_all(images: np.ndarray, points: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(aligned_crops(to_signed(images), points)).numpy()

    return EvaluationRecognizer("small", embed_all, embed_all(*population).mean(0))


def population(train: Path, count: int = 200) -> Population:
    """Pictures and landmarks, evenly spread over the training data, for the recognizers' mean."""
    known = load_shards(train)[0]
    some = np.linspace(0, len(known["image"]) - 1, count).astype(int)
    return known["image"][some], known["points"][some]


def evaluation_recognizers(face_models: Path, train: Path, second: Path | None) -> list[EvaluationRecognizer]:
    """SFace, and the second recognizer where its file is given; their means are over the training data."""
    known = population(train)
    found = [sface_recognizer(face_models / SFACE, known)]
    if second is not None:
        found.append(small_recognizer(load_recognizer(second), known))
    return found

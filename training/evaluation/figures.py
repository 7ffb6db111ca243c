"""Figures and contact sheets of the shipped tiny model, for command line and benchmark."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ...faces.open_analyzer import OpenAnalyzer
from ...models.config import HiFiNetConfig
from ..data.synthetic.dataset import load_shards
from ..networks.recognizer import load_recognizer
from ..runs import load_shipped
from ..system import tiny
from .evaluate import (
    REFERENCES,
    TARGET,
    Judge,
    Painted,
    Trial,
    evaluate,
    provenance,
    sface_judge,
    small_judge,
)

SFACE = "face_recognition_sface_2021dec_int8bq.onnx"


def open_analyzer(face_models: Path) -> OpenAnalyzer:
    """Return the analyzer that looks for painted faces, on the CPU."""
    return OpenAnalyzer([face_models], "CPU")


def population(train: Path, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and landmarks, evenly spread over the training data, for the judges' mean."""
    known = load_shards(train)[0]
    some = np.linspace(0, len(known["image"]) - 1, count).astype(int)
    return known["image"][some], known["points"][some]


def judges(face_models: Path, train: Path, judge: Path | None) -> list[Judge]:
    """SFace, and the second judge where its file is given; their means are over the training data."""
    known = population(train)
    found = [sface_judge(face_models / SFACE, known)]
    if judge is not None:
        found.append(small_judge(load_recognizer(judge), known))
    return found


def measure(
    data: Path,
    train: Path,
    face_models: Path,
    judge: Path | None = None,
    model: Path | None = None,
    people: int | None = None,
    steps: int = 8,
    cfg: float = 2.5,
    sheet: Path | None = None,
) -> dict[str, object]:
    """Evaluate a model on unseen people; see `evaluate.evaluate`.

    Parameters
    ----------
    data, train : Path
        Unseen people (prepared), and the training data: the judges' mean is taken over some of its pictures.
    face_models : Path
        Folder of the face model files.
    judge : Path or None
        File of the second judge; None leaves it out.
    model : Path or None
        Folder of the model; None is the shipped one.
    people : int or None
        How many; None is all.
    steps, cfg : int, float
        Sampling.
    sheet : Path or None
        Contact sheet to write.
    """
    folder = model or tiny.ASSETS
    system, analyzer = load_shipped(folder), open_analyzer(face_models)
    trial = Trial.build(data, analyzer, people)
    figures, painted = evaluate(
        system, trial, judges(face_models, train, judge), analyzer, steps=steps, cfg=cfg
    )
    if sheet is not None:
        contact_sheet(sheet, trial, painted)
    made = provenance(folder)
    return {
        **figures,
        "steps": steps,
        "cfg": cfg,
        "training_pictures_seen": made.get("pictures_seen"),
        "training_people": made.get("people"),
    }


def contact_sheet(path: Path, trial: Trial, painted: dict[str, Painted], people: int = 12) -> None:
    """Draw people: four references, landmarks, base, one and four references, truth.

    References are as the network sees them. Two people stand side by side in a row.
    """
    data, rows = trial.people, trial.rows[:people]
    hints = (
        (trial.landmarks(4, HiFiNetConfig.tiny())[1][:people].hint * 255)
        .round()
        .byte()
        .movedim(1, -1)
        .numpy()
    )
    columns = [
        np.stack([cv2.resize(c, (128, 128), interpolation=cv2.INTER_CUBIC) for c in data.crop[rows[:, r]]])
        for r in REFERENCES
    ]
    columns += [
        hints,
        painted["0"].images[:people],
        painted["1"].images[:people],
        painted["4"].images[:people],
    ]
    columns.append(data.image[rows[:, TARGET]])
    strips = np.concatenate(columns, 2)  # (P, 128, 9 * 128, 3)
    half = (len(strips) + 1) // 2
    gap = np.full((128, 16, 3), 255, np.uint8)
    lines = [np.concatenate([strips[i], gap, strips[min(i + half, len(strips) - 1)]], 1) for i in range(half)]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(
        str(path), np.ascontiguousarray(np.concatenate(lines)[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 90]
    )

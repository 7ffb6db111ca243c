"""Figures and contact sheets of a tiny model, for command line and benchmark."""

from __future__ import annotations

from pathlib import Path

from ...faces.open_analyzer import OpenAnalyzer
from ...models.config import HiFiNetConfig
from ...tiny.base_file import ASSETS
from ..data.sheets import resized, table, write_sheet
from ..runs import load_exported, provenance
from .evaluate import Samples, evaluate
from .evaluation_set import REFERENCES, TARGET, EvaluationSet
from .recognizers import evaluation_recognizers


def open_analyzer(face_models: Path) -> OpenAnalyzer:
    """Return the analyzer that looks for generated faces, on the CPU."""
    return OpenAnalyzer([face_models], "CPU")


def measure(
    data: Path,
    train: Path,
    face_models: Path,
    second: Path | None = None,
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
        Unseen people (prepared), and the training data: some of its pictures give the recognizers' mean.
    face_models : Path
        Folder of the face model files.
    second : Path or None
        File of the second evaluation recognizer; None leaves it out.
    model : Path or None
        Folder of the model; None is the one that comes with the pack.
    people : int or None
        How many; None is all.
    steps, cfg : int, float
        Sampling.
    sheet : Path or None
        Contact sheet to write.
    """
    folder = model or ASSETS
    system, analyzer = load_exported(folder), open_analyzer(face_models)
    unseen = EvaluationSet.build(data, analyzer, people)
    recognizers = evaluation_recognizers(face_models, train, second)
    figures, samples = evaluate(system, unseen, recognizers, analyzer, steps=steps, cfg=cfg)
    if sheet is not None:
        write_contact_sheet(sheet, unseen, samples)
    made = provenance(folder)
    return {
        **figures,
        "steps": steps,
        "cfg": cfg,
        "training_pictures_seen": made.get("pictures_seen"),
        "training_people": made.get("people"),
    }


def write_contact_sheet(
    path: Path, unseen: EvaluationSet, samples: dict[str, Samples], people: int = 12
) -> None:
    """Draw people: four references, landmarks, base, one and four references, truth.

    References are as the network sees them. Two people stand side by side in a row.
    """
    data, rows = unseen.people, unseen.rows[:people]
    hints = (
        (unseen.landmarks(4, HiFiNetConfig.tiny())[1][:people].hint * 255)
        .round()
        .byte()
        .movedim(1, -1)
        .numpy()
    )
    columns = [resized(data.crop[rows[:, r]], 128) for r in REFERENCES]
    columns += [hints, *(samples[name].images[:people] for name in ("0", "1", "4"))]
    columns.append(data.image[rows[:, TARGET]])
    write_sheet(path, table(columns, side_by_side=2))

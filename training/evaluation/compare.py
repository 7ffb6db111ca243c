"""Compare training runs that differ in one thing, on people that none saw: baselines and ablations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.batches import without_alignment
from ..runs import load_run
from .evaluate import identity_similarity, mean_and_error, sample
from .evaluation_set import HELD_OUT, EvaluationSet
from .recognizers import EvaluationRecognizer


def compare(
    runs: dict[str, Path],
    unseen: EvaluationSet,
    recognizers: list[EvaluationRecognizer],
    counts: tuple[int, ...] = (1, 4),
) -> dict[str, dict[str, object]]:
    """Identity similarity of each run's portraits, and how the first run's differ, person by person.

    Parameters
    ----------
    runs : dict
        Folders of runs by name, the one that the others are compared with first.
    unseen : EvaluationSet
        Unseen people.
    recognizers : list of EvaluationRecognizer
        Each has its own figures.
    counts : tuple of int
        Numbers of references.

    Returns
    -------
    dict
        For each run: steps, pictures seen, and for each recognizer ``similarity`` by number of references
        with standard errors; for all but the first also ``first_minus_this``, paired, at the most references.
    """
    people, rows = unseen.people, unseen.rows
    known = {recognizer.name: recognizer.of_rows(people, rows) for recognizer in recognizers}
    found: dict[str, dict[str, object]] = {}
    first: dict[str, np.ndarray] = {}
    for name, folder in runs.items():
        system, recipe = load_run(folder)
        change = None if recipe.data.alignment else without_alignment
        samples = {n: sample(system, unseen, n, change=change) for n in counts}
        row: dict[str, object] = {
            "steps": recipe.schedule.steps,
            "pictures_seen": recipe.schedule.steps * recipe.data.batch,
        }
        for recognizer in recognizers:
            scores = {
                n: identity_similarity(recognizer(p.images, p.points), known[recognizer.name], HELD_OUT)
                for n, p in samples.items()
            }
            most = scores[counts[-1]]
            figures: dict[str, object] = {
                "similarity": {str(n): mean_and_error(s) for n, s in scores.items()}
            }
            if recognizer.name in first:
                figures["first_minus_this"] = mean_and_error(first[recognizer.name] - most)
                figures["first_over_this"] = round(float(first[recognizer.name].mean() / most.mean()), 3)
            else:
                first[recognizer.name] = most
            row[recognizer.name] = figures
        found[name] = row
    return found

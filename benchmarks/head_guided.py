"""What *Guide with Head* adds: likeness of the tiny model's portraits with and without it, on a real host.

References are packaged photos of one person from two occasions; a photo of a third is held out. The shipped
template samples a turn of the head from several seeds, once with the guide and once with its strength at 0;
SFace compares each portrait with the held-out photo.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import numpy as np
from hifi_portrait.faces.open_analyzer import OpenAnalyzer
from hifi_portrait.faces.pictures import read_image
from PIL import Image

from benchmarks.people import FACE_MODELS
from benchmarks.report import Figures, command_line
from harness.host import Host, running_host
from harness.packages import photos
from harness.workflows import Prompt, ids, prompt_of, with_inputs

REFERENCES = ("obama", "obama2", "obama_partial_face", "obama_partial_face2")
HELD_OUT = "obama3"
YAWS = (-30.0, -15.0, 0.0, 15.0, 30.0)
SEEDS = (20, 21, 22)
GUIDE, SAMPLER = "HiFiPortraitGuideWithHead", "KSampler"
_ENLARGED = 512
"""Side to which portraits of 128 px are brought before a face is looked for."""


def _similarity(analyzer: OpenAnalyzer, path: Path, wanted: np.ndarray) -> float:
    """Of the face in a portrait; 0 where none is found."""
    with Image.open(path) as picture:
        large = picture.convert("RGB").resize((_ENLARGED, _ENLARGED), Image.Resampling.BICUBIC)
    faces = analyzer.analyze(np.asarray(large), "")
    return float(faces[0].embedding @ wanted) if faces else 0.0


def _portrait(host: Host, prompt: Prompt) -> Path:
    done = host.run(prompt)
    saved = [done.images(saver)[0] for saver in ids(prompt, "SaveImage")]
    return min(saved, key=lambda path: Image.open(path).width)


def guided_gain(quick: bool = False) -> Figures:
    """Measure; ``quick``: one pose, one seed."""
    pictures = photos()
    analyzer = OpenAnalyzer([FACE_MODELS])
    known = {
        name: analyzer.analyze(read_image(pictures[name]), name)[0].embedding
        for name in (*REFERENCES, HELD_OUT)
    }
    wanted = known[HELD_OUT]
    found: dict[str, list[float]] = {"with": [], "without": []}
    with (
        tempfile.TemporaryDirectory() as scratch,
        running_host(Path(scratch), model_files=FACE_MODELS) as host,
    ):
        for name in REFERENCES:
            host.upload(pictures[name], f"guided/{name}.jpg")
        prompt = with_inputs(
            prompt_of(host, "photos-to-any-pose"), "HiFiPortraitLoadReferenceFaces", folder="guided"
        )
        for yaw in YAWS[2:3] if quick else YAWS:
            posed = with_inputs(prompt, "HiFiPortraitGenerateLandmarks", yaw=yaw, smile=0.0)
            for seed in SEEDS[:1] if quick else SEEDS:
                guided = with_inputs(posed, SAMPLER, seed=seed)
                for name, changed in (
                    ("with", guided),
                    ("without", with_inputs(guided, GUIDE, strength=0.0)),
                ):
                    found[name].append(_similarity(analyzer, _portrait(host, changed), wanted))
    likeness = {name: statistics.mean(values) for name, values in found.items()}
    ceiling = statistics.mean(float(known[name] @ wanted) for name in REFERENCES)
    return {
        "guided_gain": round(likeness["with"] - likeness["without"], 3),
        "guided": round(likeness["with"], 3),
        "unguided": round(likeness["without"], 3),
        "real_photos": round(ceiling, 3),
        "portraits_each": len(found["with"]),
    }


if __name__ == "__main__":
    command_line(guided_gain)

"""A small collection of real photos, with all that a collection found on a disk brings along."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hifi_portrait.dataset.analyse import AnalyzerChoice
from hifi_portrait.dataset.build import Build, build
from hifi_portrait.dataset.config import PipelineConfig
from hifi_portrait.dataset.runners import runner
from PIL import Image


@pytest.fixture(autouse=True)
def without_host(monkeypatch):
    """Workers import these captioners by name; a host on the path has a package `tests`, which wins."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not (Path(path) / "comfy").is_dir()])


@pytest.fixture(scope="session")
def choice(face_models) -> AnalyzerChoice:
    return AnalyzerChoice((str(face_models),))


@pytest.fixture(scope="session")
def collection(photos, tmp_path_factory) -> Path:
    """One folder per person, two of them damaged on purpose, and pictures that nobody can use."""
    folder = tmp_path_factory.mktemp("collection")
    people = {
        "7/../7": None,
        "😀 one": ["obama", "obama2", "obama3", "obama_partial_face"],
        "2": ["biden", "t1"],
    }
    for label, names in people.items():
        for name in names or []:
            target = folder / label / f"{name}.jpg"
            target.parent.mkdir(exist_ok=True)
            with Image.open(photos[name]) as picture:
                picture.thumbnail((700, 700))
                picture.convert("RGB").save(target, quality=92)
    person = folder / "😀 one"
    with Image.open(person / "obama.jpg") as picture:
        picture.load()
        picture.convert("CMYK").save(folder / "cmyk.jpg")
        picture.resize((300, 375)).save(folder / "smaller.png")
        mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mirrored.save(folder / "mirrored.webp", quality=70)
        picture.save(folder / "animated.png", save_all=True, append_images=[mirrored])
        picture.resize((40, 50)).save(folder / "tiny.png")
    with Image.open(person / "obama2.jpg") as picture:
        picture.save(folder / "2" / "wrong_label.jpg", quality=60)
    data = (person / "obama3.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(data[: len(data) // 3])
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("not a picture")
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    (folder / "nothing here").mkdir()
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    return folder


@pytest.fixture(scope="session")
def few(collection, tmp_path_factory) -> Path:
    """Four pictures of one person: for tests that start processes."""
    folder = tmp_path_factory.mktemp("few")
    for path in (collection / "😀 one").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


SMALL = {"shards": {"chunk": 4, "pictures": 2, "longest_side": 400}}
"""Settings with several pieces of work."""


@pytest.fixture(scope="session")
def made(choice):
    """Return a function that builds a data set as the command does."""
    analyzer = choice.load()

    def make(source: Path, out: Path, settings=None, seed=0, workers=0, through=None):
        config = PipelineConfig.from_dict(settings or SMALL)
        what = Build(
            source, out, config, analyzer.recognizer, analyzer.fingerprint, ("a: MIT",), seed, quiet=True
        )
        return build(what, through or runner(config, choice, workers))

    return make


@pytest.fixture(scope="session")
def dataset(collection, made, tmp_path_factory) -> Path:
    """The collection as a data set."""
    out = tmp_path_factory.mktemp("datasets") / "whole"
    made(collection, out)
    return out


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a data set."""
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}

"""From a folder of real photos to a data set: what is kept, what is rejected and why, and nothing is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from hifi_portrait.boundary.files import SaveError
from hifi_portrait.cli import main
from hifi_portrait.dataset import journal as journals
from hifi_portrait.dataset import tables
from hifi_portrait.dataset.config import PipelineConfig
from hifi_portrait.dataset.runners import InProcess
from hifi_portrait.dataset.shards import decode_arrays, decode_png, read_shard, shard_files
from hifi_portrait.training.data.shards import ShardIndex
from PIL import Image

from tests.dataset.conftest import SMALL, contents

PIECES = {"shards": {"chunk": 2, "longest_side": 300}}
"""Settings that make several pieces of few pictures."""


def test_what_is_rejected_is_counted_with_its_reason(dataset):
    found = json.loads((dataset / "dataset.json").read_text())["rejected"]
    assert found["source"] == {"not a file": 1}
    assert found["decode"] == {"animated": 1, "empty file": 1, "too small": 1, "unreadable": 2}
    assert found["detect"] == {"no face": 1, "several faces": 1}
    assert sum(found["duplicates"].values()) == 4
    rows = pq.read_table(dataset / "tables" / "rejected.parquet").to_pylist()
    by_name = {row["name"]: row for row in rows}
    assert by_name["2/wrong_label.jpg"]["stage"] == "duplicates"
    assert json.loads(by_name["mirrored.webp"]["numbers"])["mirrored"] == 1
    assert json.loads(by_name["2/t1.jpg"]["numbers"])["faces"] == 6
    assert by_name["2/biden.jpg"]["reason"] == "too few pictures of the person"
    assert not {"embedding", "landmarks"} & set(rows[0])


def test_shards_hold_what_training_needs(dataset):
    rows = pq.read_table(dataset / "tables" / "samples.parquet").to_pylist()
    assert {row["label"] for row in rows} == {"😀 one"}
    assert len({row["person"] for row in rows}) == 1
    assert len(rows) == 4
    files = [str(path) for path in shard_files(dataset, "pictures")]
    samples = list(webdataset.WebDataset(files, shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [row["key"] for row in rows]
    for sample, row in zip(samples, rows, strict=True):
        picture = decode_png(sample["jpg"])
        values = json.loads(sample["json"])
        assert picture.shape == (values["height"], values["width"], 3)
        assert max(picture.shape) <= 400
        matte = decode_png(sample["matte.png"])
        assert matte.shape == picture.shape[:2]
        x, y = np.mean(values["keypoints"], axis=0).astype(int)
        assert matte[y, x] > 200
        arrays = decode_arrays(sample["npz"])
        assert arrays["crop"].shape == (224, 224, 3)
        assert arrays["mask"].shape == (224, 224)
        points = arrays["points"]
        assert points.shape == (72, 3)
        inside = (points[:, :2] > -20).all() and (points[:, :2] < np.array(picture.shape[1::-1]) + 20).all()
        assert inside
        assert arrays["landmarks"].shape == (468, 3)
        assert arrays["expression"].shape == (52,)
        assert np.linalg.norm(arrays["embedding"]) == pytest.approx(1, abs=1e-4)
        assert np.allclose(arrays["embedding"], row["embedding"])
        assert values["person"] == row["person"]
        assert b"obama" not in sample["json"]
    assert sum(len(json.loads(m["json"])["pictures"]) for p in shard_files(dataset, "people")
               for _, m in read_shard(p)) == 4  # fmt: skip


def test_the_trainer_reads_them(dataset, tmp_path):
    copy = tmp_path / "shards"  # it keeps an index beside them
    shutil.copytree(dataset / "shards", copy)
    index = ShardIndex.open(copy)
    assert (len(index), len(index.people)) == (4, 1)
    picture = index.read(0)
    to_crop = picture.arrays["crop_matrix"]
    eyes = picture.arrays["landmarks"][[33, 263], :2] @ to_crop[:, :2].T + to_crop[:, 2]
    assert abs(eyes.mean(0) - (112, 92)).max() < 25  # where the canonical crop has them


def test_the_data_sheet_states_what_the_user_states(made, collection, tmp_path):
    settings = SMALL | {"sheet": {"source": "my own", "licence": "CC0", "consent": "signed, in the safe"}}
    made(collection, tmp_path / "out", settings)
    sheet = json.loads((tmp_path / "out" / "datasheet.json").read_text())
    assert sheet["consent"] == "signed, in the safe"
    assert sheet["pictures"] == 4
    assert sheet["biometric"]
    assert "signed, in the safe" in (tmp_path / "out" / "datasheet.md").read_text()


class StopsAfter(InProcess):
    """Ends the build after so many pieces, as a signal would."""

    def __init__(self, config, choice, pieces):
        super().__init__(config, choice)
        self.left = pieces

    def run(self, tasks):
        for count in super().run(tasks):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            yield count


def test_stopped_anywhere_it_goes_on_to_the_same_bytes(made, collection, dataset, choice, tmp_path):
    config, out = PipelineConfig.from_dict(SMALL), tmp_path / "out"
    for pieces in (0, 1, 2, 0):
        with pytest.raises(KeyboardInterrupt):
            made(collection, out, through=StopsAfter(config, choice, pieces))
        assert not (out / "dataset.json").exists()
    with pytest.raises(ValueError, match="holds a build with another seed; go on"):
        made(collection, out, seed=1)
    made(collection, out)
    assert contents(out) == contents(dataset)
    assert made(collection, out)["pictures"] == 4  # complete: nothing is done again
    with pytest.raises(ValueError, match="complete data set with another seed"):
        made(collection, out, seed=1)


@pytest.mark.slow
def test_killed_while_workers_work_it_goes_on_to_the_same_bytes(few, made, face_models, tmp_path):
    settings = tmp_path / "small.json"
    settings.write_text(json.dumps(PIECES))
    made(few, tmp_path / "whole", PIECES)
    out = tmp_path / "out"
    arguments = ["dataset", "build", str(few), str(out), "--config", str(settings), "--quiet"]
    arguments += ["--models", str(face_models)]
    code = f"import sys; from hifi_portrait.cli import main; sys.exit(main({arguments!r}))"
    running = subprocess.Popen([sys.executable, "-c", code])
    until = time.monotonic() + 100
    while not list(out.glob("work/chunks/*.parquet")) and time.monotonic() < until:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (out / "dataset.json").exists()
    assert main(arguments) == 0
    ours = {k: v for k, v in contents(out).items() if k.startswith(("shards", "people", "tables"))}
    assert ours == {k: v for k, v in contents(tmp_path / "whole").items() if k in ours}


def deadly(pixels, record):
    """A captioner that ends its process at one picture."""
    if record.name == "obama3.jpg":
        os.kill(os.getpid(), signal.SIGKILL)
    return "a face"


@pytest.mark.slow
def test_a_picture_that_kills_workers_is_rejected_and_nothing_else(made, few, tmp_path):
    settings = PIECES | {"caption": {"captioner": "tests.dataset.test_build:deadly"}}
    result = made(few, tmp_path / "out", settings, workers=1)
    assert result["rejected"]["shards"] == {"a worker died of it": 1}
    assert result["pictures"] == 3


def test_a_full_disk_stops_it_in_one_line_and_it_goes_on(made, collection, dataset, tmp_path, monkeypatch):
    real, calls = tables.write_records, []

    def full(path, records):
        calls.append(path)
        if len(calls) == 3:
            raise SaveError(f"cannot save {path.name}: the disk is full; make room")
        return real(path, records)

    monkeypatch.setattr(journals, "write_records", full)
    with pytest.raises(SaveError, match="the disk is full; make room"):
        made(collection, tmp_path / "out")
    made(collection, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(dataset)


def test_where_nothing_is_left_it_says_why(made, photos, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no pictures; nothing was written"):
        made(tmp_path / "empty", tmp_path / "out")
    several = tmp_path / "several"
    several.mkdir()
    for name in ("a", "b"):
        with Image.open(photos["t1"]) as picture:
            picture.resize((640, 480)).save(several / f"{name}.jpg")
    with pytest.raises(ValueError, match="several is left: 2 detect: several faces"):
        made(several, tmp_path / "out2")


def test_the_command_says_what_came_of_it(collection, face_models, tmp_path, capsys):
    arguments = ["dataset", "build", str(collection), str(tmp_path / "out"), "--models", str(face_models)]
    assert main([*arguments, "--workers", "0"]) == 0
    said = capsys.readouterr()
    assert "1 people, 4 pictures" in said.out
    assert "picture/s" in said.err
    assert main([*arguments[:-2], "--config", str(tmp_path / "no.json")]) == 2
    assert "no.json cannot be read" in capsys.readouterr().err

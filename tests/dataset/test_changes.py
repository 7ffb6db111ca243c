"""Data sets out of data sets: nothing of a forgotten person is left, nobody is on both sides of a split."""

import io
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from hifi_portrait.cli import main
from hifi_portrait.dataset.copies import inspect, merge, split
from hifi_portrait.dataset.forget import find_traces, forget
from hifi_portrait.dataset.layout import examples_table, people_table, rejected_table, samples_table
from hifi_portrait.dataset.outputs import About, write_outputs
from hifi_portrait.dataset.shards import (
    decode_arrays,
    encode_arrays,
    encode_json,
    read_shard,
    shard_path,
    shard_writer,
)

from tests.dataset.conftest import contents


def people_of(out):
    return set(pq.read_table(people_table(out))["person"].to_pylist())


@pytest.fixture(scope="module")
def many(dataset, tmp_path_factory):
    """A data set of eight people in two shards, made of the real one's samples under other names."""
    out = tmp_path_factory.mktemp("many") / "out"
    shutil.copytree(dataset / "tables", out / "tables")
    samples = list(read_shard(shard_path(dataset, "pictures", 0)))[:2]
    ((_, summary),) = read_shard(shard_path(dataset, "people", 0))
    generator, names = np.random.default_rng(0), []
    for shard in range(2):
        known = {}
        with (
            shard_writer(shard_path(out, "pictures", shard)) as pictures,
            shard_writer(shard_path(out, "people", shard)) as people,
        ):
            for number in range(4 * shard, 4 * shard + 4):
                person = f"p{number:016x}"
                vector = generator.normal(size=128)
                keys = []
                for index, (_, members) in enumerate(samples):
                    sha = f"{number:08x}{index:08x}" + "0" * 48
                    key = f"{person}-{sha[:16]}"
                    values = json.loads(members["json"]) | {"person": person, "sha256": sha}
                    embedding = vector + generator.normal(size=128) * 0.3
                    changed = {
                        "json": encode_json(values),
                        "npz": encode_arrays(
                            {
                                **decode_arrays(members["npz"]),
                                "embedding": embedding / np.linalg.norm(embedding),
                            }
                        ),
                    }
                    pictures.write(key, members | changed)
                    known[key] = (f"label {number}", f"source/{number}-{index}.jpg")
                    keys.append(key)
                own = {
                    "json": encode_json({"person": person, "pictures": keys, "recognizer": "sface"}),
                    "npz": encode_arrays(
                        {**decode_arrays(summary["npz"]), "embedding": vector / np.linalg.norm(vector)}
                    ),
                }
                people.write(person, summary | own)
        names.append(known)
    write_outputs(out, About.of(dataset), names)
    return out


def copied(many, tmp_path):
    shutil.copytree(many, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("by", ["p0000000000000003", "label 3"])
def test_nothing_of_a_forgotten_person_is_left(many, tmp_path, by):
    out = copied(many, tmp_path)
    before = len(find_traces(out, ["p0000000000000003"]))
    assert before >= 5  # both shards, both tables, the report's near-misses
    assert forget(out, by) == {"people": 1, "pictures": 2, "rejected": 0}
    assert not find_traces(out, ["p0000000000000003", "label 3", "0000000300000000", "source/3-"])
    assert people_of(out) == people_of(many) - {"p0000000000000003"}
    assert len(inspect(out)) > 5
    with pytest.raises(ValueError, match="nobody is called 'label 3'"):
        forget(out, "label 3")
    assert people_of(out) == people_of(many) - {"p0000000000000003"}


def test_a_forgotten_label_takes_rejected_pictures_and_examples_along(dataset, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(dataset, out)
    gone = forget(out, "😀 one")
    assert gone["people"] == 1
    assert gone["pictures"] == 4
    assert not pq.read_table(samples_table(out)).num_rows
    left = pq.read_table(rejected_table(out)).to_pylist()
    assert not [row for row in left if row["label"] == "😀 one" or row["stage"] == "duplicates"]
    assert {row["name"] for row in left} >= {"2/t1.jpg", "noise.png"}
    # Whose picture a truncated or blurred file is nobody knows.
    assert all(row["person"] for row in pq.read_table(examples_table(out)).to_pylist())
    with pytest.raises(ValueError, match="whom to forget"):
        forget(out, " ")


def test_a_split_is_by_person_and_a_merge_brings_it_together(many, tmp_path):
    first, second = split(many, tmp_path / "train", tmp_path / "held", 0.4, seed=1)
    train, held = people_of(tmp_path / "train"), people_of(tmp_path / "held")
    assert (first, second) == (len(train), len(held))
    assert not train & held
    assert train | held == people_of(many)
    split(many, tmp_path / "again", tmp_path / "again held", 0.4, seed=1)
    assert contents(tmp_path / "again") == contents(tmp_path / "train")
    merged = merge([tmp_path / "train", tmp_path / "held", many], tmp_path / "merged")
    assert merged["pictures"] == 16
    assert people_of(tmp_path / "merged") == people_of(many)
    for row in pq.read_table(people_table(tmp_path / "merged")).to_pylist():
        assert row["pictures"] == 2
        assert np.linalg.norm(row["embedding"]) == pytest.approx(1, abs=1e-4)
    with pytest.raises(ValueError, match="is not an empty folder"):
        merge([tmp_path / "train", many], tmp_path / "merged")
    with pytest.raises(ValueError, match="one side has nobody"):
        split(many, tmp_path / "x", tmp_path / "y", 0.0001)


def test_inspect_finds_a_shard_that_is_another_one(many, tmp_path):
    out = copied(many, tmp_path)
    assert inspect(out)[0].endswith("8 people, 16 pictures")
    shard = shard_path(out, "pictures", 1)
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="is another one"):
        inspect(out)
    shard.unlink()
    with pytest.raises(ValueError, match="is missing"):
        inspect(out)
    with pytest.raises(ValueError, match="is no complete data set"):
        inspect(tmp_path)


def test_the_commands(many, tmp_path, capsys):
    out = copied(many, tmp_path)
    assert main(["dataset", "inspect", str(out)]) == 0
    assert (
        main(["dataset", "split", str(out), str(tmp_path / "a"), str(tmp_path / "b"), "--share", "0.4"]) == 0
    )
    assert main(["dataset", "merge", str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "c")]) == 0
    assert main(["dataset", "forget", str(tmp_path / "c"), "label 1"]) == 0
    said = capsys.readouterr().out
    assert "8 people, 16 pictures" in said
    assert "forgotten: 1 people, 2 pictures" in said
    assert main(["dataset", "forget", str(tmp_path / "c"), "label 1"]) == 2


def test_the_report_is_one_file_that_loads_nothing(dataset, many):
    for out in (dataset, many):
        page = (out / "report.html").read_text(encoding="utf-8")
        assert "<script" not in page
        assert not [word for word in ("http:", "https:", "url(", "<link") if word in page]
    page = (dataset / "report.html").read_text(encoding="utf-8")
    for said in ("several faces", "data:image/jpeg;base64,", "Drift between shards", "pictures kept"):
        assert said in page
    assert "Near-misses" in (many / "report.html").read_text(encoding="utf-8")


def test_arrays_in_shards_are_never_pickles():
    stream = io.BytesIO()
    np.savez(stream, a=np.array([{"a": 1}], object))
    with pytest.raises(ValueError, match="allow_pickle"):
        decode_arrays(stream.getvalue())["a"]

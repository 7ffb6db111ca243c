"""Folders, shards and tables are listed; what cannot be used is a rejected record, never an error."""

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hifi_portrait.dataset.config import Source
from hifi_portrait.dataset.sources import list_source, read_bytes


def listed(source, **settings):
    return list(list_source(source, Source(**settings)))


def test_a_folder_of_folders_has_labels(tmp_path):
    for name in ("7/a.jpg", "😀/b/c.PNG", "d.webp", "notes.txt", "7/.hidden.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    found = listed(tmp_path)
    assert [(r.name, r.label) for r in found] == [("d.webp", ""), ("7/a.jpg", "7"), ("😀/b/c.PNG", "😀")]
    assert len({r.key for r in found}) == 3
    assert read_bytes(found[1].location) == b"7/a.jpg"
    assert {r.label for r in listed(tmp_path, labelled_folders=False)} == {""}


def test_names_that_are_not_utf8_are_listed(tmp_path):
    try:
        (tmp_path / "\udcff.jpg").write_bytes(b"x")
    except OSError:
        pytest.skip("this file system has none")
    (record,) = listed(tmp_path)
    assert record.name == "\\xff.jpg"
    assert read_bytes(record.location) == b"x"


def shard(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_shards_are_read_in_place(tmp_path):
    members = [
        ("a.jpg", b"first"), ("a.json", json.dumps({"person": 12, "caption": "one"}).encode()),
        ("b.txt", b"two"), ("b.png", b"second"), ("b.cls", b"p2"),
        ("c.json", b"{}"), ("d.jpg", b"third"), ("d.json", b"{"),
    ]  # fmt: skip
    shard(tmp_path / "x-000.tar", members)
    data = (tmp_path / "x-000.tar").read_bytes()
    (tmp_path / "y.tar").write_bytes(data[:1600])
    (tmp_path / "z.tar").write_bytes(b"no tar" * 200)
    found = listed(tmp_path)
    assert [(r.label, r.caption, r.reason) for r in found] == [
        ("12", "one", ""), ("p2", "two", ""), ("", "", "sample without a picture"), ("", "", "damaged JSON"),
        ("", "", "damaged shard"), ("", "", "damaged shard"),
    ]  # fmt: skip
    assert [read_bytes(r.location) for r in found[:2]] == [b"first", b"second"]


def test_tables_name_paths_people_and_captions(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"a")
    rows = [
        {"file_name": "a.jpg", "identity": "../../7", "caption": "hello"},
        {"file_name": "missing.jpg", "identity": "8", "caption": ""},
        {"file_name": "", "identity": "😀", "caption": ""},
        {"file_name": "n\0ul" + "x" * 5000, "identity": "", "caption": ""},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text(
        "file_name,identity,caption\na.jpg,../../7,hello\nmissing.jpg,8,\n,😀,\nn" + "x" * 5000 + ",,\n",
        encoding="utf-8",
    )
    for table in ("t.parquet", "t.csv"):
        found = listed(tmp_path / table)
        assert [(r.label, r.reason) for r in found] == [
            ("../../7", ""), ("8", "file missing"), ("😀", "row without a path"), ("", "file missing"),
        ]  # fmt: skip
        assert found[0].caption == "hello"
    assert [r.caption for r in listed(tmp_path / "t.csv", caption="identity")][:2] == ["../../7", "8"]
    (tmp_path / "u.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"u\.csv has no column of paths; call it path"):
        listed(tmp_path / "u.csv")
    with pytest.raises(ValueError, match="is no source: give a folder"):
        listed(tmp_path / "nothing")

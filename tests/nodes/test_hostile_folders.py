"""Nothing that lies in a model folder keeps the nodes from being described."""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import asdict

import pytest
from hifi_portrait.models.config import HiFiNetConfig
from safetensors.torch import save_file

from harness.host import import_host


def header(texts: dict[str, str]) -> bytes:
    text = json.dumps({"__metadata__": texts}).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def checkpoint(config: str, **texts: str) -> bytes:
    return header({"format": "hifi-portrait", "format_version": "1", "config": config, **texts})


TINY = asdict(HiFiNetConfig.tiny())
EVIL = {
    "zero.safetensors": checkpoint(json.dumps({**TINY, "head_channels": 0})),
    "deep.safetensors": checkpoint("[" * 100_000),
    "depth.safetensors": checkpoint(json.dumps({**TINY, "mid_depth": 10**7})),
    "version.safetensors": checkpoint("{}", format_version="9" * 5000),
    "words.safetensors": checkpoint(json.dumps({**TINY, "block_out_channels": "wide"})),
    "deep_header.safetensors": (100_000).to_bytes(8, "little") + b"[" * 100_000,
    "long.safetensors": (2**62).to_bytes(8, "little") + b"{}",
    "empty.safetensors": b"",
    "pickle.safetensors": b"\x80\x04K\x01.",
    "bytes.safetensors": bytes(range(256)) * 40,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model folder full of what others made."""
    import_host()
    from hifi_portrait.nodes import checkpoints

    place = tmp_path / "hifi_portrait"
    (place / "identities").mkdir(parents=True)
    for name, content in EVIL.items():
        (place / name).write_bytes(content)
        (place / "identities" / name).write_bytes(content)
    (place / "folder.safetensors").mkdir()
    if os.name != "nt":
        (place / "nowhere.safetensors").symlink_to(place / "gone")
        (place / "itself.safetensors").symlink_to(place / "itself.safetensors")
        os.mkfifo(place / "pipe.safetensors")
        (place / os.fsdecode(b"Fran\xe7ois.safetensors")).write_bytes(b"")
        for number in range(6):  # without a memory, the walk would take 6 to the power of 40 steps
            (place / f"loop{number}").symlink_to(place)
    monkeypatch.setattr(
        importlib.import_module("folder_paths"), "get_folder_paths", lambda name: [str(place)]
    )
    checkpoints._is_checkpoint.cache_clear()
    return place


def test_all_nodes_are_described(folder):
    from hifi_portrait.nodes import faces, hifi_net, identity, landmarks, tiny

    for family in (faces, identity, landmarks, hifi_net, tiny):
        for node in family.NODES:
            assert node.define_schema().node_id
    (offered,) = (item for item in hifi_net.LoadHiFiNet.define_schema().inputs if item.id == "checkpoint")
    assert offered.options == ["tiny (shipped)"]


@pytest.mark.parametrize("name", [*EVIL, "folder.safetensors", "../x", "a\0b", "\ud800", "x" * 300, "loop0"])
def test_why_a_file_is_not_offered_is_one_line(folder, name):
    from hifi_portrait.nodes import checkpoints

    text = checkpoints.problem(name)
    assert text is not None
    assert text.isprintable()
    assert len(text) < 300


def test_a_good_checkpoint_beside_them_is_offered(folder):
    from hifi_portrait.nodes import checkpoints

    good = checkpoint(json.dumps(TINY))
    (folder / "below").mkdir()
    (folder / "below" / "good.safetensors").write_bytes(good)
    assert checkpoints.names() == ["tiny (shipped)", "below/good.safetensors"]
    assert checkpoints.problem("below/good.safetensors") is None


def test_a_checkpoint_replaced_with_the_same_size_and_time_is_seen(folder):
    from hifi_portrait.nodes import checkpoints

    path = folder / "mine.safetensors"
    good, bad = checkpoint(json.dumps(TINY)), checkpoint(json.dumps({**TINY, "head_channels": 0}))
    path.write_bytes(bad.ljust(len(good), b"\0"))
    os.utime(path, (1e9, 1e9))
    first = checkpoints.names()
    save_file({}, folder / "other.safetensors")
    path.write_bytes(good.ljust(len(bad), b"\0"))
    os.utime(path, (1e9, 1e9))
    assert first == ["tiny (shipped)"]
    assert checkpoints.names() == ["tiny (shipped)", "mine.safetensors"]
    before = checkpoints.fingerprint("mine.safetensors")
    path.write_bytes(good.replace(b"sface", b"other").ljust(len(bad), b"\0"))
    os.utime(path, (1e9, 1e9))
    assert checkpoints.fingerprint("mine.safetensors") != before

"""Chains: stages are skipped when nothing changed, stop when time is up, and go on elsewhere."""

from __future__ import annotations

import json

import pytest
import torch
from hifi_portrait.training.reproduce.chain import fingerprint, read_chain, reproduce
from hifi_portrait.training.reproduce.pack import pack, unpack
from hifi_portrait.training.reproduce.work import DONE
from hifi_portrait.training.runs import read_ema_weights
from safetensors.torch import load_file

CHAIN = {
    "people": {"kind": "people", "people": 3, "pictures": 3, "first": 900},
    "base": {
        "kind": "tiny",
        "needs": ["people"],
        "recipe": "tiny-base",
        "people": "people",
        "changes": {"schedule": {"steps": 2, "warmup": 1}, "data": {"batch": 2}},
    },
    "joint": {
        "kind": "tiny",
        "needs": ["people", "base"],
        "recipe": "tiny-joint",
        "people": "people",
        "start": "base",
        "changes": {
            "schedule": {"steps": 4, "warmup": 1},
            "data": {"batch": 2},
            "losses": {"identity": 0.0, "landmarks": 0.0},
        },
    },
    "model": {"kind": "export", "needs": ["people", "joint"], "run": "joint", "people": "people"},
}


def write(file, **changes):
    stages = {name: {**content, **changes.get(name, {})} for name, content in CHAIN.items()}
    file.write_text(json.dumps({"stages": stages}))
    return str(file)


def test_a_chain_is_done_once_and_goes_on_elsewhere(face_models, head_data, tmp_path):
    chain, folder, lines = write(tmp_path / "chain.json"), tmp_path / "here", []
    folder.mkdir()
    (folder / "mesh").symlink_to(head_data.parent.parent)
    assert not reproduce(chain, folder, face_models, minutes=0.0, log=lines.append)
    assert lines == ["people: next time"]
    assert reproduce(chain, folder, face_models, log=lines.append)
    files = {f.name for f in (folder / "model").iterdir()}
    assert {"base.safetensors", "hifi_net.safetensors", DONE} <= files
    first = (folder / "model" / "hifi_net.safetensors").read_bytes()

    lines.clear()
    assert reproduce(chain, folder, face_models, log=lines.append)
    assert lines == [f"{name}: done, nothing changed" for name in CHAIN]

    longer = {"schedule": {"steps": 5, "warmup": 1}, "data": {"batch": 2}}
    changed = write(tmp_path / "other.json", joint={"changes": {**CHAIN["joint"]["changes"], **longer}})
    known, other = {}, {}
    for a, b in zip(read_chain(chain), read_chain(changed), strict=True):
        known[a.name], other[b.name] = fingerprint(a, known), fingerprint(b, other)
    assert [n for n in known if known[n] != other[n]] == ["joint", "model"], "and what needs it"

    # The second run is at work: its state goes along, the pictures do not.
    for name in ("joint", "model"):
        (folder / name / DONE).unlink()
    size = pack(read_chain(chain), folder, tmp_path / "pack")
    assert size < 60 * 2**20
    assert not (tmp_path / "pack" / "people").exists()
    there = tmp_path / "there"
    there.mkdir()
    (there / "mesh").symlink_to(head_data.parent.parent)
    unpack(tmp_path / "pack", there)
    assert reproduce(chain, there, face_models, log=lines.append)
    ours, theirs = (load_file(f / "joint" / "checkpoint.safetensors") for f in (folder, there))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(v, theirs[k]) for k, v in ours.items() if k.startswith("weight/"))
    averages = read_ema_weights(folder / "joint")[0], read_ema_weights(there / "joint")[0]
    assert max(float((v - averages[1][k]).abs().max()) for k, v in averages[0].items()) < 1e-3
    assert first == (folder / "model" / "hifi_net.safetensors").read_bytes()
    with pytest.raises(ValueError, match="MB"):
        pack(read_chain(chain), there, tmp_path / "pack", largest=1000)


def test_a_chain_that_does_not_exist_is_told_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"no such chain; there are quick, tiny"):
        read_chain("nothing")
    assert [stage.name for stage in read_chain("tiny")][-1] == "figures"
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"stages": {"a": {"kind": "tiny", "needs": ["b"]}}}))
    with pytest.raises(ValueError, match="unknown"):
        read_chain(str(bad))

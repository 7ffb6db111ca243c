"""Refine Faces, Save Identity and Load Identity in a real ComfyUI, with the shipped tiny checkpoint."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hifi_portrait.identity.store import load_identity
from hifi_portrait.models import HiFiNetConfig, build, checkpoint

from harness.host import HostError, running_host
from tests.nodes.graphs import two_photos

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def refined(host, photos):
    """Nodes 1 to 4: analyzer, faces of two photos, the shipped network, Refine Faces."""
    return {
        **two_photos(host, photos, "refine"),
        "3": {"class_type": "HiFiPortraitLoadHiFiNet", "inputs": {"checkpoint": "tiny (shipped)"}},
        "4": {"class_type": "HiFiPortraitRefineFaces", "inputs": {"faces": ["2", 0], "hifi_net": ["3", 0]}},
    }


@pytest.fixture(autouse=True)
def cleared(host):
    """Remove the identities that a test saved: the host's models may be a folder that outlives it."""
    yield
    for path in (host.base / "models" / "hifi_portrait" / "identities").glob("Test of nodes*"):
        path.unlink()


def save(source: str, name: str, overwrite: bool = True):
    inputs = {"identity": [source, 0], "name": name, "overwrite": overwrite}
    return {"class_type": "HiFiPortraitSaveIdentity", "inputs": inputs}


def load(name: str):
    return {"class_type": "HiFiPortraitLoadIdentity", "inputs": {"name": name}}


def test_refine_save_load(host, refined):
    done = host.run({**refined, "5": save("4", "Test of nodes")})
    assert done.nodes["5"]["text"] == ["saved as Test of nodes"]
    folder = host.base / "models" / "hifi_portrait" / "identities"
    first = load_identity(folder / "Test of nodes.safetensors")
    assert sorted(first.sources) == ["obama.jpg", "obama2.jpg"]
    assert first.recognizer == "sface"
    # The file was saved after the host started: the node finds it all the same.
    done = host.run({"1": load("Test of nodes"), "2": save("1", "Test of nodes (copy)", overwrite=False)})
    assert done.nodes["2"]["text"] == ["saved as Test of nodes (copy)"]
    again = load_identity(folder / "Test of nodes (copy).safetensors")
    assert again.tokens.equal(first.tokens)
    assert again.fingerprint == first.fingerprint


def test_a_saved_file_that_was_deleted_is_saved_again(host, refined):
    graph = {**refined, "5": save("4", "Test of nodes (gone)")}
    path = host.base / "models" / "hifi_portrait" / "identities" / "Test of nodes (gone).safetensors"
    host.run(graph)
    written = path.stat().st_mtime_ns
    host.run(graph)
    assert path.stat().st_mtime_ns == written, "nothing changed: the host's cache answers"
    for spoil in (path.unlink, lambda: path.write_bytes(b"another")):
        spoil()
        host.run(graph)
        assert load_identity(path).recognizer == "sface"


def test_a_new_one_is_numbered_once(host, refined):
    folder = host.base / "models" / "hifi_portrait" / "identities"
    for _ in range(3):
        host.run({**refined, "5": save("4", "Test of nodes (new)", overwrite=False)})
    assert len(list(folder.glob("Test of nodes (new)*"))) == 1


def test_debris_goes_when_the_host_starts(face_models, tmp_path):
    folder = tmp_path / "models" / "hifi_portrait" / "identities"
    folder.mkdir(parents=True)
    script = (
        "import os, sys; from pathlib import Path; from hifi_portrait.boundary.files import written\n"
        "with written(Path(sys.argv[1]) / 'a.safetensors') as part:\n"
        "    part.write_bytes(bytes(1000)); os._exit(9)"
    )
    for place in (folder, folder.parent):
        subprocess.run([sys.executable, "-c", script, str(place)], check=False)
    assert len(list(folder.parent.rglob(".hifi-portrait-*"))) >= 2
    with running_host(tmp_path):
        pass
    assert not list(folder.parent.rglob(".hifi-portrait-*"))


def test_names_and_missing_identities_are_refused_before_anything_runs(host, refined):
    with pytest.raises(HostError, match="cannot name an identity"):
        host.run({**refined, "5": save("4", "../escape")})
    with pytest.raises(HostError, match="there is no identity 'nobody'"):
        host.run({"1": load("nobody"), "2": save("1", "x")})


def test_faces_of_another_recognizer_are_refused(host, refined):
    config = HiFiNetConfig(**{**HiFiNetConfig.tiny().__dict__, "recognizer": "antelopev2"})
    folder = host.base / "models" / "hifi_portrait"
    checkpoint.save(folder / "other_recognizer.safetensors", build(config), config)
    try:
        graph = {**refined, "5": save("4", "x")}
        graph["3"] = {
            "class_type": "HiFiPortraitLoadHiFiNet",
            "inputs": {"checkpoint": "other_recognizer.safetensors"},
        }
        with pytest.raises(HostError, match="'sface', but this HiFi-Net needs 'antelopev2'") as error:
            host.run(graph)
        assert "\n" not in str(error.value).strip()
    finally:
        (folder / "other_recognizer.safetensors").unlink()
    assert host.run({**refined, "5": save("4", "Test of nodes")}).nodes


def test_the_head_is_kept_where_the_artist_puts_it_in_and_only_there(host, refined):
    folder = host.base / "models" / "hifi_portrait" / "identities"
    fused = {"class_type": "HiFiPortraitFuseHead", "inputs": {"faces": ["2", 0], "texture_size": "256"}}
    saved = save("4", "Test of nodes head")
    saved["inputs"]["head"] = ["6", 0]
    host.run({**refined, "6": fused, "5": saved, "7": save("4", "Test of nodes plain")})
    with_head, plain = (load_identity(folder / f"Test of nodes {n}.safetensors") for n in ("head", "plain"))
    assert plain.head is None
    assert with_head.head.texture.shape == (256, 256, 3)
    assert with_head.tokens.equal(plain.tokens)
    graph = {
        "1": load("Test of nodes head"),
        "2": {
            "class_type": "HiFiPortraitGenerateLandmarks",
            "inputs": {"head": ["1", 2], "width": 96, "height": 96, "style": "mesh72"},
        },
        "3": {
            "class_type": "HiFiPortraitRenderHead",
            "inputs": {
                "head": ["1", 2],
                "landmarks": ["2", 0],
                "width": 0,
                "height": 0,
                "light": "as the photos",
            },
        },
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
    }
    done = host.run(graph)
    assert done.images("4")
    assert "a photograph" in done.nodes["1"]["text"][0]
    graph["1"] = load("Test of nodes plain")
    with pytest.raises(HostError, match="head must come from a node that makes a head"):
        host.run(graph)

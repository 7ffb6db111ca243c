"""Saved pictures say that they are generated and what they may be used for, in a real ComfyUI."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from random import Random

import pytest
from PIL import Image

from tests.hostile.world import host_node, node, portrait, references, saving

pytestmark = pytest.mark.host
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@pytest.fixture(scope="module")
def prompt(host, photos):
    """A portrait of two photos, saved by both nodes."""
    for name in ("obama", "obama2"):
        host.upload(photos[name], f"person/{name}.jpg")
    graph = {**portrait(Random(0), 0, probe=True), **references()}
    graph["patched"]["inputs"]["identity"] = graph["face"]["inputs"]["identity"] = ["refined", 0]
    del graph["person"]
    graph["save"] = host_node("SaveImage", images=["decode", 0], filename_prefix="provenance/host")
    graph["ours"] = node("SavePortrait", images=["decode", 0], filename_prefix="provenance/ours")
    return graph


def saved(host, graph, name):
    done = host.run(graph)
    (path,) = done.images(name)
    with Image.open(path) as picture:
        picture.load()
        return done, dict(picture.info)


def digital_source_type(packet: str) -> str:
    root = ET.fromstring(packet[packet.index("<x:") : packet.rindex("<?xpacket")])
    (description,) = root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    return description.attrib["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"]


def test_our_node_writes_xmp_where_readers_look_and_says_clear(host, prompt):
    done, info = saved(host, prompt, "ours")
    assert digital_source_type(info["xmp"].decode()) == SOURCE
    said = json.loads(info["hifi_portrait"])
    assert said["commercial_use"] is True
    files = {entry["file"]: entry["licence"] for entry in said["licences"]}
    assert files["HiFi-Portrait Tiny"] == files["tiny base.safetensors"] == "Apache-2.0"
    assert files["face_detection_yunet_2023mar_int8bq.onnx"] == "MIT"
    assert json.loads(info["prompt"])["patched"]["inputs"] == prompt["patched"]["inputs"]
    (text,) = done.nodes["ours"]["text"]
    assert text.splitlines() == ["commercial use: clear, all 6 model files allow it", "marked as generated"]


def test_the_hosts_own_node_writes_them_too_whatever_it_has_cached(host, prompt):
    for _ in range(2):
        _, info = saved(host, prompt, "save")
        assert digital_source_type(json.loads(info["XML:com.adobe.xmp"])) == SOURCE
        assert json.loads(info["hifi_portrait"])["commercial_use"] is True
        prompt["save"]["inputs"]["filename_prefix"] += "x"


def test_a_file_that_nobody_knows_is_named(host, prompt):
    graph = {**prompt, "prompt": prompt["positive"]}
    graph["other"] = host_node("PreviewAny", source="loras/somebody.safetensors")
    _, info = saved(host, graph, "save")
    said = json.loads(info["hifi_portrait"])
    assert said["commercial_use"] is None
    assert "not known for somebody.safetensors (licence unknown)" in said["summary"]
    # Our node looks at what it depends on alone.
    graph["ours"] = node("SavePortrait", images=["decode", 0], filename_prefix="provenance/b")
    _, info = saved(host, graph, "ours")
    assert json.loads(info["hifi_portrait"])["commercial_use"] is True


def test_one_switch(host, prompt):
    settings = host.base / "user" / "default" / "comfy.settings.json"
    before = settings.read_text(encoding="utf-8")
    settings.write_text(json.dumps({**json.loads(before), "HiFiPortrait.MarkAsGenerated": False}))
    try:
        graph = json.loads(json.dumps(prompt).replace("provenance/", "unmarked/"))
        for name in ("save", "ours"):
            done, info = saved(host, graph, name)
            assert not {"xmp", "XML:com.adobe.xmp", "hifi_portrait"} & set(info)
            graph = json.loads(json.dumps(graph).replace("unmarked/", "unmarked/2"))
        assert "not marked as generated" in done.nodes["ours"]["text"][0]
    finally:
        settings.write_text(before, encoding="utf-8")


def test_graphs_that_shape_no_picture_are_left_alone(host, prompt):
    graph = {
        "face": node("GenerateLandmarks", width=128, height=128, style="mesh72"),
        "save": host_node("SaveImage", images=["face", 1], filename_prefix="provenance/drawing"),
    }
    _, info = saved(host, graph, "save")
    assert set(info) == {"prompt"}


def test_prefixes_stay_in_the_output_folder(host, prompt):
    from harness.host import HostError

    outside, long = "names no file inside", "longer than a file name"
    for prefix, why in (("../x", outside), ("a" * 300, long), ("", outside)):
        graph = {**prompt, "ours": node("SavePortrait", images=["decode", 0], filename_prefix=prefix)}
        with pytest.raises(HostError, match=why):
            host.run(graph)


def test_consent_is_kept_with_the_identity(host, prompt):
    graph = saving("Test of consent")
    graph["save"]["inputs"]["consent"] = "Anna agreed to test pictures, 2026-01-02"
    try:
        host.run(graph)
        loaded = {
            "load": node("LoadIdentity", name="Test of consent"),
            "show": host_node("PreviewAny", source=["load", 1]),
        }
        (about,) = host.run(loaded).nodes["show"]["text"]
        assert "consent: Anna agreed to test pictures, 2026-01-02" in about
        assert "commercial use: clear, all 5 model files allow it" in about
        # Saved again without a note, the note stays.
        again = {"load": loaded["load"], "save": {**graph["save"]}}
        again["save"]["inputs"] = {"identity": ["load", 0], "name": "Test of consent", "overwrite": True}
        host.run(again)
        assert "Anna agreed" in host.run(loaded).nodes["show"]["text"][0]
    finally:
        for path in (host.base / "models" / "hifi_portrait" / "identities").glob("Test of consent*"):
            path.unlink()

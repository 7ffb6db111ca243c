"""Values of every kind, by hypothesis: what a prompt, a list of licences and a file's metadata may hold."""

from __future__ import annotations

import contextlib
import json
import xml.etree.ElementTree as ET

from hifi_portrait.boundary.generated import statement, xmp
from hifi_portrait.boundary.licences import FileLicence, from_json, merged, summary, to_json
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.host import import_host
from tests.hostile.verdict import check_shown

import_host()

from hifi_portrait.nodes import provenance  # noqa: E402

TEXTS = st.text(st.characters(codec=None), max_size=40) | st.sampled_from(
    ["x.safetensors", "/etc/passwd", "\ud800"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
KINDS = st.sampled_from(sorted({*provenance.SHAPING, *provenance._OURS, "LoraLoader"})) | JSON
NODES = st.fixed_dictionaries(
    {"class_type": KINDS},
    optional={
        "inputs": JSON
        | st.dictionaries(
            st.sampled_from(["name", "checkpoint", "analyzer", "model_file", "lora_name", "model"]),
            JSON | st.sampled_from([["1", 0], ["2", 0], ["nowhere", 0]]),
            max_size=4,
        )
    },
)
PROMPTS = st.dictionaries(st.sampled_from(["1", "2", "3"]), NODES | JSON, max_size=3)
BOUND = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
LICENCES = st.lists(st.builds(FileLicence, TEXTS, TEXTS, st.sampled_from([True, False, None])), max_size=5)


@BOUND
@given(PROMPTS | JSON, JSON)
def test_any_job_can_be_queued(prompt, extra):
    data = {"prompt": prompt, "extra_data": extra}
    marked = provenance.mark(data)
    assert marked["prompt"] is prompt
    if marked is not data:
        info = marked["extra_data"]["extra_pnginfo"]
        assert info["hifi_portrait"]["generated"] is True
        json.dumps(info["hifi_portrait"]).encode()
        check_shown(info["hifi_portrait"]["summary"])


@BOUND
@given(LICENCES)
def test_any_licences_can_be_shown_and_kept(licences):
    shown = [FileLicence.of(entry.file, entry.licence) for entry in licences]
    check_shown(summary(shown))
    assert not shown or from_json(to_json(shown), "x") == merged(shown)
    packet = xmp(licences)
    ET.fromstring(packet[packet.index("<x:") : packet.rindex("<?xpacket")])
    json.dumps(statement(shown)).encode()


@BOUND
@given(JSON | LICENCES.map(lambda entries: [vars(entry) for entry in entries]))
def test_any_list_of_licences_is_read_or_refused(value):
    with contextlib.suppress(ValueError):
        for entry in from_json(json.dumps(value), "x"):
            check_shown(entry.file or "empty")

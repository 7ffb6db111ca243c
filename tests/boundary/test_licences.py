"""What model files may be used for, and the statement that pictures carry."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hifi_portrait.boundary import generated
from hifi_portrait.boundary.files import SaveError
from hifi_portrait.boundary.licences import FileLicence, commercial_use, from_json, merged, summary, to_json
from PIL import Image

FREE = FileLicence.of("face.onnx", "MIT")
FORBIDDEN = FileLicence("antelopev2", "InsightFace model licence: non-commercial research", False)
UNKNOWN = FileLicence.of("somebody's.safetensors", None)


def test_one_file_decides_for_all():
    assert commercial_use([FREE]) is True
    assert commercial_use([FREE, UNKNOWN]) is None
    assert commercial_use([FREE, UNKNOWN, FORBIDDEN]) is False
    assert commercial_use([]) is None


def test_the_line_says_clear_or_names_the_file():
    assert summary([FREE]) == "commercial use: clear, the one model file allows it"
    assert "all 2 model files" in summary([FREE, FileLicence.of("b", "Apache-2.0"), FREE])
    assert "NOT allowed by antelopev2" in summary([FREE, UNKNOWN, FORBIDDEN])
    assert "not known for somebody's.safetensors (licence unknown)" in summary([FREE, UNKNOWN])
    many = [FileLicence("x" * 300 + str(i), "y" * 300, False) for i in range(40)]
    assert len(summary(many)) < 300
    assert "38 more" in summary(many)


def test_json_there_and_back():
    entries = merged([UNKNOWN, FREE], [FREE, FORBIDDEN])
    assert from_json(to_json(entries), "x") == entries
    (before,) = from_json("", "identity Anna")
    assert (before.file, before.commercial_use) == ("identity Anna", None)


FORGED = (
    "{}",
    "[1]",
    '[{"file": 1, "licence": "MIT", "commercial_use": true}]',
    "[" * 9999,
    '[{"file": "a"}]',
    '[{"file": "a", "licence": "MIT", "commercial_use": 7}]',
    json.dumps([{}] * 99),
)


@pytest.mark.parametrize("text", FORGED)
def test_forged_lists_are_refused(text):
    with pytest.raises(ValueError, match="the list of licences"):
        from_json(text, "x")


def test_xmp_is_xml_with_iptcs_digital_source_type():
    nasty = FileLicence("a'b\"c<d>&\\é日.safetensors", "own 'licence'", False)
    packet = generated.xmp([nasty])
    assert '"' not in packet
    assert "\\" not in packet
    assert packet.isascii()
    root = ET.fromstring(packet[packet.index("<x:") : packet.rindex("<?xpacket")])
    (description,) = root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    source = description.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert source == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    (usage,) = root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li")
    assert "a'b\"c<d>&/é日.safetensors" in usage.text
    # The host writes what it is given as JSON: what is between the quotes is still the packet.
    assert json.dumps(packet) == f'"{packet}"'


def test_statement_holds_every_file():
    said = generated.statement([FREE, FORBIDDEN, FREE])
    assert said["commercial_use"] is False
    assert [entry["file"] for entry in said["licences"]] == ["antelopev2", "face.onnx"]
    assert json.loads(json.dumps(said)) == said


def test_png_files_carry_the_packet_where_readers_of_xmp_look(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 9, 3), np.uint8)
    path = tmp_path / "a.png"
    generated.save_png(path, pixels, {"prompt": "{}", "note": "é日"}, generated.xmp([FREE]))
    with Image.open(path) as picture:
        assert np.array_equal(np.asarray(picture), pixels)
        assert (picture.info["prompt"], picture.info["note"]) == ("{}", "é日")
        assert picture.info["xmp"].decode() == generated.xmp([FREE])
    assert b"iTXtXML:com.adobe.xmp\0" in path.read_bytes()
    generated.save_png(path, pixels, {}, None)
    with Image.open(path) as picture:
        assert not picture.info
    with pytest.raises(SaveError, match="folder of that name is in the way"):
        generated.save_png(tmp_path, pixels, {}, None)

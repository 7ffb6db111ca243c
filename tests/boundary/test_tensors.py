"""Headers of safetensors files that others made: good ones are read, every other one is half a line."""

import contextlib
import json

import pytest
import torch
from hifi_portrait.boundary import tensors
from hifi_portrait.boundary.parse import BadJsonError, parse_json
from hifi_portrait.boundary.tensors import BadTensorFileError, PickleError, read_header, read_tensors
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

GOOD = {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}


def write(path, header, body=b"\0" * 24, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + body)
    return path


def test_what_the_library_writes_is_read(tmp_path):
    saved = {
        "half": torch.ones(2, 3, dtype=torch.float16),
        "brain": torch.ones(4, dtype=torch.bfloat16),
        "whole": torch.arange(5),
        "flag": torch.tensor(True),
        "none": torch.zeros(0, 7),
        "Ünï": torch.zeros(1),
    }
    save_file(saved, tmp_path / "a.safetensors", metadata={"format": "x"})
    header, read = read_tensors(tmp_path / "a.safetensors")
    assert header.metadata == {"format": "x"}
    assert {name: info.shape for name, info in header.tensors.items()} == {
        name: tuple(tensor.shape) for name, tensor in saved.items()
    }
    assert all(read[name].equal(tensor) for name, tensor in saved.items())
    floating = {name for name, info in header.tensors.items() if info.floating}
    assert floating == {"half", "brain", "none", "Ünï"}


@pytest.mark.parametrize("length", [*range(104, 2000, 8), 0x28000, 0x48000])
def test_a_header_of_any_length_is_no_pickle(tmp_path, length):
    header = {**GOOD, "__metadata__": {"a": ""}}
    header["__metadata__"]["a"] = "x" * (length - len(json.dumps(header)))
    path = write(tmp_path / "a.safetensors", header)
    assert path.stat().st_size == 8 + length + 24
    assert read_header(path).tensors["a"].shape == (2, 3)


BAD = {
    "not JSON": b"{nonsense",
    "deep": b"[" * 100_000,
    "a list": [],
    "a number": b"7",
    "not UTF-8": b'{"\xff": 1}',
    "an entry that is a number": {"a": 7},
    "no type": {"a": {"shape": [6], "data_offsets": [0, 24]}},
    "an unknown type": {"a": {**GOOD["a"], "dtype": "C64"}},
    "a type that is a list": {"a": {**GOOD["a"], "dtype": ["F32"]}},
    "no shape": {"a": {"dtype": "F32", "data_offsets": [0, 24]}},
    "a negative shape": {"a": {**GOOD["a"], "shape": [-2, -3]}},
    "a shape of halves": {"a": {**GOOD["a"], "shape": [2.0, 3]}},
    "a shape of true": {"a": {**GOOD["a"], "shape": [True, 6]}},
    "many axes": {"a": {**GOOD["a"], "shape": [1] * 100 + [6]}},
    "a huge shape": {"a": {**GOOD["a"], "shape": [2**52, 2**52]}},
    "a shape that does not fill its place": {"a": {**GOOD["a"], "shape": [2, 4]}},
    "three offsets": {"a": {**GOOD["a"], "data_offsets": [0, 24, 24]}},
    "offsets that run backwards": {"a": {**GOOD["a"], "data_offsets": [24, 0]}},
    "beyond the file": {"a": {**GOOD["a"], "data_offsets": [8, 32]}},
    "overlapping": {**GOOD, "b": {"dtype": "U8", "shape": [8], "data_offsets": [16, 24]}},
    "texts that are numbers": {"__metadata__": {"format": 1}},
    "texts that are a list": {"__metadata__": []},
    "numbers without end": b'{"a": {"dtype": "F32", "shape": ['
    + b"9" * 5000
    + b'], "data_offsets": [0, 1]}}',
}


@pytest.mark.parametrize("kind", BAD)
def test_headers_that_lie(tmp_path, kind):
    path = write(tmp_path / "a.safetensors", BAD[kind])
    for read in (read_header, read_tensors):
        with pytest.raises(BadTensorFileError) as caught:
            read(path)
        assert len(str(caught.value)) < 200
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("length", [0, 7, 2**40, 2**63 - 1, 2**64 - 1])
def test_lengths_that_lie(tmp_path, length):
    with pytest.raises(BadTensorFileError):
        read_header(write(tmp_path / "a.safetensors", GOOD, length=length))


def test_what_is_no_file_of_tensors(tmp_path):
    for number, content in enumerate((b"", b"1234567", b"\x80\x04K\x01.", b"PK\x03\x04" + bytes(40))):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(content)
        with pytest.raises(PickleError if number > 1 else BadTensorFileError):
            read_header(path)
    with pytest.raises(BadTensorFileError):
        read_header(tmp_path / "nowhere.safetensors")
    with pytest.raises(BadTensorFileError):
        read_header(tmp_path)


def test_a_long_header_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(tensors, "LONGEST_HEADER", 100)
    write(tmp_path / "short.safetensors", GOOD)
    assert read_header(tmp_path / "short.safetensors").tensors
    long = write(tmp_path / "long.safetensors", {**GOOD, "__metadata__": {"a": "x" * 200}})
    with pytest.raises(BadTensorFileError, match="at most 100 are read"):
        read_header(long)


def test_many_tensors(tmp_path, monkeypatch):
    monkeypatch.setattr(tensors, "MOST_TENSORS", 3)
    entries = {str(n): {"dtype": "U8", "shape": [1], "data_offsets": [n, n + 1]} for n in range(4)}
    with pytest.raises(BadTensorFileError, match="4 tensors, more than 3"):
        read_header(write(tmp_path / "a.safetensors", entries))


@given(st.binary(max_size=300), st.one_of(st.none(), st.integers(0, 400)))
def test_any_bytes_are_a_header_or_an_error_of_ours(tmp_path_factory, content, length):
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    head = b"" if length is None else length.to_bytes(8, "little")
    path.write_bytes(head + content)
    with contextlib.suppress(BadTensorFileError):
        read_tensors(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=30,
)


@given(JSON)
def test_json_is_read_as_pythons_reader_reads_it_or_refused(value):
    text = json.dumps(value)
    try:
        assert parse_json(text) == value
    except BadJsonError:
        numbers = text.replace("-", " ").replace("[", " ").replace(",", " ").replace("}", " ").split()
        odd = "NaN" in text or "Infinity" in text or any(len(word.strip("]:{} ")) > 15 for word in numbers)
        assert odd


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100000 + "]" * 100000, "levels deep"),
        ("[" * 40 + "]" * 40, "levels deep"),
        ('{"a":' * 40 + "1" + "}" * 40, "levels deep"),
        ("9" * 5000, "too large"),
        ("9007199254740993", "too large"),
        ("1e999", "too large"),
        ("NaN", "not a number"),
        ("", "not JSON"),
        ("[1,", "not JSON"),
        ('"' + "x" * 2000 + '"', "JSON of 2002 characters"),
    ],
)
def test_json_beyond_the_limits(text, why):
    with pytest.raises(BadJsonError, match=why) as caught:
        parse_json(text, longest=1000 if "x" in text else 10**7)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("length", [640, 896, 1152, 1408, 66176])
def test_headers_whose_length_begins_like_a_pickle(tmp_path, length):
    texts = {"note": ""}
    save_file({"a": torch.zeros(2)}, tmp_path / "a", texts)
    short = int.from_bytes((tmp_path / "a").read_bytes()[:8], "little")
    save_file({"a": torch.zeros(2)}, tmp_path / "a", {"note": "x" * (length - short)})
    assert (tmp_path / "a").read_bytes()[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
    assert read_header(tmp_path / "a").tensors["a"].shape == (2,)

"""The troubleshooting page holds every message of the code, and nothing else."""

from __future__ import annotations

import pytest

from authoring.troubleshooting import GAP, GROUPS, PAGE, group_of, messages, page, texts_of


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m authoring.troubleshooting`"


def test_every_group_has_messages_and_every_module_a_group():
    known = messages()
    assert len(known) > 200
    assert {group_of(message.module).title for message in known} == {group.title for group in GROUPS}
    with pytest.raises(KeyError, match="no group for elsewhere/x"):
        group_of("elsewhere/x")


def test_messages_are_read_with_gaps():
    source = """
def f(a):
    raise ValueError(f"{a}: there is no such {a!r}" + ("; look " f"in {a}"))

def g(error):
    return CheckpointError("one thing" if error else f"another thing {error}")

def validate_inputs(name):
    return f"there is no identity {name}" if name else True

def other():
    raise ValueError(f"{f}")  # nothing to look for
"""
    assert set(texts_of(source)) == {
        "one thing",
        f"another thing {GAP}",
        f"there is no identity {GAP}",
        f"{GAP}: there is no such {GAP}; look in {GAP}",
    }


@pytest.mark.parametrize(
    "words",
    [
        "is not the pinned file (its SHA-256 differs)",
        "cannot name",
        "save it with …, or choose another",
        "is a pickle, which could run code of its maker",
        "none has the majority",
        "lies after end_percent",
        "is not an ARKit expression",
    ],
)
def test_messages_that_artists_see_are_found(words):
    assert words in PAGE.read_text(encoding="utf-8")

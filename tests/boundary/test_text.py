"""Whatever others write: a message stays one line that every stream can encode."""

import os

from hifi_portrait.boundary.text import echoed, name, printable, reason, shortened
from hypothesis import given
from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=400)


def test_a_name_that_is_not_utf8_shows_its_bytes():
    assert printable(os.fsdecode(b"Fran\xe7ois.jpg")) == "Fran\\xe7ois.jpg"


def test_a_lone_surrogate_and_control_characters_are_escaped():
    assert printable("a\ud800b\x1b[31m\x00") == "a\\ud800b\\x1b[31m\\x00"
    assert printable("one\ntwo\tthree") == "one two three"
    assert printable("photo\u202egpj.exe") == "photo\\u202egpj.exe"


def test_what_can_be_read_is_left_alone():
    assert printable("Zoë's 写真 (1).jpg 👩🏽") == "Zoë's 写真 (1).jpg 👩🏽"


@given(ANY_TEXT, st.integers(10, 200))
def test_every_text_becomes_one_line_that_can_be_encoded(text, limit):
    shown = printable(text, limit)
    shown.encode("utf-8")
    assert shown.isprintable()
    assert len(shown) <= limit
    assert printable(shown) == shown


def test_long_texts_keep_both_ends():
    assert shortened("a" * 50 + "b" * 50 + ".jpg", 20).startswith("aaaa")
    assert shortened("a" * 50 + "b" * 50 + ".jpg", 20).endswith("b.jpg")
    assert len(name("x" * 10**6)) == 80


def test_numbers_of_many_digits_and_odd_objects_have_a_text():
    class Odd:
        def __repr__(self):
            raise RuntimeError("no")

    assert echoed(10**5000) == "a int"
    assert echoed(Odd()) == "a Odd"
    assert len(echoed("x" * 10**6)) == 82
    assert reason(ValueError("first\nsecond")) == "first"
    assert reason(KeyError()) == "KeyError"

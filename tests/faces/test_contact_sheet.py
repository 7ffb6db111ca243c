"""The contact sheet draws every situation; the pictures are left to be looked at."""

from dataclasses import replace

import numpy as np
import pytest
from hifi_portrait.faces.contact_sheet import contact_sheet
from hifi_portrait.faces.drawing import BACKGROUND, shorten, text_width, wrap
from hifi_portrait.faces.records import DroppedPicture
from hifi_portrait.faces.references import DISAGREE, ReferenceOptions, load_references
from PIL import Image


def test_references_and_those_set_aside(analyzer, person, pictures, artifacts):
    references = load_references([*person, pictures["biden"]], analyzer)
    sheet = contact_sheet(references)
    Image.fromarray(sheet).save(artifacts / "faces_contact_sheet.png")
    assert sheet.dtype == np.uint8
    assert tuple(sheet[2, 2]) == BACKGROUND
    plain = contact_sheet(references, landmarks=False)
    assert plain.shape == sheet.shape
    assert (plain != sheet).any()
    without = contact_sheet(replace(references, dropped=()))
    assert without.shape[0] < sheet.shape[0]
    assert without.shape[1] == sheet.shape[1]


def test_crops_are_shown(analyzer, person):
    references = load_references(person[:1], analyzer)
    sheet = contact_sheet(references, landmarks=False).astype(int)
    crop = np.asarray(Image.fromarray(references.faces[0].crop).resize((228, 228))).astype(int)
    shown = sheet[96 : 96 + 228, 36 : 36 + 228]
    assert np.abs(shown - crop)[40:].mean() < 8


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_any_number_of_references(analyzer, person, count):
    references = load_references(person, analyzer)
    faces = tuple(replace(references.faces[n % 5], source_index=n) for n in range(count))
    dropped = tuple(
        DroppedPicture("x" * 80 + ".jpg", n, "no face found " * 12, None) for n in range(count % 4)
    )
    sheet = contact_sheet(replace(references, faces=faces, dropped=dropped, notes=("a note " * 40,)))
    assert sheet.shape[1] <= 1500
    assert sheet.shape[0] < 60 + 440 * (-(-count // 5)) + 600


def test_weight_0_is_dimmed(analyzer, person, pictures):
    references = load_references(
        [*person, pictures["biden"]], analyzer, ReferenceOptions(disagree=DISAGREE[1])
    )
    normal = tuple(replace(face, weight=1.0) for face in references.faces)
    assert contact_sheet(references).mean() < contact_sheet(replace(references, faces=normal)).mean()


def test_long_texts_fit():
    name = "a_very_long_file_name_of_a_photo_from_the_archive_0001.jpg"
    short = shorten(name, 15, 120)
    assert text_width(short, 15) <= 120
    assert short.endswith("1.jpg") or short.endswith(".jpg")
    lines = wrap("shows somebody else " * 9, 13, 200, 3)
    assert len(lines) == 3
    assert all(text_width(line, 13) <= 200 for line in lines)

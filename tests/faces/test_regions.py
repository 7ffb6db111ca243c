"""Boxes and masks choose among the faces of a picture."""

import numpy as np
import pytest
from hifi_portrait.faces.pictures import NamedImage
from hifi_portrait.faces.references import ReferenceOptions, load_references
from hifi_portrait.faces.regions import Region, both, regions_of_boxes, regions_of_masks


def box(x, y, width, height):
    return {"x": x, "y": y, "width": width, "height": height, "label": "face"}


@pytest.fixture(scope="module")
def pair(pictures):
    """Two people side by side, of the same height, and where the right one begins."""
    left, right = pictures["obama"].pixels, pictures["biden"].pixels
    height = min(len(left), len(right))
    return NamedImage("pair.jpg", np.hstack([left[:height], right[:height]])), left.shape[1]


def centre(references):
    (face,) = references.faces
    return float(face.box[[0, 2]].mean())


@pytest.mark.parametrize("kind", ["box", "mask", "small mask"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_either_person_of_a_pair_can_be_meant(analyzer, pair, kind, side):
    picture, border = pair
    height, width = picture.pixels.shape[:2]
    start, end = (0, border) if side == "left" else (border, width)
    if kind == "box":
        regions = regions_of_boxes([box(start, 0, end - start, height)], 1)
    else:
        mask = np.zeros((height, width), np.float32)
        mask[:, start:end] = 1
        regions = regions_of_masks([mask[::4, ::4] if kind == "small mask" else mask], 1)
    found = load_references([picture], analyzer, ReferenceOptions(regions=regions))
    assert (centre(found) < border) == (side == "left")


def test_a_picture_without_a_face_there_says_so(analyzer, pair, person):
    regions = (Region(((0.0, 0.0, 8.0, 8.0),)), None)
    found = load_references([pair[0], person[1]], analyzer, ReferenceOptions(regions=regions))
    assert [face.source for face in found.faces] == [person[1].name]
    assert "2 faces lies in the boxes or the mask" in found.dropped[0].reason


def test_boxes_of_every_shape():
    one = Region(((1.0, 2.0, 4.0, 6.0),))
    assert regions_of_boxes(box(1, 2, 3, 4), 2) == (one, one)
    assert regions_of_boxes([box(1, 2, 3, 4)], 1) == (one,)
    assert regions_of_boxes([box(1, 2, 3, 4), box(0, 0, 1, 1)], 2) == (one, Region(((0.0, 0.0, 1.0, 1.0),)))
    assert len(regions_of_boxes([box(1, 2, 3, 4), box(0, 0, 1, 1)], 1)[0].boxes) == 2
    assert regions_of_boxes([[box(1, 2, 3, 4)], []], 2) == (one, None)
    assert regions_of_boxes([], 3) == (None, None, None)
    assert regions_of_masks([np.zeros((2, 2))], 2) == (None, None)
    assert both((one, None), (None, one)) == (one, one)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("left", "must be a box"),
        (3, "must be a box"),
        ([3], "must be a box"),
        ([{"x": 1}], "the numbers x, y, width and height"),
        ([box(float("nan"), 0, 1, 1)], "finite"),
        ([[], [], []], "are for 3 pictures, there are 2"),
    ],
)
def test_what_is_no_box_is_named(value, said):
    with pytest.raises(ValueError, match=said):
        regions_of_boxes(value, 2)

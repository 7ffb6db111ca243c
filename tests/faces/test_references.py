"""One person out of many pictures: chosen, rated, weighed, never mixed; and bad input."""

import cv2
import numpy as np
import pytest
from hifi_portrait.faces.pictures import NamedImage, UnreadableImage
from hifi_portrait.faces.references import DISAGREE, ReferenceOptions, clear_cache, load_references
from hifi_portrait.faces.select import PICKS


def sources(references):
    return sorted(face.source for face in references.faces)


def test_five_photos_are_kept_and_the_cut_off_ones_rated_lowest(analyzer, person):
    references = load_references(person, analyzer)
    assert sources(references) == sorted(item.name for item in person)
    assert references.dropped == ()
    ranked = sorted(references.faces, key=lambda face: face.quality.score)
    assert {face.source for face in ranked[:2]} == {"obama_partial_face.jpg", "obama_partial_face2.jpg"}
    assert np.isclose(np.mean([face.weight for face in references.faces]), 1)
    assert [f.weight for f in ranked] == sorted(f.weight for f in ranked)


def test_records_are_what_the_contract_says(analyzer, person):
    for face in load_references(person, analyzer).faces:
        assert (face.box.shape, face.box.dtype) == ((4,), np.float32)
        assert (face.keypoints.shape, face.keypoints.dtype) == ((5, 2), np.float32)
        assert (face.landmarks.shape, face.landmarks.dtype) == ((468, 3), np.float32)
        assert (face.embedding.shape, face.embedding.dtype) == ((128,), np.float32)
        assert (face.crop.shape, face.crop.dtype) == ((224, 224, 3), np.uint8)
        assert (face.crop_matrix.shape, face.crop_matrix.dtype) == ((2, 3), np.float32)
        assert (face.mask.shape, face.mask.dtype) == ((224, 224), np.float32)
        assert 0 <= face.mask.min() <= face.mask.max() <= 1
        assert (face.crop[face.mask == 0] == 127).all()
        assert 0 < face.quality.score <= 1


def test_the_other_person_is_named_and_set_aside(analyzer, person, pictures):
    references = load_references([*person, pictures["biden"]], analyzer)
    assert sources(references) == sorted(item.name for item in person)
    (dropped,) = references.dropped
    assert dropped.source == "biden.jpg"
    assert dropped.source_index == 5
    assert dropped.similarity < 0.3
    assert "somebody else" in dropped.reason


def test_the_other_person_can_be_kept_with_weight_0(analyzer, person, pictures):
    options = ReferenceOptions(disagree=DISAGREE[1])
    references = load_references([*person, pictures["biden"]], analyzer, options)
    weights = {face.source: face.weight for face in references.faces}
    assert weights.pop("biden.jpg") == 0
    assert all(weight > 0 for weight in weights.values())
    assert "weight 0" in references.dropped[0].reason


def test_the_other_person_can_be_an_error(analyzer, person, pictures):
    with pytest.raises(ValueError, match=r"biden\.jpg shows somebody else"):
        load_references([*person, pictures["biden"]], analyzer, ReferenceOptions(disagree=DISAGREE[2]))


def test_half_and_half_is_refused_with_the_groups(analyzer, person, pictures):
    biden = pictures["biden"]
    mirrored = NamedImage("biden mirrored", np.ascontiguousarray(biden.pixels[:, ::-1]))
    with pytest.raises(ValueError, match="different people") as caught:
        load_references([person[0], biden, person[1], mirrored], analyzer)
    groups = str(caught.value)
    assert "person 1" in groups
    assert "person 2" in groups
    for name in ("obama.jpg", "obama2.jpg", "biden.jpg", "biden mirrored"):
        assert name in groups


def test_the_artist_can_say_that_they_are_one_person(analyzer, pictures):
    images = [pictures["obama"], pictures["biden"]]
    with pytest.raises(ValueError, match="same_person_from"):
        load_references(images, analyzer)
    assert len(load_references(images, analyzer, ReferenceOptions(same=0.05)).faces) == 2


def test_the_order_changes_nothing_bit_for_bit(analyzer, person, pictures):
    images = [*person, pictures["biden"]]
    results = []
    for order in ([0, 1, 2, 3, 4, 5], [5, 3, 1, 0, 2, 4], [4, 5, 2, 0, 3, 1]):
        clear_cache()
        results.append(load_references([images[i] for i in order], analyzer))
    first = results[0]
    for other in results[1:]:
        assert [f.source for f in other.faces] == [f.source for f in first.faces]
        for a, b in zip(first.faces, other.faces, strict=True):
            assert a.quality == b.quality
            assert a.weight == b.weight
            for name in ("box", "keypoints", "landmarks", "embedding", "crop", "crop_matrix", "mask"):
                assert np.array_equal(getattr(a, name), getattr(b, name)), name
        assert [(d.source, d.reason) for d in other.dropped] == [(d.source, d.reason) for d in first.dropped]


def test_the_person_common_to_all_pictures_is_picked(analyzer, pictures):
    obama, biden = pictures["obama"].pixels, pictures["biden"].pixels
    together = np.zeros((1137, 910 + 970, 3), np.uint8)
    together[:, :910] = obama[:1137]
    together[:, 910:] = biden[200:1337]
    images = [NamedImage("both", together), pictures["obama3"], pictures["obama2"]]
    alone = analyzer.analyze(biden, "")[0]
    references = load_references(images, analyzer)
    assert sources(references) == ["both", "obama2.jpg", "obama3.jpg"]
    both = next(face for face in references.faces if face.source == "both")
    assert both.box[2] < 910
    largest = load_references(images[:1], analyzer, ReferenceOptions(pick=PICKS[1]))
    assert largest.faces[0].box[0] > 910
    assert abs((largest.faces[0].box[2] - largest.faces[0].box[0]) - (alone.box[2] - alone.box[0])) < 30


def test_couples_are_told_apart_or_said_to_be_ambiguous(analyzer, pictures):
    obama, biden = pictures["obama"].pixels, pictures["biden"].pixels[200:1337]
    one = np.hstack([obama, biden])
    two = np.hstack([biden[:, ::-1], pictures["obama3"].pixels[:1137]])
    references = load_references([NamedImage("one", one), NamedImage("two", two)], analyzer)
    assert len(references.faces) == 2
    assert any("2 people" in note for note in references.notes)
    a, b = (face.embedding for face in references.faces)
    assert a @ b > 0.5


def test_each_of_six_people_can_be_selected(analyzer, pictures):
    lefts = []
    for index in range(6):
        options = ReferenceOptions(pick=PICKS[3], index=index)
        lefts.append(load_references([pictures["t1"]], analyzer, options).faces[0].box[0])
    assert lefts == sorted(lefts)
    assert len(set(lefts)) == 6
    rightmost = load_references([pictures["t1"]], analyzer, ReferenceOptions(pick=PICKS[3], index=-1))
    assert rightmost.faces[0].box[0] == lefts[-1]
    with pytest.raises(ValueError, match="6 faces, so none with index 6"):
        load_references([pictures["t1"]], analyzer, ReferenceOptions(pick=PICKS[3], index=6))


def test_nearest_the_centre(analyzer, pictures):
    centre = load_references([pictures["t1"]], analyzer, ReferenceOptions(pick=PICKS[2])).faces[0]
    height, width = pictures["t1"].pixels.shape[:2]
    faces = analyzer.analyze(pictures["t1"].pixels, "")

    def away(box):
        return np.hypot(*((box[:2] + box[2:]) / 2 - (width / 2, height / 2)))

    assert away(centre.box) == min(away(face.box) for face in faces)


def test_copies_are_merged_and_said_so(analyzer, person):
    copy = NamedImage("copy", person[0].pixels.copy())
    saved_again = cv2.imdecode(cv2.imencode(".jpg", person[1].pixels, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], 1)
    references = load_references([*person, copy, NamedImage("again", saved_again)], analyzer)
    assert len(references.faces) == 5
    reasons = {item.source: item.reason for item in references.dropped}
    assert "same picture as obama.jpg" in reasons["copy"]
    assert len(reasons) == 2
    merged = next(name for name in reasons if name != "copy")
    assert merged in ("again", "obama2.jpg")
    assert "merged" in reasons[merged]


def test_weights_of_the_artist(analyzer, person):
    options = ReferenceOptions(weights=(2.0, 0.0, 1.0, 0.5, 0.25))
    references = load_references(person, analyzer, options)
    assert {face.source_index: face.weight for face in references.faces} == dict(enumerate(options.weights))
    with pytest.raises(ValueError, match="2 weights for 5 pictures"):
        load_references(person, analyzer, ReferenceOptions(weights=(1.0, 1.0)))
    with pytest.raises(ValueError, match="at least 0"):
        load_references(person[:1], analyzer, ReferenceOptions(weights=(float("nan"),)))
    with pytest.raises(ValueError, match="all references have weight 0"):
        load_references(person[:1], analyzer, ReferenceOptions(weights=(0.0,)))


def test_bad_pictures_are_named_and_the_rest_is_used(analyzer, person):
    small = cv2.resize(person[0].pixels, None, fx=0.05, fy=0.05, interpolation=cv2.INTER_AREA)
    images = [
        person[0],
        UnreadableImage("torn.jpg", "unreadable: torn"),
        NamedImage("dot", np.zeros((1, 1, 3), np.uint8)),
        NamedImage("tiny", small),
        NamedImage("sky", np.full((400, 600, 3), 200, np.uint8)),
    ]
    references = load_references(images, analyzer)
    assert sources(references) == ["obama.jpg"]
    assert [item.source for item in references.dropped] == ["torn.jpg", "dot", "tiny", "sky"]
    assert references.dropped[0].reason == "unreadable: torn"
    assert "no face found (1 x 1 px)" in references.dropped[1].reason
    assert "px" in references.dropped[2].reason


def test_a_face_of_12_px_is_called_too_small(analyzer, pictures):
    image = pictures["obama"].pixels
    size = analyzer.analyze(image, "")[0].size
    for target in (12, 16, 20):
        small = cv2.resize(image, None, fx=target / size, fy=target / size, interpolation=cv2.INTER_AREA)
        with pytest.raises(ValueError, match=r"too small to recognise|no face found"):
            load_references([NamedImage("small", small)], analyzer)


def test_nothing_to_use_is_one_line_with_every_reason(analyzer):
    blank = [NamedImage(f"blank {n}", np.full((50, 50, 3), n, np.uint8)) for n in range(3)]
    with pytest.raises(ValueError, match="no picture has a face") as caught:
        load_references(blank, analyzer)
    assert all(item.name in str(caught.value) for item in blank)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="there are no pictures"):
        load_references([], analyzer)
    with pytest.raises(ValueError, match="65 pictures"):
        load_references(blank[:1] * 65, analyzer)


def test_a_requeue_analyses_nothing_and_one_changed_picture_one(counting, person):
    first = load_references(person, counting)
    assert len(counting.analyzed) == 5
    again = load_references([NamedImage(i.name, i.pixels.copy()) for i in person], counting)
    assert len(counting.analyzed) == 5
    assert again is first
    changed = person[0].pixels.copy()
    changed[0, 0] ^= 1
    load_references([NamedImage("changed", changed), *person[1:]], counting)
    assert counting.analyzed[5:] == ["changed"]


def test_another_analyzer_shares_no_cache(counting, analyzer, person):
    load_references(person[:1], analyzer)
    load_references(person[:1], counting)
    assert counting.analyzed == [person[0].name]


def test_progress_counts_every_picture(counting, person):
    seen = []
    load_references(person, counting, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 5) for n in range(1, 6)]

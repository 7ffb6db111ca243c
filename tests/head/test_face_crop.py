"""Faces cut out of finished pictures and put back."""

import numpy as np
import pytest
import torch
from hifi_portrait.faces.analyzer import DetectedFace
from hifi_portrait.head.face_crop import choose_face, cut_out, paste_back, place_crops
from hifi_portrait.landmarks.canonical import moved


def face(left, top, right, bottom, embedding=(1.0, 0.0)):
    return DetectedFace(
        box=np.array([left, top, right, bottom], np.float32),
        score=0.9,
        keypoints=np.zeros((5, 2), np.float32),
        landmarks=np.zeros((468, 3), np.float32),
        embedding=np.array(embedding, np.float32),
    )


def pictures(count=2, height=96, width=128):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_squares_stay_inside_the_picture_and_hold_the_face():
    crops = place_crops([face(0, 0, 20, 30), None, face(100, 70, 128, 96)], 128, 96, 64, 2.0, 0.0)
    assert crops.rows == (0, 2)
    for (left, top, side), box in zip(crops.boxes, [(0, 0, 20, 30), (100, 70, 128, 96)], strict=True):
        assert min(left, top) >= 0
        assert left + side <= 128
        assert top + side <= 96
        assert left <= box[0]
        assert top <= box[1]
        assert left + side >= box[2]
        assert top + side >= box[3]


def test_a_face_larger_than_the_picture_takes_the_whole_height():
    crops = place_crops([face(10, 2, 110, 94)], 128, 96, 64, 3.0, 0.0)
    assert crops.boxes[0, 2] == 96


def test_frames_are_steadied():
    jitter = np.random.default_rng(0).normal(0, 3, (40, 2))
    faces = [face(50 + x, 40 + y, 70 + x, 60 + y) for x, y in jitter]
    moves = [
        np.abs(np.diff(place_crops(faces, 256, 256, 64, 2.0, steady).boxes[:, :2], axis=0)).mean()
        for steady in (0.0, 3.0)
    ]
    assert moves[1] < 0.25 * moves[0]


def test_nobody_is_a_clear_error():
    with pytest.raises(ValueError, match="no face of this person"):
        place_crops([None, None], 128, 96, 64, 2.0, 0.0)


def test_the_person_is_chosen_by_recognition():
    small, large = face(0, 0, 10, 10, (1.0, 0.0)), face(20, 20, 80, 80, (0.0, 1.0))
    assert choose_face([small, large], None, 0.3) is large
    assert choose_face([small, large], np.array([1.0, 0.1]), 0.3) is small
    assert choose_face([large], np.array([1.0, 0.0]), 0.3) is None
    assert choose_face([], None, 0.3) is None


def test_points_land_where_the_pixels_do():
    crops = place_crops([face(40, 30, 60, 50)], 128, 96, 80, 2.0, 0.0)
    picture = torch.zeros(1, 3, 96, 128)
    picture[:, :, 38:42, 48:52] = 1.0
    cut = cut_out(picture, crops)[0, 0]
    y, x = (float(v) for v in (cut > 0.5).nonzero().float().mean(0) + 0.5)
    there = moved(np.array([[50.0, 40.0, 4.0]]), crops.matrix(0))[0]
    assert there[:2] == pytest.approx([x, y], abs=0.6)
    assert there[2] == pytest.approx(4.0 * 80 / crops.boxes[0, 2])


@pytest.mark.parametrize("feather", [0.0, 0.25, 1.0])
def test_pixels_outside_are_untouched(feather):
    images = pictures()
    crops = place_crops([face(40, 30, 60, 50), None], 128, 96, 64, 2.0, 0.0)
    out, changed = paste_back(images, torch.rand(1, 3, 64, 64), crops, feather)
    still = changed[:, None].expand_as(out) == 0
    assert torch.equal(out[still], images[still])
    assert torch.equal(out[1], images[1])
    left, top, side = crops.boxes[0].tolist()
    assert changed[0, top + side // 2, left + side // 2] > 0.9
    outside = changed[0].clone()
    outside[top : top + side, left : left + side] = 0
    assert outside.sum() == 0
    assert not torch.equal(out[0], images[0])


def test_pasting_what_was_cut_out_gives_the_picture_back():
    ramp = torch.linspace(0.2, 0.8, 128).expand(3, 96, 128)[None].clone()
    crops = place_crops([face(40, 30, 60, 50)], 128, 96, 160, 2.0, 0.0)
    out, _ = paste_back(ramp, cut_out(ramp, crops), crops, 0.25, 1.0)
    assert (out - ramp).abs().max() < 0.01


def test_colours_are_matched_at_the_rim():
    images = pictures(1) * 0.3 + 0.3
    crops = place_crops([face(40, 30, 60, 50)], 128, 96, 64, 2.0, 0.0)
    tinted = (cut_out(images, crops) * torch.tensor([1.1, 1.0, 0.85])[:, None, None]).clamp(0, 1)
    plain, matched = (paste_back(images, tinted, crops, 0.25, share)[0] for share in (0.0, 1.0))

    def shift(out):
        return (out - images).mean((-2, -1)).abs().sum()

    assert shift(matched) < 0.2 * shift(plain)


def test_a_mask_limits_the_change():
    images = pictures(1)
    crops = place_crops([face(40, 30, 60, 50)], 128, 96, 64, 2.0, 0.0)
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    _, changed = paste_back(images, torch.rand(1, 3, 64, 64), crops, 0.1, 0.0, mask)
    left, top, side = crops.boxes[0].tolist()
    assert changed[0, :, left : left + side // 2 - 3].sum() == 0
    assert changed[0, top + side // 2, left + 3 * side // 4] > 0.9


def test_other_pictures_and_numbers_are_refused():
    crops = place_crops([face(40, 30, 60, 50)], 128, 96, 64, 2.0, 0.0)
    with pytest.raises(ValueError, match="connect pictures of one size"):
        paste_back(pictures(1, 64, 64), torch.rand(1, 3, 64, 64), crops)
    with pytest.raises(ValueError, match="there are 2 faces and 1 pictures"):
        paste_back(pictures(1), torch.rand(2, 3, 64, 64), crops)

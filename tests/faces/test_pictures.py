"""Any picture becomes RGB uint8, is recognised by its content, and bad files of a folder are named."""

import cv2
import numpy as np
import pytest
from hifi_portrait.faces.pictures import content_digest, read_folder, read_image, to_rgb8
from PIL import Image


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((2, 3), 0.5, np.float32), (128, 128, 128)),
        (np.full((2, 3, 1), 7, np.uint8), (7, 7, 7)),
        (np.array([[[1, 2, 3]]], np.uint8), (1, 2, 3)),
        (np.array([[[0.0, 1.0, 2.0]]]), (0, 255, 255)),
        (np.array([[[np.nan, np.inf, -np.inf]]]), (0, 255, 0)),
        (np.array([[[255, 0, 0, 255]]], np.uint8), (255, 0, 0)),
        (np.array([[[255, 0, 0, 0]]], np.uint8), (127, 127, 127)),
        (np.array([[[65535, 256, 255]]], np.uint16), (255, 1, 0)),
        (np.ones((1, 1), bool), (255, 255, 255)),
    ],
)
def test_every_kind_of_array_becomes_rgb(array, expected):
    out = to_rgb8(array)
    assert out.dtype == np.uint8
    assert out.shape == (*array.shape[:2], 3)
    assert tuple(out[0, 0]) == expected


@pytest.mark.parametrize("shape", [(0, 4, 3), (4,), (2, 2, 5), (1, 2, 2, 3)])
def test_what_is_no_picture_is_refused(shape):
    with pytest.raises(ValueError, match="picture"):
        to_rgb8(np.zeros(shape))


def test_one_bit_anywhere_changes_the_digest():
    image = np.random.default_rng(0).integers(0, 256, (211, 207, 3), dtype=np.uint8)
    digests = {content_digest(image)}
    # The last rows are hashed another way than the rest; top bits are what the multipliers see least of.
    for place in ((0, 0, 0), (0, 2, 1), (105, 13, 2), (210, 206, 2)):
        for bit in (1, 128):
            changed = image.copy()
            changed[place] ^= bit
            digests.add(content_digest(changed))
    assert len(digests) == 9
    assert content_digest(image.copy()) == content_digest(image)


def test_two_top_bits_of_one_row_do_not_cancel():
    image = np.zeros((120, 120, 3), np.uint8)
    changed = image.copy().reshape(-1)
    changed[[7, 15]] = 128
    assert content_digest(changed.reshape(image.shape)) != content_digest(image)


def test_the_shape_counts():
    assert content_digest(np.zeros((2, 8, 3), np.uint8)) != content_digest(np.zeros((8, 2, 3), np.uint8))


def test_a_folder_with_bad_files(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 not really")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture")
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    Image.new("L", (4, 4), 9).save(tmp_path / "grey.png")
    images, unreadable = read_folder(tmp_path)
    assert [item.name for item in images] == ["clear.png", "grey.png"]
    assert tuple(images[0].pixels[0, 0]) == (127, 127, 127)
    assert [item.name for item in unreadable] == ["broken.jpg", "empty.png"]
    assert "unreadable" in unreadable[0].reason


def test_folders_without_pictures_are_named(tmp_path):
    with pytest.raises(ValueError, match="no pictures"):
        read_folder(tmp_path)
    with pytest.raises(ValueError, match="no folder"):
        read_folder(tmp_path / "nowhere")


def test_names_with_foreign_letters_and_turned_photos(tmp_path):
    image = Image.fromarray(np.vstack([np.full((8, 20, 3), 255, np.uint8), np.zeros((8, 20, 3), np.uint8)]))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned to the right
    path = tmp_path / "Mädchen 写真.jpg"
    image.save(path, exif=exif, quality=100)
    turned = read_image(path)
    assert turned.shape == (20, 16, 3)
    assert turned[:, 12:].mean() > 200
    assert turned[:, :4].mean() < 50


def test_a_transparent_file_is_laid_over_grey(tmp_path):
    half = np.zeros((6, 6, 4), np.uint8)
    half[..., 2] = 255  # red in OpenCV's order
    half[:, :3, 3] = 255
    cv2.imwrite(str(tmp_path / "half.png"), half)
    image = read_image(tmp_path / "half.png")
    assert tuple(image[0, 0]) == (255, 0, 0)
    assert tuple(image[0, 5]) == (127, 127, 127)

"""Any picture becomes RGB uint8, is recognised by its content, and bad files of a folder are named."""

import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from hifi_portrait.faces.picture_files import PictureFile, UnreadablePictureError
from hifi_portrait.faces.pictures import content_digest, read_folder, read_image, to_rgb8, write_image
from PIL import Image, ImageOps

posix = pytest.mark.skipif(os.name == "nt", reason="file names in bytes")


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


@pytest.mark.parametrize("suffix", ["", ".png", ".jpg", ".WEBP", ".tif", ".bmp"])
def test_a_picture_is_written_whole(tmp_path, suffix):
    pixels = np.full((8, 12, 3), (200, 100, 50), np.uint8)
    write_image(tmp_path / "below" / f"a{suffix}", pixels)
    assert np.abs(read_image(tmp_path / "below" / f"a{suffix}").astype(int) - pixels).max() <= 6
    assert [path.name for path in (tmp_path / "below").iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize("name", ["a.exe", "a.jpg\n.gif", "x" * 400 + ".foo"])
def test_a_name_that_is_no_pictures_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="no name of a picture") as caught:
        write_image(tmp_path / name, np.zeros((4, 4, 3), np.uint8))
    assert str(caught.value).isprintable()


def turned_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_a_transparent_photo_is_turned_too(tmp_path, suffix):
    image = np.full((8, 20, 4), 255, np.uint8)
    image[4:, :, :3] = 0
    path = tmp_path / f"turned{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(image).save(path, exif=turned_exif(6), **options)
    upright = read_image(path)
    assert upright.shape == (20, 8, 3)
    assert upright[:, 4:].min() > 200, "the upper half of the file is on the right"
    assert upright[:, :4].max() < 50


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_are_pillows(tmp_path, orientation):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 14, 3), dtype=np.uint8))
    image.save(tmp_path / "a.png", exif=turned_exif(orientation))
    expected = ImageOps.exif_transpose(Image.open(tmp_path / "a.png"))
    assert (read_image(tmp_path / "a.png") == np.asarray(expected)).all()


def test_damaged_exif_data_do_not_make_a_picture_unusable(tmp_path):
    image = Image.new("RGB", (20, 10), (200, 0, 0))
    image.save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 30)
    assert read_image(tmp_path / "a.jpg").shape == (10, 20, 3)


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("1", 1, ".png", (255, 255, 255)),
        ("P", 0, ".png", (0, 0, 0)),
        ("LA", (9, 0), ".png", (127, 127, 127)),
        ("I;16", 0x8012, ".png", (128, 128, 128)),
        ("I", 0x8012, ".tif", (128, 128, 128)),
        ("F", 0.5, ".tif", (128, 128, 128)),
        ("CMYK", (0, 255, 255, 0), ".tif", (255, 0, 0)),
        ("LAB", (0, 128, 128), ".tif", None),
    ],
)
def test_every_mode_that_pillow_reads_becomes_rgb(tmp_path, mode, colour, suffix, expected):
    Image.new(mode, (5, 3), colour).save(tmp_path / f"a{suffix}")
    image = read_image(tmp_path / f"a{suffix}")
    assert image.shape == (3, 5, 3)
    assert image.dtype == np.uint8
    assert expected is None or tuple(image[0, 0]) == expected


def png_of(path, width: int, height: int, rows: int = 1) -> None:
    """A PNG whose header says width x height; with all rows when `rows` is the height."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    data = zlib.compress(b"".join(b"\0" + bytes(width * 4) for _ in range(rows)), 9)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))


@pytest.mark.parametrize("size", [(16000, 16000), (10**9, 1), (8200, 8200), (2**31 - 1, 2**31 - 1)])
def test_a_picture_bomb_is_refused_by_its_header(tmp_path, monkeypatch, size):
    png_of(tmp_path / "bomb.png", *size) if size[0] < 10**6 else png_of_header(tmp_path / "bomb.png", *size)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(UnreadablePictureError, match="megapixels are read") as caught:
        read_image(tmp_path / "bomb.png")
    assert len(str(caught.value)) < 300
    with pytest.raises(UnreadablePictureError, match="megapixels are read"):
        PictureFile(tmp_path / "bomb.png")


def png_of_header(path, width: int, height: int) -> None:
    png_of(path, 1, 1)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(bytes(data))


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "huge.jpg")
    with (tmp_path / "huge.jpg").open("r+b") as file:
        file.truncate((256 << 20) + (1 << 20))
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(UnreadablePictureError, match="257 MB, a picture at most 256"):
        PictureFile(tmp_path / "huge.jpg")


def test_a_program_of_another_kind_is_not_started(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    with pytest.raises(UnreadablePictureError, match="not JPEG, PNG"):
        read_image(tmp_path / "a.jpg")


def test_large_pictures_are_reduced_and_jpeg_is_decoded_at_scale(tmp_path):
    Image.new("RGB", (9000, 3000), (250, 120, 10)).save(tmp_path / "large.jpg")
    image = read_image(tmp_path / "large.jpg")
    assert image.shape == (1365, 4096, 3)
    assert np.abs(image.astype(int) - (250, 120, 10)).max() <= 3


def test_the_count_is_checked_before_anything_is_opened(tmp_path, monkeypatch):
    for number in range(150):
        (tmp_path / f"{number}.jpg").write_bytes(b"")
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("a picture was opened"))
    with pytest.raises(ValueError, match="150 pictures; give at most 64"):
        read_folder(tmp_path, 64)


def test_a_folder_is_looked_at_and_not_decoded(tmp_path, monkeypatch):
    for number in range(3):
        Image.new("RGB", (40, 30)).save(tmp_path / f"{number}.jpg")
    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
        images, unreadable = read_folder(tmp_path)
    assert [image.size for image in images] == [(40, 30)] * 3
    assert unreadable == []


@posix
def test_names_that_are_not_utf8_can_be_shown(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / os.fsdecode(b"Fran\xe7ois.png"))
    (tmp_path / os.fsdecode(b"\xe7.png")).write_bytes(b"")
    images, unreadable = read_folder(tmp_path)
    assert [image.name for image in images] == ["Fran\\xe7ois.png"]
    assert [item.name for item in unreadable] == ["\\xe7.png"]
    assert images[0].size == (4, 4)
    (unreadable[0].reason + repr(images)).encode("utf-8")

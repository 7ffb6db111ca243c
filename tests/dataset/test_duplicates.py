"""Copies of real photos are found, and other photos of the same person are none."""

import cv2
import numpy as np
import pytest
from hifi_portrait.dataset.duplicates import DuplicatesConfig, aligned_view, find_duplicates, view_hashes
from hifi_portrait.faces.open_analyzer import OpenAnalyzer
from hifi_portrait.faces.pictures import read_image

NAMES = ("obama", "obama2", "biden")


def recompressed(image: np.ndarray, quality: int = 40) -> np.ndarray:
    decoded = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
    return np.asarray(decoded)


def copies(image: np.ndarray) -> dict[str, np.ndarray]:
    """Return what people do to a picture before they post it again."""
    height, width = image.shape[:2]
    return {
        "resized": cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA),
        "recompressed": recompressed(image),
        "cropped": np.ascontiguousarray(image[height // 20 : -height // 10, width // 12 : -width // 20]),
        "mirrored": recompressed(np.ascontiguousarray(image[:, ::-1]), 80),
    }


@pytest.fixture(scope="module")
def collection(photos, face_models):
    """Pictures and their copies: names, views, hashes, embeddings, sizes of the faces."""
    analyzer = OpenAnalyzer([face_models])
    pictures = {}
    for name in NAMES:
        image = read_image(photos[name])
        image = cv2.resize(
            image, None, fx=600 / len(image), fy=600 / len(image), interpolation=cv2.INTER_AREA
        )
        pictures[name] = image
        pictures |= {f"{name} {kind}": copy for kind, copy in copies(image).items()}
    faces = {name: analyzer.analyze(image, name)[0] for name, image in pictures.items()}
    views = [aligned_view(pictures[name], face.landmarks) for name, face in faces.items()]
    return (
        list(faces),
        views,
        np.stack([view_hashes(view) for view in views]),
        np.stack([face.embedding for face in faces.values()]),
        np.array([face.size for face in faces.values()]),
    )


def test_copies_are_found_and_nothing_else(collection):
    names, views, hashes, embeddings, sizes = collection
    found = find_duplicates(hashes, embeddings, sizes, view=views.__getitem__)
    assert found.keep.sum() == len(NAMES), [n for n, kept in zip(names, found.keep, strict=True) if kept]
    for row in np.flatnonzero(~found.keep):
        kept = int(found.double_of[row])
        assert names[row].split()[0] == names[kept].split()[0]
        assert found.keep[kept]
        assert sizes[kept] >= sizes[row]
        assert found.mirrored[row] == (names[row].endswith("mirrored") != names[kept].endswith("mirrored"))


def test_a_copy_with_a_person_is_kept_before_one_without(collection):
    names, views, hashes, embeddings, sizes = collection
    labels = np.where(np.array([name.endswith("resized") for name in names]), 0, -1)
    found = find_duplicates(hashes, embeddings, sizes, labels, view=views.__getitem__)
    assert {name for name, kept in zip(names, found.keep, strict=True) if kept} == {
        f"{name} resized" for name in NAMES
    }


def test_hashes_alone_find_most_and_join_nobody(collection):
    names, _, hashes, embeddings, sizes = collection
    found = find_duplicates(hashes, embeddings, sizes)
    assert len(NAMES) <= found.keep.sum() <= len(names) // 2
    doubled = [(names[row], names[found.double_of[row]]) for row in np.flatnonzero(~found.keep)]
    assert all(a.split()[0] == b.split()[0] for a, b in doubled)


def test_views_are_asked_for_candidates_only(collection):
    _, views, hashes, embeddings, sizes = collection
    asked = []

    def view(row: int) -> np.ndarray:
        asked.append(row)
        return views[row]

    config = DuplicatesConfig(similarity=1.1)
    assert find_duplicates(hashes, embeddings, sizes, config=config, view=view).keep.all()
    assert not asked
    assert find_duplicates(hashes[:1], embeddings[:1], sizes[:1]).keep.tolist() == [True]

"""People of which only vectors are known: grouped, cleaned, with and without names.

Vectors are made like a recognizer's: a mean that all share, a direction for each person, and directions in
which pictures of one person differ.
"""

import numpy as np
import pytest
from hifi_portrait.dataset.averages import average_linkage, index_of, neighbours
from hifi_portrait.dataset.grouping import GroupConfig, group, learned_space
from hifi_portrait.dataset.purify import KEPT, MERGED, MIXED, MOVED, NOBODY, OUTLIER, purify
from hifi_portrait.dataset.similarity import SimilarityConfig

DIMENSIONS = 128


def collection(people: int, pictures: int, seed: int, shared: float = 0.2, spread: float = 0.75):
    """(N, D) unit vectors and (N,) people; `shared`: how alike all are, `spread`: how unlike pictures."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=DIMENSIONS) / DIMENSIONS**0.5
    persons = rng.normal(size=(people, DIMENSIONS)) / DIMENSIONS**0.5
    owner = np.repeat(np.arange(people), pictures)
    pictured = rng.normal(size=(len(owner), DIMENSIONS)) / DIMENSIONS**0.5
    vectors = shared**0.5 * common + (1 - shared) ** 0.5 * (persons[owner] + spread * pictured)
    order = rng.permutation(len(owner))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[order].astype(np.float32), owner[order]


def same(labels: np.ndarray) -> np.ndarray:
    return (labels[:, None] == labels) & (labels >= 0)[:, None]


def test_average_linkage_equals_scipy():
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    vectors, _ = collection(12, 9, 1)
    cosine = vectors.astype(np.float64) @ vectors.T
    distance = 1.0 - (cosine + cosine.T) / 2
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average")
    for least in (0.2, 0.45, 0.6):
        wanted = fcluster(tree, 1.0 - least, "distance")
        assert np.array_equal(same(average_linkage(vectors, least)), same(wanted)), least


def test_equal_vectors_are_one_group():
    vectors = np.tile(np.eye(3, DIMENSIONS, dtype=np.float32), (40, 1))
    labels = average_linkage(vectors, 0.5)
    assert np.array_equal(labels, np.tile([0, 1, 2], 40))


@pytest.mark.parametrize("shared", [0.05, 0.5])
def test_people_are_told_apart_however_alike_all_are(shared):
    vectors, people = collection(150, 6, 2, shared)
    assert np.array_equal(same(group(vectors)), same(people))
    assert np.array_equal(group(vectors), group(vectors))


def test_what_all_share_would_join_strangers_without_measuring_it():
    vectors, people = collection(150, 6, 2, 0.65)
    config = GroupConfig(SimilarityConfig(adapt=False))
    found, right = same(group(vectors, config)), same(people)
    assert (found & ~right).sum() > 5 * right.sum()
    assert np.array_equal(same(group(vectors)), right)


def test_one_person_stays_one():
    vectors, _ = collection(1, 300, 3)
    space = learned_space(vectors, GroupConfig())
    assert not space.adapted
    assert len(np.unique(group(vectors))) == 1


def test_a_lone_face_is_nobody():
    vectors, _ = collection(1, 5, 4)
    stranger, _ = collection(1, 1, 5)
    assert group(np.concatenate([vectors, stranger])).tolist() == [0] * 5 + [-1]
    assert group(np.zeros((0, DIMENSIONS), np.float32)).shape == (0,)


def test_the_approximate_index_finds_the_nearest(monkeypatch):
    vectors, people = collection(500, 6, 6)
    wanted = neighbours(index_of(vectors), vectors, 6)[1]
    monkeypatch.setattr("hifi_portrait.dataset.averages._EXACT", 1000)
    found = neighbours(index_of(vectors), vectors, 6)[1]
    assert (people[found] == people[:, None]).mean() > 0.95
    assert np.mean([len(set(a) & set(b)) for a, b in zip(found, wanted, strict=True)]) > 5.7
    pairs, right = same(group(vectors)), same(people)
    assert (pairs & right).sum() / (pairs | right).sum() > 0.97


def test_wrong_labels_are_found_and_moved():
    vectors, people = collection(60, 8, 7, 0.4)
    rng = np.random.default_rng(8)
    wrong = rng.choice(len(people), 24, replace=False)
    given = people.copy()
    given[wrong] = (people[wrong] + rng.integers(1, 60, len(wrong))) % 60
    done = purify(vectors, group(vectors), given)
    assert np.array_equal(done.labels, people)
    assert set(done.reason[wrong]) == {MOVED}
    assert (done.reason == MOVED).sum() == len(wrong)
    assert (done.rival[wrong] == people[wrong]).all()
    assert done.own[wrong].max() < 0.9 < done.rival_similarity[wrong].min()


def test_a_stranger_under_a_label_is_dropped():
    vectors, people = collection(30, 6, 9)
    strangers, _ = collection(4, 1, 10)
    given = np.concatenate([people, [0, 1, 2, -1]])
    done = purify(np.concatenate([vectors, strangers]), np.full(len(given), -1), given)
    assert done.labels[-4:].tolist() == [-1] * 4
    assert done.reason[-4:].tolist() == [OUTLIER] * 3 + [NOBODY]
    assert set(done.reason[:-4]) == {KEPT}


def test_one_person_under_two_labels_is_merged():
    vectors, people = collection(30, 8, 11)
    given = people.copy()
    half = np.flatnonzero(people == 7)[::2]
    given[half] = 99
    done = purify(vectors, group(vectors), given)
    assert done.merged == {99: 7}
    assert np.array_equal(done.labels, people)
    assert set(done.reason[half]) == {MERGED}


def test_two_people_under_one_label_are_parted():
    vectors, people = collection(30, 8, 12)
    given = np.where(people == 4, 3, people)
    done = purify(vectors, np.full(len(given), -1), given)
    assert np.array_equal(same(done.labels), same(people))
    # One of the two keeps the label, the other has a new one.
    assert (done.reason == MIXED).sum() == 8
    assert set(done.labels[(people == 3) | (people == 4)].tolist()) == {3, 30}


def test_without_labels_what_was_grouped_stays():
    vectors, people = collection(40, 6, 13)
    done = purify(vectors, group(vectors))
    assert np.array_equal(same(done.labels), same(people))
    assert set(done.reason) == {KEPT}
    empty = purify(np.zeros((0, DIMENSIONS), np.float32), np.zeros(0, np.int64))
    assert len(empty.labels) == len(empty.reason) == 0

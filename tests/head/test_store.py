"""Heads on disk."""

import json

import numpy as np
import pytest
from hifi_portrait.head.model import HeadModel
from hifi_portrait.head.records import Head
from hifi_portrait.head.store import FORMAT, load_head, save_head
from safetensors.numpy import load_file, save_file


@pytest.fixture
def head():
    rng = np.random.default_rng(3)
    return Head(
        geometry=HeadModel.load().geometry().astype(np.float32),
        shape=rng.normal(size=48).astype(np.float32),
        expression=rng.random(52).astype(np.float32),
        texture=rng.integers(0, 255, (256, 256, 3), np.uint8),
        opacity=rng.integers(0, 255, (256, 256), np.uint8),
        confidence=rng.integers(0, 255, (256, 256), np.uint8),
        light=rng.normal(size=(9, 3)).astype(np.float32),
        sources=("a.jpg", "b.jpg"),
        shares=(0.25, 0.75),
        notes=("guessed",),
    )


def test_a_head_comes_back_as_it_was(head, tmp_path):
    again = load_head(save_head(head, tmp_path / "new" / "somebody.safetensors"))
    for name in ("geometry", "shape", "expression", "texture", "opacity", "confidence", "light"):
        np.testing.assert_array_equal(getattr(again, name), getattr(head, name))
    assert (again.sources, again.shares, again.notes) == (head.sources, head.shares, head.notes)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["somebody.safetensors"]


def texts(head, **changes):
    return {"format": FORMAT, "format_version": "1", "sources": json.dumps(head.sources),
            "shares": json.dumps(head.shares), "notes": "[]", **changes}  # fmt: skip


DAMAGES = {
    "nan": lambda a: a["geometry"].__setitem__((0, 0), np.nan),
    "far": lambda a: a["geometry"].__setitem__((0, 0), 1e5),
    "dark": lambda a: a["light"].__setitem__((0, 0), np.inf),
    "grimace": lambda a: a["expression"].__setitem__(3, 4.0),
    "no texture": lambda a: a.pop("texture"),
    "odd texture": lambda a: a.update(texture=a["texture"][:, :100].copy()),
    "float texture": lambda a: a.update(texture=a["texture"].astype(np.float32)),
    "other size": lambda a: a.update(opacity=a["opacity"][:128, :128].copy()),
    "other mesh": lambda a: a.update(geometry=a["geometry"][:100].copy()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_head_is_refused_in_one_line(head, tmp_path, damage):
    path = save_head(head, tmp_path / "x.safetensors")
    arrays = load_file(path)
    DAMAGES[damage](arrays)
    save_file(arrays, path, metadata=texts(head))
    with pytest.raises(ValueError, match=r"^x\.safetensors: ") as caught:
        load_head(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"},
        {"format_version": "9"},
        {"shares": "[0.5]"},
        {"shares": "[NaN, 1]"},
        {"sources": "3"},
    ],
)
def test_foreign_metadata_are_refused(head, tmp_path, changes):
    path = save_head(head, tmp_path / "x.safetensors")
    save_file(load_file(path), path, metadata=texts(head, **changes))
    with pytest.raises(ValueError, match=r"^x\.safetensors: "):
        load_head(path)
    with pytest.raises(ValueError, match="there is no such head"):
        load_head(tmp_path / "none.safetensors")

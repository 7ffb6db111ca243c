"""Recipes: groups, what they extend, what is refused, earlier files, and matched-compute ablations."""

from __future__ import annotations

import ast
import inspect
import json
from dataclasses import fields, is_dataclass

import pytest
from hifi_portrait.training import config
from hifi_portrait.training.config import RECIPES, Recipe

from tests.training.micro import RECIPE, make

FLAT = {
    "name": "tiny-portrait", "steps": 2500, "batch": 10, "learning_rate": 0.0012, "base_rate": 0.7,
    "final_rate": 0.015, "warmup": 100, "hold": 0.25, "base_only": 0.1, "ema": 0.998, "channel_power": 0.5,
    "identity_loss": 0.3, "identity_max_noise": 0.0, "landmark_loss": 0.05, "extra_losses_from": 0,
    "own_pictures": 3, "own_every": 2, "own_weight": 0.5, "own_cfg": 1.5, "texture_loss": 0.1,
    "draft_loss": 0.3, "sheet_every": 500, "reference_counts": [0.25, 0.2, 0.2, 0.25, 0.1],
    "draft_identities": 3, "shipped_pull": 1.8,
}  # fmt: skip
"""A recipe as it was before there were groups."""


def write(folder, name, content) -> str:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def test_recipes_round_trip(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(RECIPE.to_json(), encoding="utf-8")
    assert Recipe.load(path) == RECIPE


def test_defaults_need_not_be_stated(tmp_path):
    assert Recipe.load(write(tmp_path, "tiny", {})) == Recipe()
    assert Recipe.load("tiny-joint").name == "tiny-joint", "called as its file"


def test_a_recipe_states_only_what_differs(tmp_path):
    write(
        tmp_path, "whole", {"schedule": {"steps": 7, "warmup": 3}, "network": {"texture_size": 0}, "seed": 4}
    )
    part = write(
        tmp_path, "part", {"extends": "whole", "schedule": {"steps": 9}, "network": {"crop_size": 64}}
    )
    found = Recipe.load(part)
    assert (found.schedule.steps, found.schedule.warmup, found.seed) == (9, 3, 4)
    assert dict(found.network) == {"texture_size": 0, "crop_size": 64}
    assert found.name == "part"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"stepz": 3}, "unknown keys stepz"),
        ({"schedule": {"stepz": 3}}, "schedule: unknown keys stepz"),
        ({"network": {"depthz": 3}}, "unknown keys network.depthz"),
        ({"network": [1]}, "network is an object"),
        ({"schedule": {"steps": "many"}}, "schedule: steps must be int, not 'many'"),
        ({"schedule": {"steps": None}}, "schedule: steps must be int, not None"),
        ({"schedule": {"sheet_every": 1.5}}, "sheet_every must be int or null"),
        ({"stage": {"freeze_base": 1}}, "freeze_base must be bool"),
        ({"stage": {"transfer": "half"}}, "stage.transfer is 'half'"),
        ({"data": 3}, "data is a group of settings"),
        ({"data": {"reference_counts": 3}}, "reference_counts is a list of numbers"),
        ({"extends": "bad"}, "extends itself"),
        ({"extends": "nowhere"}, "nowhere: not a recipe"),
        ([], "a recipe is a JSON object"),
    ],
)
def test_what_is_no_recipe_is_refused_by_name(tmp_path, content, message):
    with pytest.raises(ValueError, match=message) as caught:
        Recipe.load(write(tmp_path, "bad", content))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_missing_files_are_refused():
    with pytest.raises(ValueError, match="not a recipe"):
        Recipe.load("nothing")


def test_null_is_never_and_whole_numbers_are_floats(tmp_path):
    found = Recipe.load(write(tmp_path, "r", {"stage": {"identity_from": None}, "optimizer": {"clip": 2}}))
    assert found.stage.identity_from is None
    assert found.optimizer.clip == 2.0


def test_recipes_from_before_groups_still_load(tmp_path):
    found = Recipe.load(write(tmp_path, "recipe", FLAT))
    assert found == Recipe.load("tiny-portrait")
    never = Recipe.load(
        write(tmp_path, "base", {"base_steps": 1000000, "sheet_every": 100000, "base_alone": True})
    )
    assert never.stage.identity_from is never.schedule.sheet_every is None
    assert never.stage.transfer == "base"


def test_every_field_has_a_line_that_says_what_it_means():
    groups = [c for _, c in inspect.getmembers(config, inspect.isclass) if is_dataclass(c)]
    groups = [c for c in groups if c.__module__ == config.__name__]
    assert len(groups) == 10
    for group in groups:
        (tree,) = ast.parse(inspect.getsource(group)).body
        assert isinstance(tree, ast.ClassDef)
        told = {
            statement.target.id
            for statement, after in zip(tree.body, tree.body[1:], strict=False)
            if isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(after, ast.Expr)
        }
        assert told == {f.name for f in fields(group)}, group.__name__


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.json")), ids=lambda p: p.stem)
def test_committed_recipes_load_and_state_no_default(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    recipe = Recipe.load(path)
    assert recipe.name == path.stem
    parent = Recipe.load(content["extends"]) if "extends" in content else Recipe()
    inherited = parent.to_dict()
    for group, values in content.items():
        if group in ("extends", "network"):
            continue
        for name, value in values.items():
            old = inherited[group][name]
            assert value != (list(old) if isinstance(old, tuple) else old), (
                f"{group}.{name} differs in nothing"
            )


@pytest.mark.parametrize(
    "name",
    ["baseline-mean-embedding", "baseline-concat", "without-alignment", "without-textures", "without-fusion"],
)
def test_baselines_train_like_the_model_with_less_in_it(people, tmp_path, name):
    recipe, ours = Recipe.load(name), Recipe.load("matched-compute").to_dict()
    theirs = recipe.to_dict()
    for key in ("name", "network"):
        theirs[key] = ours[key]
    theirs["data"]["alignment"] = True
    if dict(recipe.network).get("texture_size") == 0:
        theirs["stage"]["denoising_from"] = ours["stage"]["denoising_from"]
        for key in ("texture", "coarse_x0", "coarse_x0_identities"):
            theirs["losses"][key] = ours["losses"][key]
    assert theirs == ours, "equally long, same data"
    short = recipe.changed(
        losses={"identity": 0.0, "landmarks": 0.0}, data={"batch": 2}, schedule={"steps": 1}
    )
    trainer = make(people, tmp_path, short)
    trainer.run()
    assert trainer.step == 1

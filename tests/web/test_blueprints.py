"""The blueprint opens, shows photos, prompt, pose and expression, and runs."""

import json
import urllib.parse
from typing import Any

import numpy as np
import pytest
from PIL import Image

from authoring.blueprints import BLUEPRINTS, FOLDER, NAME, SLIDERS
from authoring.graph import origin
from harness.frontend import RENDERERS, load_workflow, open_frontend

pytestmark = pytest.mark.host

PROMPT = "green background, black jacket"


def read():
    return json.loads((FOLDER / f"{NAME}.json").read_text(encoding="utf-8"))


def used_in_a_workflow(host, photo):
    """Return a workflow as an artist makes it: photo, blueprint, Save Image."""
    workflow = read()
    whole = workflow["nodes"][0]
    ends: dict[str, dict[str, Any]] = {
        "LoadImage": {
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
            "values": [photo, "image"],
        },
        "SaveImage": {"inputs": [{"name": "images", "type": "IMAGE", "link": 2}], "values": ["blueprint"]},
    }
    for number, (kind, end) in enumerate(ends.items(), start=2):
        node = {"id": number, "type": kind, "pos": [600 * (number - 3), 600], "size": [300, 300], "mode": 0}
        node |= {"flags": {}, "order": number, "inputs": end.get("inputs", []), "properties": {}}
        node |= {"outputs": end.get("outputs", []), "widgets_values": end["values"]}
        workflow["nodes"].append(node)
    whole["inputs"][0]["link"] = 1
    whole["outputs"][0]["links"] = [2]
    workflow |= {
        "links": [[1, 2, 0, 1, 0, "IMAGE"], [2, 1, 0, 3, 0, "IMAGE"]],
        "last_node_id": 3,
        "last_link_id": 2,
    }
    return workflow


def test_is_what_the_builder_writes(host, tmp_path):
    info = host.object_info()
    for name, build in BLUEPRINTS.items():
        build(info).save(tmp_path / "made.json", origin(info["HiFiPortraitApplyHiFiNet"]))
        assert json.loads((tmp_path / "made.json").read_text(encoding="utf-8")) == read(), name


def test_only_photos_prompt_pose_and_expression_are_outside(host):
    (whole,) = read()["nodes"]
    assert [entry["name"] for entry in whole["inputs"]] == ["images", "text", *SLIDERS]
    assert [entry["name"] for entry in whole["outputs"]] == ["IMAGE"]
    assert whole["properties"]["cnr_id"] == "hifi-portrait"


def test_the_host_offers_it(host):
    (found,) = [key for key, entry in host.get("/global_subgraphs").items() if entry["name"] == NAME]
    served = host.get(f"/global_subgraphs/{urllib.parse.quote(found)}")
    assert json.loads(served["data"]) == read()


@pytest.mark.browser
@pytest.mark.parametrize("renderer", RENDERERS)
def test_opens_and_runs(renderer, host, photos, browser, artifacts):
    workflow = used_in_a_workflow(host, host.upload(photos["obama"]))
    errors = []
    with open_frontend(host, renderer) as page:
        page.on("pageerror", lambda error: errors.append(str(error)))
        load_workflow(page, workflow)
        widgets = page.evaluate("app.graph.getNodeById(1).widgets.map((w) => w.name)")
        assert {"text", *SLIDERS} <= set(widgets)
        prompt = page.evaluate(
            """async (text) => {
              const set = (name, value) => {
                app.graph.getNodeById(1).widgets.find((w) => w.name === name).value = value
              }
              set('text', text)
              set('yaw', -25)
              return (await app.graphToPrompt()).output
            }""",
            PROMPT,
        )
        page.screenshot(path=artifacts / f"blueprint_{renderer}.png")
        assert errors == []
    kinds = {node["class_type"]: node["inputs"] for node in prompt.values()}
    assert kinds["HiFiPortraitGenerateLandmarks"]["yaw"] == -25
    assert PROMPT in [node["inputs"]["text"] for node in prompt.values() if "text" in node["inputs"]]
    for node in prompt.values():
        if "steps" in node["inputs"]:
            node["inputs"]["steps"] = 2
    (saver,) = [key for key, node in prompt.items() if node["class_type"] == "SaveImage"]
    (picture,) = host.run(prompt).images(saver)
    assert np.asarray(Image.open(picture).convert("RGB")).std() > 5

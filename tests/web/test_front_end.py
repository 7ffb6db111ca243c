"""The real front end in a real browser, in both renderers: template, sliders, face, run, reload, headless."""

import json

import numpy as np
import pytest
from PIL import Image

from harness.frontend import (
    RENDERERS,
    load_workflow,
    open_frontend,
    run_in_page,
    show_all,
    show_node,
    wait_until_ready,
)
from harness.workflows import FIRST_PORTRAIT, ids, shipped

pytestmark = [pytest.mark.browser, pytest.mark.host]

GENERATE = "HiFiPortraitGenerateLandmarks"
STAGE = ".hifi-stage canvas"


def node_state(page) -> dict:
    """Values of Generate Landmarks' inputs, what the widget keeps, and the node's preview."""
    return page.evaluate(
        """(kind) => {
          const node = app.graph._nodes.find((n) => n.comfyClass === kind)
          return {
            values: Object.fromEntries(
              node.widgets.filter((w) => w.serialize !== false).map((w) => [w.name, w.value])),
            memory: node.properties.hifi_portrait ?? {},
            previews: (node.imgs ?? []).length
          }
        }""",
        GENERATE,
    )


def picture(page) -> str:
    """What the face's canvas shows, as a data URL."""
    return page.evaluate("(stage) => document.querySelector(stage).toDataURL()", STAGE)


def drag(page, start, end, modifier=None):
    if modifier:
        page.keyboard.down(modifier)
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=3)
    page.mouse.move(*end, steps=3)
    page.mouse.up()
    if modifier:
        page.keyboard.up(modifier)
    page.wait_for_timeout(60)


def press(locator) -> None:
    """Click a button, also where another node lies over it."""
    locator.dispatch_event("click")
    locator.page.wait_for_timeout(100)


def slide(page, renderer: str, name: str, share: float) -> None:
    """Click a slider of the node at a share of its width."""
    if renderer == "canvas":
        place = page.evaluate(
            """([kind, name, share]) => {
              const node = app.graph._nodes.find((n) => n.comfyClass === kind)
              const widget = node.widgets.find((w) => w.name === name)
              const { scale, offset } = app.canvas.ds
              const box = app.canvas.canvas.getBoundingClientRect()
              const x = node.pos[0] + 15 + share * (node.size[0] - 30)
              const y = node.pos[1] + widget.y + 10
              return [box.left + (x + offset[0]) * scale, box.top + (y + offset[1]) * scale]
            }""",
            [GENERATE, name, share],
        )
        page.mouse.click(*place)
    else:
        label = page.evaluate(
            "([kind, name]) => app.graph._nodes.find((n) => n.comfyClass === kind).widgets"
            ".find((w) => w.name === name).label ?? name",
            [GENERATE, name],
        )
        row = page.locator(".lg-node", has=page.locator(".hifi-face")).locator(
            ".lg-node-widget", has=page.get_by_text(label, exact=True)
        )
        handle = row.locator("[role=slider]").first.bounding_box()
        track = row.locator("[data-slot=slider]").first.bounding_box()
        y = handle["y"] + handle["height"] / 2
        drag(page, (handle["x"] + handle["width"] / 2, y), (track["x"] + share * track["width"], y))
    page.wait_for_timeout(100)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_artists_path(renderer, person_host, browser, artifacts):
    host = person_host
    # Nodes whose results are still cached from the other renderer's run would not report again.
    host.post("/free", {"free_memory": True})
    with open_frontend(host, renderer) as page:
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.evaluate("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
        page.get_by_text("hifi-portrait").first.click()
        page.get_by_text(FIRST_PORTRAIT, exact=True).first.click()
        page.wait_for_selector(STAGE)
        page.wait_for_timeout(800)
        show_all(page)
        page.screenshot(path=artifacts / f"template-{renderer}.png")
        assert not page.locator("text=/missing node/i").count()

        # Front end 1.32 spreads the nodes of the first workflow that Nodes 2.0 opens (any pack's); it is
        # opened again for the rest.
        load_workflow(page, shipped(FIRST_PORTRAIT))
        show_node(page, GENERATE, 0.9)
        page.wait_for_timeout(300)
        before, shown = node_state(page), picture(page)

        # A slider by mouse changes the drawing at once.
        slide(page, renderer, "yaw", 0.25)
        turned = node_state(page)
        assert turned["values"]["yaw"] < before["values"]["yaw"] - 10
        assert picture(page) != shown

        # Dragging the face turns the head; Shift moves it; the wheel scales it; double-click resets it.
        box = page.locator(STAGE).bounding_box()
        centre = (box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
        cheek = (box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.85)
        drag(page, cheek, (cheek[0] + 60, cheek[1] - 20))
        dragged = node_state(page)["values"]
        assert dragged["yaw"] > turned["values"]["yaw"] + 15
        assert dragged["pitch"] > 5
        drag(page, cheek, (cheek[0] + 30, cheek[1]), "Shift")
        assert node_state(page)["values"]["position_x"] > 0.1
        page.mouse.move(*centre)
        page.mouse.wheel(0, -200)
        page.wait_for_timeout(100)
        assert node_state(page)["values"]["scale"] > dragged["scale"] * 1.1
        page.mouse.dblclick(*cheek)
        page.wait_for_timeout(100)
        reset = node_state(page)["values"]
        assert (reset["yaw"], reset["pitch"], reset["position_x"], reset["scale"]) == (0, 0, 0, 1)

        # Pulling a corner of the mouth down takes the smile away; a preset and a favourite.
        corner = page.evaluate(
            """() => {
              const face = document.querySelector('.hifi-face').face
              const canvas = document.querySelector('.hifi-stage canvas')
              const box = canvas.getBoundingClientRect()
              const zoom = box.width / canvas.clientWidth
              const p = face.view.projected
              return [box.left + p[3 * 54] * zoom, box.top + p[3 * 54 + 1] * zoom]
            }"""
        )
        drag(page, corner, (corner[0] - 3, corner[1] + 8))
        assert node_state(page)["values"]["smile"] < before["values"]["smile"] - 0.1
        press(page.get_by_role("button", name="Laugh"))
        laughing = node_state(page)["values"]
        assert laughing["smile"] > 0.5
        assert laughing["mouth_open"] > 0.2
        press(page.get_by_role("tab", name="Favourites"))
        press(page.get_by_role("button", name="Keep this pose"))
        assert len(node_state(page)["memory"]["favourites"]) == 1

        # Keyboard.
        page.locator(STAGE).focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert node_state(page)["values"]["yaw"] == 10
        # The label is written with the next frame.
        page.wait_for_function("(s) => document.querySelector(s).ariaLabel.includes('Turn 10')", arg=STAGE)

        # Only the sliders of one group are shown, and all go into the run.
        press(page.locator(".hifi-groups [data-group=mouth]"))
        page.wait_for_timeout(200)
        page.screenshot(path=artifacts / f"face-{renderer}.png")

        page.evaluate(
            "() => { app.graph._nodes.find((n) => n.type === 'KSampler').widgets"
            ".find((w) => w.name === 'steps').value = 2 }"
        )
        entry = run_in_page(page, host)
        after = node_state(page)
        assert len(after["memory"]["shape"]) > 10
        show_all(page)
        page.wait_for_timeout(500)
        page.screenshot(path=artifacts / f"run-{renderer}.png")
        if renderer == "canvas":
            assert after["previews"] == 1

        # The same graph as API format, without a browser, gives the same picture.
        prompt = page.evaluate("async () => (await app.graphToPrompt()).output")
        assert "hifi_face" not in prompt[ids(prompt, GENERATE)[0]]["inputs"]
        assert prompt[ids(prompt, GENERATE)[0]]["inputs"]["smile"] == laughing["smile"]
        saver = ids(prompt, "SaveImage")[0]
        shown_file = entry["outputs"][saver]["images"][0]
        path = host.base / shown_file["type"] / shown_file["subfolder"] / shown_file["filename"]
        host.post("/free", {"unload_models": False, "free_memory": True})
        again = host.run(json.loads(json.dumps(prompt))).images(saver)[0]
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(again)))

        # Reload: everything is as it was, the person's face included.
        page.locator(STAGE).focus()
        page.keyboard.press("ArrowLeft")
        after = node_state(page)
        page.wait_for_timeout(1200)
        page.reload()
        wait_until_ready(page)
        page.wait_for_selector(STAGE)
        page.wait_for_timeout(500)
        back = node_state(page)
        assert back["values"] == after["values"]
        assert back["memory"] == after["memory"]
        assert page.locator(".hifi-groups [aria-selected=true]").get_attribute("data-group") == "mouth"
        assert errors == []


@pytest.mark.parametrize("renderer", RENDERERS)
def test_saved_workflow_has_the_values_of_a_node_without_the_widget(renderer, person_host, browser):
    """Files saved with the face and without it are the same, so neither shifts the other's values."""
    with open_frontend(person_host, renderer) as page:
        load_workflow(page, shipped(FIRST_PORTRAIT))
        page.wait_for_selector(STAGE)
        saved = page.evaluate("() => app.graph.serialize()")
        mine = next(node for node in saved["nodes"] if node["type"] == GENERATE)
        original = next(node for node in shipped(FIRST_PORTRAIT)["nodes"] if node["type"] == GENERATE)
        assert mine["widgets_values"] == original["widgets_values"]


@pytest.mark.parametrize("renderer", RENDERERS)
def test_every_node_can_be_added(renderer, person_host, browser, artifacts):
    mine = [name for name in person_host.object_info() if name.startswith("HiFiPortrait")]
    with open_frontend(person_host, renderer) as page:
        made = page.evaluate(
            """(kinds) => {
              app.graph.clear()
              return kinds.map((kind, i) => {
                const node = LiteGraph.createNode(kind)
                if (!node) return kind
                node.pos = [(i % 5) * 460, Math.floor(i / 5) * 900]
                app.graph.add(node)
                return null
              }).filter(Boolean)
            }""",
            mine,
        )
        show_all(page)
        page.screenshot(path=artifacts / f"all-nodes-{renderer}.png")
        assert made == []

"""The face follows what others change, by events: values, colours, undo, language; in both renderers."""

import re

import pytest

from harness import ROOT
from harness.frontend import RENDERERS, load_workflow, open_frontend, show_node
from harness.workflows import FIRST_PORTRAIT, shipped

GENERATE = "HiFiPortraitGenerateLandmarks"
STAGE = ".hifi-stage canvas"
FRONT_END = re.compile(
    r"scripts/(app|api)\.js|\bapp\.|\bapi\.|extensionManager|LiteGraph|ComfyWidgets|addDOMWidget|"
    r"registerExtension|setDirtyCanvas|\.widgets\b|\.properties\b|\bcomputeSize\b|\bsetSize\b|"
    r"\bon(Configure|Executed|Removed|Serialize|DrawForeground)\b"
)


def test_one_module_calls_the_front_end_and_none_polls():
    """Another extension API of the front end costs ``web/src/host.js`` alone."""
    files = [ROOT / "web" / "hifi_portrait.js", *(ROOT / "web" / "src").glob("*.js")]
    sources = {path.name: path.read_text(encoding="utf-8") for path in files}
    assert [name for name, text in sources.items() if FRONT_END.search(text)] == ["host.js"]
    assert not [name for name, text in sources.items() if "setInterval" in text]


def picture(page) -> str:
    return page.evaluate("(stage) => document.querySelector(stage).toDataURL()", STAGE)


def wait_for_another(page, shown: str) -> str:
    """Wait until the face is drawn otherwise, then until it rests."""
    page.wait_for_function("([s, old]) => document.querySelector(s)?.toDataURL() !== old", arg=[STAGE, shown])
    page.wait_for_timeout(300)
    return picture(page)


def get_input(page, name: str) -> float:
    return page.evaluate(
        "([kind, name]) => app.graph._nodes.find((n) => n.comfyClass === kind)"
        ".widgets.find((w) => w.name === name).value",
        [GENERATE, name],
    )


def set_input(page, name: str, value: float, by_hand: bool) -> None:
    page.evaluate(
        """([kind, name, value, byHand]) => {
          const node = app.graph._nodes.find((n) => n.comfyClass === kind)
          const widget = node.widgets.find((w) => w.name === name)
          widget.value = value
          if (byHand) widget.callback?.(value)
        }""",
        [GENERATE, name, value, by_hand],
    )


@pytest.mark.browser
@pytest.mark.host
@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_face_follows(renderer, person_host, browser):
    with open_frontend(person_host, renderer) as page:
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        load_workflow(page, shipped(FIRST_PORTRAIT))
        page.wait_for_selector(STAGE)
        show_node(page, GENERATE, 0.9)
        page.wait_for_timeout(500)
        start, yaw, height = picture(page), get_input(page, "yaw"), get_input(page, "height")

        # Another extension sets a value, with the input's callback and without.
        set_input(page, "yaw", 40, by_hand=True)
        turned = wait_for_another(page, start)
        set_input(page, "yaw", yaw, by_hand=False)
        turned_back = wait_for_another(page, turned)
        assert turned_back == start
        set_input(page, "height", height * 2, by_hand=False)
        wide = wait_for_another(page, turned_back)

        # The artist undoes it: the front end loads the former graph.
        page.evaluate(
            """async ([kind, height]) => {
              const graph = app.graph.serialize()
              const node = app.graph._nodes.find((n) => n.comfyClass === kind)
              const names = node.widgets.filter((w) => w.serialize !== false).map((w) => w.name)
              graph.nodes.find((n) => n.type === kind).widgets_values[names.indexOf('height')] = height
              await app.loadGraphData(graph, false, false)
            }""",
            [GENERATE, height],
        )
        assert wait_for_another(page, wide)
        page.evaluate("() => document.querySelector('.hifi-face').face.set({ yaw: 20 })")
        assert get_input(page, "yaw") == 20, "what is shown controls the node that is there"

        # Light and dark.
        page.wait_for_timeout(300)
        dark = picture(page)
        page.evaluate("() => app.extensionManager.setting.set('Comfy.ColorPalette', 'light')")
        light = wait_for_another(page, dark)
        page.evaluate("() => app.extensionManager.setting.set('Comfy.ColorPalette', 'dark')")
        assert wait_for_another(page, light) == dark
        assert errors == []

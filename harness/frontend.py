"""The real front end in a real browser: open it, load a graph, look at nodes; the widget's modules alone."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import threading
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from . import ROOT
from .browser import open_page
from .host import Host

if TYPE_CHECKING:
    from playwright.sync_api import Page

RENDERERS = ("canvas", "nodes2")
"""LiteGraph's canvas, and Nodes 2.0 (Vue)."""

_SETTINGS: dict[str, Any] = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.Workflow.Persist": True,
}
_NODE = "HiFiPortraitGenerateLandmarks"


def set_renderer(host: Host, renderer: str, locale: str = "en") -> None:
    """Choose the renderer and the language in the host's settings, for pages opened from now on."""
    settings = {**_SETTINGS, "Comfy.VueNodes.Enabled": renderer == "nodes2", "Comfy.Locale": locale}
    host.post("/settings", settings)


@contextlib.contextmanager
def open_frontend(host: Host, renderer: str = "canvas", locale: str = "en") -> Iterator[Page]:
    """Open the front end and wait until the pack's nodes are there; page errors end up in ``page.errors``."""
    set_renderer(host, renderer, locale)
    with open_page(host.url) as page:
        wait_until_ready(page)
        yield page


def wait_until_ready(page: Page) -> None:
    """Wait until the front end has a graph and knows the pack's nodes."""
    page.wait_for_function(
        f"() => !!(window.app?.graph && window.LiteGraph?.registered_node_types?.{_NODE}"
        " && window.app.extensionManager?.workflow?.activeWorkflow)",
        timeout=60000,
    )


def load_workflow(page: Page, workflow: dict[str, Any]) -> None:
    """Open a workflow as if its file had been dropped onto the page, and bring all of it into view."""
    page.evaluate("async (workflow) => { await window.app.loadGraphData(workflow) }", workflow)
    show_all(page)


def show_all(page: Page, margin: int = 70) -> None:
    """Zoom so that the whole graph is in view."""
    page.evaluate(
        """(margin) => {
          const box = [1e9, 1e9, -1e9, -1e9]
          for (const node of app.graph._nodes) {
            const [x, y, w, h] = node.boundingRect ?? node.getBounding()
            box[0] = Math.min(box[0], x); box[1] = Math.min(box[1], y)
            box[2] = Math.max(box[2], x + w); box[3] = Math.max(box[3], y + h)
          }
          const canvas = app.canvas.canvas
          const ratio = window.devicePixelRatio || 1
          const scale = Math.min(
            (canvas.width / ratio - 2 * margin) / (box[2] - box[0]),
            (canvas.height / ratio - 2 * margin) / (box[3] - box[1]), 1.2)
          app.canvas.ds.scale = scale
          app.canvas.ds.offset = [margin / scale - box[0], margin / scale - box[1]]
          app.canvas.setDirty(true, true)
        }""",
        margin,
    )
    page.wait_for_timeout(400)


def show_node(page: Page, kind: str, scale: float = 1.0) -> None:
    """Zoom to the first node of a kind."""
    page.evaluate(
        """([kind, scale]) => {
          const node = app.graph._nodes.find((n) => n.comfyClass === kind)
          app.canvas.ds.scale = scale
          app.canvas.ds.offset = [330 / scale - node.pos[0], 120 / scale - node.pos[1]]
          app.canvas.setDirty(true, true)
        }""",
        [kind, scale],
    )
    page.wait_for_timeout(400)


def run_in_page(page: Page, host: Host, timeout: float = 120) -> dict[str, Any]:
    """Press Run's action, wait for the end, and return the host's history entry.

    Raises
    ------
    AssertionError
        The front end refused the graph, or a node failed.
    """
    before = set(host.get("/history"))
    page.evaluate("async () => { await app.queuePrompt(0, 1) }")
    for _ in range(int(timeout / 0.25)):
        new = [entry for key, entry in host.get("/history").items() if key not in before]
        if new and new[0]["status"]["completed"]:
            page.wait_for_timeout(500)
            return new[0]
        if new and new[0]["status"]["status_str"] == "error":
            raise AssertionError(json.dumps(new[0]["status"]["messages"][-1]))
        page.wait_for_timeout(250)
    raise AssertionError(f"not finished after {timeout} s: {page.evaluate('() => app.lastNodeErrors')}")


@contextlib.contextmanager
def modules_page() -> Iterator[Page]:
    """Open an empty page, without ComfyUI, that can import the widget's modules from ``/web/``."""
    handler = functools.partial(_Files, directory=str(ROOT))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with open_page(f"http://127.0.0.1:{server.server_port}/web/hifi_portrait.css", 800, 600) as page:
            yield page
    finally:
        server.shutdown()
        server.server_close()


class _Files(http.server.SimpleHTTPRequestHandler):
    # The registry of some Windows machines calls scripts text/plain, which browsers refuse as modules.
    extensions_map: ClassVar[dict[str, str]] = {  # type: ignore[misc]
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
    }

    def log_message(self, format: str, *args: Any) -> None:
        pass


PROJECT = """
async (cases) => {
  const { FaceModel } = await import('/web/src/face_model.js')
  const { SliderTable } = await import('/web/src/sliders.js')
  const { project, rotate, rotation } = await import('/web/src/camera.js')
  const model = await FaceModel.load()
  const table = await SliderTable.load(model.names)
  return cases.map(({ shape, values, width, height, base }) => {
    const expression = table.expression(values, base?.expression)
    const points = rotate(model.points(shape, expression), rotation(...table.pose(values, base)))
    const seen = project(points, table.placement(values, width, height, base))
    return { points: [...seen], expression: [...expression] }
  })
}
"""
"""JavaScript: landmarks of many cases, by the widget's modules."""


def projected_by_widget(page: Page, cases: list[dict[str, Any]]) -> list[dict[str, list[float]]]:
    """Return points (72 x 3, flat) and expression of each case, as the widget computes them."""
    return page.evaluate(PROJECT, cases)


def fetch_text(url: str) -> str:
    """Return the body of a GET request."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()

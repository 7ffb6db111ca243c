"""The person in the face widget: from a slider to the drawn head, with WebGL and without it.

Headless Chromium has no graphics card: its WebGL is SwiftShader, which computes on the processor, and the
widget draws on a canvas there, as on every machine without a graphics card. Both are measured.
"""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import numpy as np
from hifi_portrait.head.model import HeadModel
from hifi_portrait.head.widget import widget_file

from benchmarks.report import Figures, command_line, load_per_core
from benchmarks.widget import MOVE, STYLE, WIDGET
from harness.frontend import modules_page

MOVES = 240

MEASURE = f"""
async ({{ file, moves, gl }}) => {{
  const {{ FaceModel }} = await import('/web/src/face_model.js')
  const {{ FaceWidget }} = await import('/web/src/face_widget.js')
  const {{ HeadGl }} = await import('/web/src/head_gl.js')
  const {{ HeadMesh }} = await import('/web/src/head_mesh.js')
  const {{ readPerson }} = await import('/web/src/head_person.js')
  const {{ HeadRaster }} = await import('/web/src/head_raster.js')
  const {{ HeadView }} = await import('/web/src/head_view.js')
  const {{ SliderTable }} = await import('/web/src/sliders.js')
  {STYLE}
  const model = await FaceModel.load()
  const mesh = await HeadMesh.load()
  const renderer = gl ? HeadGl.create(mesh, true) : new HeadRaster(mesh)
  if (!renderer) return null
  const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0))
  const head = new HeadView(mesh, await readPerson(bytes.buffer), renderer)
  {WIDGET}
  widget.setHead(head)
  {MOVE}
  const info = gl && renderer.gl.getExtension('WEBGL_debug_renderer_info')
  return {{ times, device: info ? renderer.gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : 'canvas' }}
}}
"""


def _person() -> Any:
    """Return the mean head with a texture as busy as a photo's."""
    noise = np.random.default_rng(0).integers(60, 200, (512, 512, 3)).astype(np.uint8)
    opaque = np.full((512, 512), 255, np.uint8)
    return SimpleNamespace(geometry=HeadModel.load().mean, texture=noise, opacity=opaque)


def _figures(found: dict[str, Any]) -> dict[str, Any]:
    times = found["times"]
    device = "SwiftShader" if "SwiftShader" in found["device"] else found["device"]
    return {
        "drawn_by": device,
        "frame_ms_median": round(float(np.median(times)), 2),
        "frame_ms_p95": round(float(np.percentile(times, 95)), 2),
    }


def widget_frames(quick: bool = False) -> Figures:
    """Measure slider to drawn head in headless Chromium; ``quick``: 12 movements instead of 240."""
    file = base64.b64encode(widget_file(_person())).decode()
    found: dict[str, Any] = {}
    with modules_page() as page:
        for name, gl in (("webgl", True), ("canvas", False)):
            page.evaluate(MEASURE, {"file": file, "moves": 30, "gl": gl})
            measured = page.evaluate(MEASURE, {"file": file, "moves": 12 if quick else MOVES, "gl": gl})
            found[name] = None if measured is None else _figures(measured)
    hardware = found["webgl"] is not None and found["webgl"]["drawn_by"] != "SwiftShader"
    return {
        "widget_frame_ms_p95": found["webgl" if hardware else "canvas"]["frame_ms_p95"],
        **found,
        "load_per_core": load_per_core(),
    }


if __name__ == "__main__":
    command_line(widget_frames)

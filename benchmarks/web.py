"""The face widget: slider to drawn face, size of what a browser loads, and geometry against the server's."""

from __future__ import annotations

import os

import numpy as np

from benchmarks.report import Figures, command_line
from harness import ROOT
from harness.frontend import modules_page, projected_by_widget
from tests.web.cases import projected_by_server, random_cases

CASES = 400
MOVES = 240

MEASURE = """
async (moves) => {
  const { FaceModel } = await import('/web/src/face_model.js')
  const { FaceWidget } = await import('/web/src/face_widget.js')
  const { SliderTable } = await import('/web/src/sliders.js')
  if (!document.querySelector('link')) {
    // Without its style the picture grows with every drawing.
    const style = document.createElement('link')
    Object.assign(style, { rel: 'stylesheet', href: '/web/hifi_portrait.css' })
    const loaded = new Promise((done) => { style.onload = done })
    document.head.append(style)
    await loaded
  }
  const model = await FaceModel.load()
  const table = await SliderTable.load(model.names)
  const values = table.defaults('pose', 'placement', 'expression')
  const memory = { shape: [1, -0.5, 0.3] }
  const widget = new FaceWidget(model, table, {
    values: () => ({ ...values }), set: (changed) => Object.assign(values, changed),
    canvas: () => ({ width: 1024, height: 1024 }), showGroup: () => {}
  }, memory, (key) => key)
  widget.element.style.cssText = 'width: 420px; height: 520px'
  document.body.replaceChildren(widget.element)
  widget.refresh()
  const times = []
  const ids = table.sliders.map((s) => s.id)
  for (let i = 0; i < moves; i++) {
    await new Promise(requestAnimationFrame)
    const slider = table.byId.get(ids[i % ids.length])
    const before = performance.now()
    widget.set({ [slider.id]: slider.min + Math.random() * (slider.max - slider.min) })
    if (widget.frameAsked) await new Promise(requestAnimationFrame)
    // Reading a pixel back waits until the drawing is done.
    widget.canvas.getContext('2d').getImageData(10, 10, 1, 1)
    times.push(performance.now() - before)
    if (i % ids.length) continue
    Object.assign(values, table.defaults('pose', 'placement', 'expression'))
  }
  return times
}
"""


def bytes_of_web() -> int:
    """Return the bytes that a browser loads with ComfyUI: scripts, style and data, in English, not packed."""
    web = ROOT / "web"
    files = [*web.glob("*.js"), *web.glob("*.css"), *web.glob("src/*.js"), *web.glob("data/*.*")]
    return sum(file.stat().st_size for file in files)


def main(quick: bool = False) -> Figures:
    """Measure in headless Chromium; ``quick``: 8 faces instead of 400, 12 movements instead of 240."""
    cases = random_cases(8 if quick else CASES, seed=1)
    with modules_page() as page:
        seen = projected_by_widget(page, cases)
        page.evaluate(MEASURE, 40)
        times = page.evaluate(MEASURE, 12 if quick else MOVES)
    worst = max(
        float(np.abs(np.reshape(widget["points"], (72, 3)) - projected_by_server(case)[0]).max())
        for case, widget in zip(cases, seen, strict=True)
    )
    return {
        "bytes_of_web": bytes_of_web(),
        "projection_max_px": round(worst, 5),
        # Other work on the machine shows here; the load says whether to believe the rest.
        "load_per_core": round(os.getloadavg()[0] / (os.cpu_count() or 1), 1)
        if hasattr(os, "getloadavg")
        else None,
        "slider_to_paint_ms": {
            "fastest": round(float(np.min(times)), 2),
            "median": round(float(np.median(times)), 2),
            "p95": round(float(np.percentile(times, 95)), 2),
        },
    }


if __name__ == "__main__":
    command_line(main)

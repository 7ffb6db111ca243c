"""The face widget: slider to drawn face, size of what a browser loads, and geometry against the server's."""

from __future__ import annotations

import numpy as np

from benchmarks.report import Figures, command_line, load_per_core
from benchmarks.widget import MOVE, STYLE, WIDGET
from harness import ROOT
from harness.frontend import modules_page, projected_by_widget
from tests.web.cases import projected_by_server, random_cases

CASES = 400
MOVES = 240

MEASURE = f"""
async (moves) => {{
  const {{ FaceModel }} = await import('/web/src/face_model.js')
  const {{ FaceWidget }} = await import('/web/src/face_widget.js')
  const {{ SliderTable }} = await import('/web/src/sliders.js')
  {STYLE}
  const model = await FaceModel.load()
  {WIDGET}
  widget.refresh()
  {MOVE}
  return times
}}
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
        "load_per_core": load_per_core(),
        "slider_to_paint_ms": {
            "fastest": round(float(np.min(times)), 2),
            "median": round(float(np.median(times)), 2),
            "p95": round(float(np.percentile(times, 95)), 2),
        },
    }


if __name__ == "__main__":
    command_line(main)

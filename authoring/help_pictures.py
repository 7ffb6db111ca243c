"""Photographs of the nodes for their help pages, in the real front end."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from harness.frontend import open_frontend


def take_pictures(host: Any, kinds: Iterable[str], folder: Path) -> None:
    """Photograph nodes, a JPEG each."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_frontend(host) as page:
        page.set_viewport_size({"width": 900, "height": 1300})
        for kind in kinds:
            box = page.evaluate(
                """async (kind) => {
                  app.graph.clear()
                  const node = LiteGraph.createNode(kind)
                  node.pos = [0, 0]
                  app.graph.add(node)
                  node.setSize([Math.max(node.size[0], 330), node.size[1]])
                  app.canvas.deselectAll?.()
                  app.canvas.ds.scale = 1
                  app.canvas.ds.offset = [300, 160]
                  app.canvas.setDirty(true, true)
                  await new Promise((done) => setTimeout(done, 700))
                  const shown = app.canvas.canvas.getBoundingClientRect()
                  return [shown.left + 300, shown.top + 160, node.size[0], node.size[1]]
                }""",
                kind,
            )
            x, y, width, height = box
            raw = page.screenshot(
                clip={"x": x - 12, "y": y - 33, "width": width + 24, "height": min(height, 1090) + 45}
            )
            picture = Image.open(io.BytesIO(raw)).convert("RGB")
            picture.save(folder / f"{kind}.jpg", quality=80, optimize=True)

# ruff: noqa: E501 - tables of scenes
"""Draws the pack's own pictures with the widget's renderer: ``python -m authoring.pictures``.

Thumbnails of the templates, the icon and the banner. The three templates of the photographic head show renders
of README's first person; no photo of a real person is used elsewhere.
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from harness import ROOT
from harness.frontend import modules_page

from .person import person

RENDER = """
async ({ width, height, faces, shapes, texts, tint, person }) => {
  const { readPerson } = await import('/web/src/head_person.js')
  const { HeadView } = await import('/web/src/head_view.js')
  const { FaceModel } = await import('/web/src/face_model.js')
  const { FaceView } = await import('/web/src/face_view.js')
  const { SliderTable } = await import('/web/src/sliders.js')
  const { POSES, expressionOnly } = await import('/web/src/presets.js')
  const model = await FaceModel.load()
  const table = await SliderTable.load(model.names)
  const canvas = document.createElement('canvas')
  canvas.width = width; canvas.height = height
  const ctx = canvas.getContext('2d')
  const ground = ctx.createLinearGradient(0, 0, width, height)
  ground.addColorStop(0, tint[0]); ground.addColorStop(1, tint[1])
  ctx.fillStyle = ground
  ctx.fillRect(0, 0, width, height)
  const theme = { background: 'transparent', text: 'transparent', muted: '#fff', line: 'transparent', accent: '#fff' }
  const outlined = (over) => (shapes ?? []).filter((shape) => !!shape.over === over).forEach((shape) => {
    ctx.globalAlpha = shape.alpha ?? 1
    ctx.fillStyle = shape.fill ?? 'transparent'
    ctx.strokeStyle = shape.stroke ?? 'transparent'
    ctx.lineWidth = shape.line ?? 2
    ctx.beginPath()
    if (shape.path) { const p = new Path2D(shape.path); ctx.fill(p); ctx.stroke(p) }
    else { ctx.roundRect(shape.x, shape.y, shape.w, shape.h, shape.r ?? 0); ctx.fill(); ctx.stroke() }
    ctx.globalAlpha = 1
  })
  outlined(false)
  const bytes = person && Uint8Array.from(atob(person), (c) => c.charCodeAt(0))
  const head = bytes ? await HeadView.of(await readPerson(bytes.buffer)) : null
  for (const face of faces) {
    const view = new FaceView(model)
    const size = face.size
    const preset = table.presets.find((p) => p.id === face.preset)?.values ?? {}
    const values = { ...table.defaults('expression', 'pose', 'placement'), ...preset, ...face.values }
    const part = (style, clip) => {
      ctx.save()
      if (clip) { ctx.beginPath(); ctx.rect(...clip); ctx.clip() }
      view.draw(ctx, { x: face.x, y: face.y, width: size, height: size }, { width: 100, height: 100 }, {
        points: model.points(face.shape ?? [], table.expression(values)),
        expression: table.expression(values),
        pose: table.pose(values),
        placement: { cx: 50, cy: 42, scale: face.scale ?? 29 }
      }, theme, { style, head })
      ctx.restore()
    }
    if (face.style === 'half') {
      part(head ? 'photo' : 'clay', [face.x, face.y, size / 2, size])
      part('lines', [face.x + size / 2, face.y, size / 2, size])
    } else part(face.style ?? (head ? 'photo' : 'clay'))
  }
  outlined(true)
  for (const text of texts ?? []) {
    ctx.font = text.font ?? '600 30px system-ui, sans-serif'
    ctx.fillStyle = text.fill ?? '#fff'
    ctx.textAlign = text.align ?? 'left'
    ctx.fillText(text.text, text.x, text.y)
  }
  return canvas.toDataURL('image/png')
}
"""

BLUE, PLUM, GREEN, AMBER = (
    ("#2b3f5c", "#12161f"),
    ("#4a2f52", "#151019"),
    ("#264a43", "#0f1716"),
    ("#57432a", "#17130d"),
)
WITH_PERSON = {
    f"example_workflows/{name}.jpg" for name in ("photos-to-any-pose", "sdxl-head-guided", "skin-detail")
}
ANNA = [0.9, -0.7, 0.5, 1.1, -0.4]
OTTO = [-1.3, 1.0, -0.6, 0.4, 1.2]


def _label(text: str, size: int = 512) -> list[dict[str, Any]]:
    return [
        {"text": text, "x": 28, "y": size - 30, "font": "600 30px system-ui, sans-serif", "fill": "#ffffffd0"}
    ]


def _grid(names: list[str], columns: int, cell: int, top: int = 10, left: int = 10) -> list[dict[str, Any]]:
    return [
        {
            "x": left + (i % columns) * cell,
            "y": top + (i // columns) * cell,
            "size": cell,
            "preset": name,
            "shape": ANNA,
            "scale": 30,
        }
        for i, name in enumerate(names)
    ]


def scenes() -> dict[str, dict[str, Any]]:
    """Return what each picture shows, by file."""
    square = {"width": 512, "height": 512}
    nine = ["neutral", "smile", "laugh", "surprise", "anger", "sadness", "disgust", "wink", "sleep"]
    turned = [{"yaw": yaw, "smile": smile} for yaw, smile in ((-45, 0), (-15, 0.3), (15, 0.6), (45, 0.9))]
    head = {"shape": ANNA, "scale": 31}
    whole = {"scale": 21}
    arrow = {"stroke": "#ffffffb0", "line": 5}
    return {
        "example_workflows/first-portrait.jpg": {
            **square,
            "tint": BLUE,
            "faces": [
                {**head, "x": 36, "y": 4, "size": 440, "style": "both", "values": {"yaw": 20, "smile": 0.6}}
            ],
            "texts": _label("First portrait"),
        },
        "example_workflows/sdxl-warm-start.jpg": {
            **square,
            "tint": AMBER,
            "faces": [
                {**head, "x": 36, "y": 4, "size": 440, "values": {"yaw": -25, "pitch": 4, "smile": 0.35}}
            ],
            "texts": _label("SDXL portrait"),
        },
        "example_workflows/references-1-2-4.jpg": {
            **square,
            "tint": GREEN,
            "faces": [
                {**head, "x": 18, "y": 20 + 138 * row, "size": 130, "values": {"yaw": -30}, "style": style}
                for row, style in enumerate(("lines", "both", "clay"))
            ]
            + [{**head, "x": 160, "y": 70, "size": 330, "values": {"smile": 0.3}}],
            "texts": [
                *_label("1, 2 or 4 photos"),
                *[{"text": t, "x": 140, "y": 95 + 138 * i, "fill": "#ffffffb0"} for i, t in enumerate("124")],
            ],
        },
        "example_workflows/expression-sheet.jpg": {
            **square,
            "tint": PLUM,
            "faces": _grid(nine, 3, 150, 4, 31),
            "texts": _label("Expression sheet"),
        },
        "example_workflows/pose-from-photo.jpg": {
            **square,
            "tint": BLUE,
            "shapes": [{"path": "M232 210 h48 m-16 -16 l16 16 l-16 16", **arrow}],
            "faces": [
                {
                    "shape": OTTO,
                    "scale": 30,
                    "x": 8,
                    "y": 90,
                    "size": 230,
                    "style": "lines",
                    "preset": "laugh",
                    "values": {"yaw": 30, "roll": 8},
                },
                {**head, "x": 270, "y": 90, "size": 230, "preset": "laugh", "values": {"yaw": 30, "roll": 8}},
            ],
            "texts": _label("Pose from a photo"),
        },
        "example_workflows/two-people-with-masks.jpg": {
            **square,
            "tint": ("#1c2026", "#101215"),
            "shapes": [
                {"x": 20, "y": 40, "w": 230, "h": 380, "r": 18, "fill": "#3f789e", "alpha": 0.55},
                {"x": 262, "y": 40, "w": 230, "h": 380, "r": 18, "fill": "#a1309b", "alpha": 0.45},
            ],
            "faces": [
                {**head, "x": 5, "y": 80, "size": 260, "values": {"yaw": 25, "smile": 0.5}},
                {
                    "shape": OTTO,
                    "scale": 31,
                    "x": 247,
                    "y": 80,
                    "size": 260,
                    "values": {"yaw": -25, "smile": 0.3},
                },
            ],
            "texts": _label("Two people"),
        },
        "example_workflows/video-with-one-identity.jpg": {
            **square,
            "tint": GREEN,
            "shapes": [
                {"x": 0, "y": 70, "w": 512, "h": 330, "fill": "#0c0f0f"},
                *[
                    {"x": 14 + 42 * i, "y": y, "w": 22, "h": 16, "r": 4, "fill": "#ffffff40"}
                    for i in range(12)
                    for y in (80, 374)
                ],
            ],
            "faces": [
                {**head, "x": 6 + 125 * i, "y": 105 if i % 2 == 0 else 235, "size": 125, "values": values}
                for i, values in enumerate(turned)
            ]
            + [
                {
                    "shape": OTTO,
                    "scale": 31,
                    "style": "lines",
                    "x": 6 + 125 * i,
                    "y": 235 if i % 2 == 0 else 105,
                    "size": 125,
                    "values": values,
                }
                for i, values in enumerate(turned)
            ],
            "texts": _label("Video, one identity"),
        },
        "example_workflows/save-and-reuse-identity.jpg": {
            **square,
            "tint": PLUM,
            "shapes": [
                {
                    "x": 96,
                    "y": 34,
                    "w": 320,
                    "h": 390,
                    "r": 22,
                    "fill": "#ffffff14",
                    "stroke": "#ffffff50",
                    "line": 2,
                },
                {"x": 136, "y": 348, "w": 240, "h": 12, "r": 6, "fill": "#ffffff50"},
                {"x": 136, "y": 376, "w": 160, "h": 12, "r": 6, "fill": "#ffffff30"},
            ],
            "faces": [{**head, "x": 106, "y": 40, "size": 300, "values": {"smile": 0.25}}],
            "texts": _label("Keep an identity"),
        },
        "example_workflows/photos-to-any-pose.jpg": {
            **square,
            "tint": BLUE,
            "shapes": [
                *[
                    {"x": 26 + 96 * i, "y": 26 + 8 * (i % 2), "w": 84, "h": 104, "r": 6, "fill": "#ffffff22"}
                    for i in range(5)
                ],
                {"path": "M256 146 v34 m-14 -14 l14 14 l14 -14", **arrow},
            ],
            "faces": [
                {
                    **whole,
                    "x": 26 + 96 * i,
                    "y": 38 + 8 * (i % 2),
                    "size": 84,
                    "values": {"yaw": yaw, "smile": smile},
                }
                for i, (yaw, smile) in enumerate(((-12, 0.2), (4, 0), (25, 0.4), (-30, 0), (8, 0.7)))
            ]
            + [
                {**whole, "x": -14 + 162 * i, "y": 190 + 14 * abs(i - 1), "size": 220, "values": values}
                for i, values in enumerate(
                    ({"yaw": -40}, {"smile": 0.6, "mouth_open": 0.1}, {"yaw": 40, "pitch": 6})
                )
            ],
            "texts": _label("Photos to any pose"),
        },
        "example_workflows/sdxl-head-guided.jpg": {
            **square,
            "tint": AMBER,
            "shapes": [
                {"path": "M236 200 h40 m-14 -14 l14 14 l-14 14", **arrow},
                {"x": 276, "y": 50, "w": 220, "h": 320, "r": 14, "fill": "#ffffff18", "stroke": "#ffffff60"},
            ],
            "faces": [
                {**whole, "x": 6, "y": 90, "size": 230, "values": {"yaw": 20, "smile": 0.4}},
                {
                    **whole,
                    "x": 276,
                    "y": 95,
                    "size": 220,
                    "style": "half",
                    "values": {"yaw": 20, "smile": 0.4},
                },
            ],
            "texts": _label("SDXL, guided by the head"),
        },
        "example_workflows/skin-detail.jpg": {
            **square,
            "tint": GREEN,
            "shapes": [
                {
                    "path": "M316 120 a92 92 0 1 0 0.1 0 z M382 278 l52 58",
                    "stroke": "#ffffffc0",
                    "line": 7,
                    "over": True,
                }
            ],
            "faces": [{**whole, "x": 16, "y": -6, "size": 460, "values": {"yaw": -18, "smile": 0.2}}],
            "texts": _label("The person's own skin"),
        },
        "assets/icon.png": {
            "width": 400,
            "height": 400,
            "tint": ("#33507a", "#141a26"),
            "faces": [
                {
                    "shape": ANNA,
                    "scale": 34,
                    "x": -10,
                    "y": -2,
                    "size": 420,
                    "style": "half",
                    "values": {"smile": 0.35},
                }
            ],
        },
        "assets/banner.png": {
            "width": 1260,
            "height": 540,
            "tint": ("#33507a", "#11141c"),
            "faces": [
                {
                    "shape": ANNA,
                    "scale": 32,
                    "x": 560 + 215 * i + (0 if i != 1 else -18),
                    "y": 120 + 20 * abs(i - 1),
                    "size": 270 if i == 1 else 235,
                    "style": style,
                    "values": values,
                }
                for i, (style, values) in enumerate(
                    (
                        ("lines", {"yaw": -35, "smile": 0.2}),
                        ("half", {"smile": 0.6, "mouth_open": 0.1}),
                        ("clay", {"yaw": 35, "smile": 0.5}),
                    )
                )
            ],
            "texts": [
                {"text": "HiFi-Portrait", "x": 70, "y": 250, "font": "700 74px system-ui, sans-serif"},
                {
                    "text": "One person from several photos,",
                    "x": 72,
                    "y": 310,
                    "font": "400 30px system-ui, sans-serif",
                    "fill": "#ffffffc0",
                },
                {
                    "text": "posed by you. For ComfyUI.",
                    "x": 72,
                    "y": 350,
                    "font": "400 30px system-ui, sans-serif",
                    "fill": "#ffffffc0",
                },
            ],
        },
    }


def save(data_url: str, target: Path) -> None:
    """Write a picture of the page as PNG or JPEG."""
    picture = Image.open(io.BytesIO(base64.b64decode(data_url.split(",", 1)[1]))).convert("RGB")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".jpg":
        picture.save(target, quality=86, optimize=True)
    else:
        picture.save(target, optimize=True)


def main(names: list[str]) -> None:
    """Draw all pictures, or those named."""
    shown = person()
    with modules_page() as page:
        for name, scene in scenes().items():
            if names and name not in names:
                continue
            data = {**scene, "person": shown if name in WITH_PERSON else None}
            save(page.evaluate(RENDER, data), ROOT / name)


if __name__ == "__main__":
    main(sys.argv[1:])

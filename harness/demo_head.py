"""The head's part of the demo: one person of several photos, posed, and guiding the tiny model."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .host import Host, Outputs
from .workflows import Prompt, ids, prompt_of, with_inputs

TEMPLATE = "photos-to-any-pose"
LOAD = "HiFiPortraitLoadReferenceFaces"
GENERATE = "HiFiPortraitGenerateLandmarks"
YAWS = (-40, -20, 0, 20, 40)
EXPRESSIONS: dict[str, dict[str, float]] = {
    "smile": {"smile": 0.65, "eyes_squint": 0.15},
    "laugh": {"smile": 0.9, "mouth_open": 0.4, "show_teeth": 0.35, "eyes_squint": 0.4},
    "surprise": {"mouth_open": 0.5, "eyes_wide": 0.8, "brows_raise_inner": 0.8, "brows_raise_outer": 0.9},
    "closed eyes": {"eye_closed_left": 1.0, "eye_closed_right": 1.0},
    "kiss": {"pucker": 0.9},
}
NEUTRAL = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, "smile": 0.0}
WIDE = {"scale": 1.28, "position_y": -0.02}
"""Room for hair and shoulders; the tiny model wants the template's own, closer view."""
SIZE, CELL = 768, 300

Run = Callable[[Host, Prompt, str], Outputs]
Cells = list[tuple[Path, str]]


def head_pictures(
    host: Host, run: Run, output: Path, folders: Sequence[tuple[str, str]], everything: str
) -> None:
    """Write single renders of 768 px into ``output/head``, and two sheets of them into ``output``.

    Parameters
    ----------
    host, run
        ComfyUI, and what runs a prompt in it and tells how long it took.
    output
        Folder of the demo's pictures.
    folders
        Input folders with a growing number of photos, and what to call each.
    everything
        The input folder with all photos.
    """
    prompt = _from_folder(prompt_of(host, TEMPLATE), everything)
    rows: list[Cells] = [[], [], []]
    guided: Cells = []
    for yaw in YAWS:
        picture, _ = _posed(host, run, prompt, f"head turned by {yaw} degrees", **_turned(yaw), **WIDE)
        rows[0].append((_kept(picture, output / "head", f"yaw {yaw}"), f"{yaw} degrees"))
        _, small = _posed(host, run, prompt, f"tiny model, guided, {yaw} degrees", yaw=float(yaw))
        guided.append((_kept(small, output / "head", f"guided {yaw}"), f"tiny model, guided, {yaw} degrees"))
    for name, values in EXPRESSIONS.items():
        picture, _ = _posed(host, run, prompt, f"head, {name}", **{**WIDE, **_turned(12), **values})
        rows[1].append((_kept(picture, output / "head", name), name))
    for folder, label in folders:
        picture, _ = _posed(
            host,
            run,
            _from_folder(prompt, folder),
            f"head of {label}",
            **{**WIDE, **_turned(-25), "smile": 0.3},
        )
        rows[2].append((_kept(picture, output / "head", label), label))
    sheet(rows, output / "head.jpg")
    sheet([guided], output / "guided.jpg")


def _posed(host: Host, run: Run, prompt: Prompt, what: str, **values: float) -> tuple[Path, Path]:
    """Return the render and the tiny model's portrait."""
    changed = with_inputs(prompt, GENERATE, **{**NEUTRAL, **values})
    done = run(host, changed, what)
    pictures = [done.images(saver)[0] for saver in ids(changed, "SaveImage")]
    small, large = sorted(pictures, key=lambda path: Image.open(path).width)
    return large, small


def _turned(yaw: float) -> dict[str, float]:
    """Return a turn, with the head moved so that it stays in the middle of the picture."""
    return {"yaw": float(yaw), "position_x": round(0.28 * math.sin(math.radians(yaw)), 3)}


def _from_folder(prompt: Prompt, folder: str) -> Prompt:
    return with_inputs(prompt, LOAD, folder=folder)


def _kept(picture: Path, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name.replace(' ', '_')}{picture.suffix}"
    shutil.copyfile(picture, target)
    return target


def sheet(rows: list[Cells], target: Path, cell: int = CELL) -> None:
    """Lay pictures out in rows with their captions below, and save them as JPEG."""
    gap, caption = 6, 24
    width = max(len(row) for row in rows) * (cell + gap) + gap
    whole = Image.new("RGB", (width, len(rows) * (cell + caption + gap) + gap), (24, 24, 27))
    draw = ImageDraw.Draw(whole)
    font: Any = ImageFont.load_default(15)
    for i, row in enumerate(rows):
        left = (width - len(row) * (cell + gap) + gap) // 2
        for j, (path, text) in enumerate(row):
            x, y = left + j * (cell + gap), gap + i * (cell + caption + gap)
            with Image.open(path) as picture:
                scaled = picture.convert("RGB").resize((cell, cell), Image.Resampling.LANCZOS)
            whole.paste(scaled, (x, y))
            draw.text((x + cell / 2, y + cell + 3), text, font=font, fill=(212, 212, 216), anchor="ma")
    whole.save(target, quality=88, optimize=True)

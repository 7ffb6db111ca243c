"""The main job on real photos in a real ComfyUI: ``python dev.py demo``.

Five photos of one person become a head that turns and smiles, and portraits of the tiny model that it
guides; then the tiny model's own portraits: a contact sheet of the references, landmark drawings over a turn
of the head, and the portraits that follow them. All through the shipped workflows.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image, ImageDraw

from . import DEV, ROOT
from .demo_head import head_pictures
from .host import Host, HostError, Outputs, running_host
from .packages import photos
from .workflows import FIRST_PORTRAIT, Prompt, ids, prompt_of, with_inputs

OUTPUT = ROOT / "demo"
PERSON = ("obama", "obama2", "obama3", "obama_partial_face", "obama_partial_face2")
HELD_OUT = "obama3"
YAWS = (-30, -15, 0, 15, 30)
SMILES = (0.0, 0.5, 1.0)
REFERENCE_COUNTS = (1, 2, 3, 4)
CELL = 256

LOAD = "HiFiPortraitLoadReferenceFaces"
GENERATE = "HiFiPortraitGenerateLandmarks"


def main() -> int:
    """Run the demo; return the exit code."""
    started = time.monotonic()
    OUTPUT.mkdir(exist_ok=True)
    try:
        pictures = photos()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            print("Starting ComfyUI ...", flush=True)
            with running_host(Path(scratch), model_files=DEV / "models" / "hifi_portrait") as host:
                print(f"  ready after {time.monotonic() - started:.1f} s", flush=True)
                _give_photos(host, pictures)
                folders = [(f"first{n}", _references(n)) for n in REFERENCE_COUNTS]
                head_pictures(host, _run, OUTPUT, folders, "all")
                _portraits(host)
    except (HostError, OSError) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    print(f"Pictures are in {OUTPUT}; {time.monotonic() - started:.0f} s in all.")
    return 0


def _give_photos(host: Host, pictures: dict[str, Path]) -> None:
    """Make one input folder with all photos, and one for each number of references."""
    for name in PERSON:
        host.upload(pictures[name], f"all/{name}.jpg")
    others = [name for name in PERSON if name != HELD_OUT]
    for count in REFERENCE_COUNTS:
        for name in others[:count]:
            host.upload(pictures[name], f"first{count}/{name}.jpg")


def _references(count: int) -> str:
    return f"{count} photo{'s' if count > 1 else ''}"


def _portraits(host: Host) -> None:
    everything = _from_folder(prompt_of(host, FIRST_PORTRAIT), "all")
    done = _run(host, everything, "first portrait")
    _keep(done, "HiFiPortraitLoadReferenceFaces", everything, "references.png")

    rows, drawings = [], []
    for smile in SMILES:
        row = []
        for yaw in YAWS:
            prompt = with_inputs(everything, GENERATE, yaw=float(yaw), smile=smile)
            done = _run(host, prompt, f"turned by {yaw} degrees, smile {smile}")
            row.append((_portrait(done, prompt), f"yaw {yaw}, smile {smile}"))
            if smile == SMILES[0]:
                drawings.append((_preview(done, prompt, GENERATE), f"yaw {yaw}"))
        rows.append(row)
    _sheet([drawings], OUTPUT / "landmarks.png")
    _sheet(rows, OUTPUT / "portraits.png")

    row = []
    for count in REFERENCE_COUNTS:
        prompt = _from_folder(everything, f"first{count}")
        done = _run(host, prompt, _references(count))
        row.append((_portrait(done, prompt), _references(count)))
    _sheet([row], OUTPUT / "by_references.png")


def _from_folder(prompt: Prompt, folder: str) -> Prompt:
    """Let the workflow read the photos of an input folder instead of those it was saved with."""
    changed = with_inputs(prompt, LOAD, folder=folder)
    for node_id in ids(changed, LOAD):
        changed[node_id]["inputs"].pop("images", None)
    return changed


def _run(host: Host, prompt: Prompt, what: str) -> Outputs:
    done = host.run(prompt)
    slowest = max(done.node_seconds, key=lambda node_id: done.node_seconds[node_id], default=None)
    detail = ""
    if slowest is not None:
        detail = f" ({prompt[slowest]['class_type']} {done.node_seconds[slowest]:.2f} s)"
    print(f"  {what}: {done.seconds:.2f} s{detail}", flush=True)
    return done


def _preview(done: Outputs, prompt: Prompt, class_type: str) -> Path:
    return done.images(ids(prompt, class_type)[0])[0]


def _portrait(done: Outputs, prompt: Prompt) -> Path:
    return _preview(done, prompt, "SaveImage")


def _keep(done: Outputs, class_type: str, prompt: Prompt, name: str) -> None:
    shutil.copyfile(_preview(done, prompt, class_type), OUTPUT / name)


def _sheet(rows: list[list[tuple[Path, str]]], target: Path) -> None:
    """Lay pictures out in rows with their captions."""
    gap, caption = 8, 22
    width = max(len(row) for row in rows) * (CELL + gap) + gap
    height = len(rows) * (CELL + caption + gap) + gap
    sheet = Image.new("RGB", (width, height), (24, 24, 27))
    draw = ImageDraw.Draw(sheet)
    for i, row in enumerate(rows):
        for j, (path, text) in enumerate(row):
            x, y = gap + j * (CELL + gap), gap + i * (CELL + caption + gap)
            with Image.open(path) as picture:
                sheet.paste(picture.convert("RGB").resize((CELL, CELL), Image.Resampling.LANCZOS), (x, y))
            draw.text((x + 2, y + CELL + 4), text, fill=(212, 212, 216))
    sheet.save(target)


if __name__ == "__main__":
    sys.exit(main())

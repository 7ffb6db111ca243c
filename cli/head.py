"""Make a textured 3D head out of photos of one person and render it in other poses."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from ..head.records import Head

_LARGEST = 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    # argparse takes "-30,0,30" for an option; with this it is seen to be numbers.
    parser._negative_number_matcher = re.compile(r"^-[\d.,+-]+$")
    parser.add_argument("photos", type=Path, nargs="+", help="a folder of photos, or photos, of one person")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the pictures, head.safetensors and texture.png"
    )
    parser.add_argument(
        "--yaw", default="-30,-15,0,15,30", help="degrees, one picture each (-30,-15,0,15,30)"
    )
    parser.add_argument("--pitch", type=float, default=0.0, help="degrees, for all pictures")
    parser.add_argument("--smile", type=float, default=0.0, help="-1 to 1, for all pictures")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SLIDER=VALUE",
        help="another slider of Generate Landmarks, such as mouth_open=0.4; repeatable",
    )
    parser.add_argument(
        "--light", help="flat, or AZIMUTH,ELEVATION,SOFTNESS such as 60,20,0.3 (as the photos)"
    )
    parser.add_argument("--size", type=int, default=1024, help="width and height of the pictures, px (1024)")
    parser.add_argument("--texture", type=int, default=1024, help="side of the texture, px (1024)")
    parser.add_argument("--models", type=Path, help="folder of the face model files")
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")


def run(args: argparse.Namespace) -> int:
    """Write head, texture and pictures; print who gave how much and what is guessed."""
    from ..head.fuse import fuse_head
    from ..head.store import save_head

    yaws = _numbers("--yaw", args.yaw, None)
    light = _light(args.light)
    if not 64 <= args.size <= _LARGEST:
        raise ValueError(f"--size must be 64 to {_LARGEST} px, not {args.size}")
    head = fuse_head(_references(args.photos, args.models), args.texture)
    args.out.mkdir(parents=True, exist_ok=True)
    files = [save_head(head, args.out / "head.safetensors"), _write(args.out / "texture.png", head.texture)]
    for yaw in yaws:
        picture = _render(head, yaw, args, light)
        files.append(_write(args.out / f"yaw{yaw:+04.0f}.png", picture))
    if args.json:
        shares = dict(zip(head.sources, [round(share, 3) for share in head.shares], strict=True))
        result = {"files": [str(file) for file in files], "shares": shares, "notes": list(head.notes)}
        print(json.dumps(result, indent=2, sort_keys=True))
        return 0
    for source, share in zip(head.sources, head.shares, strict=True):
        print(f"  {source}: {100 * share:.0f} % of the texture")
    for note in head.notes:
        print(f"  {note}")
    for file in files:
        print(f"  {file}")
    return 0


def _references(photos: list[Path], models: Path | None):
    from ..faces.files import user_folder
    from ..faces.open_analyzer import OpenAnalyzer
    from ..faces.picture_files import PictureFile
    from ..faces.pictures import Picture, UnreadableImage, read_folder
    from ..faces.references import load_references
    from .packages import default_folder

    images: list[Picture | UnreadableImage] = []
    for path in photos:
        if path.is_dir():
            readable, unreadable = read_folder(path)
            images += [*readable, *unreadable]
        else:
            images.append(PictureFile(path))
    analyzer = OpenAnalyzer([models] if models else [default_folder(), user_folder()])
    return load_references(images, analyzer)


def _render(head: Head, yaw: float, args: argparse.Namespace, light: np.ndarray | None) -> np.ndarray:
    """(size, size, 4) uint8: the picture with its alpha."""
    import numpy as np

    from ..head.render import render_head
    from ..landmarks.model import FaceModel
    from ..landmarks.target import generate_for

    values = dict(_setting(text) for text in args.set)
    values |= {"yaw": yaw, "pitch": args.pitch, "smile": args.smile}
    landmarks = generate_for(FaceModel.load(), values, args.size, args.size, head.shape)
    output = render_head(head, landmarks, light=light)
    layers = np.dstack([output.picture[0].numpy(), output.alpha[0].numpy()])
    return (layers * 255 + 0.5).astype(np.uint8)


def _setting(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    return name.strip(), _numbers("--set", number, 1)[0]


def _light(text: str | None) -> np.ndarray | None:
    from ..head.light import flat_light, light_from

    if text is None:
        return None
    return flat_light() if text == "flat" else light_from(*_numbers("--light", text, 3))


def _numbers(option: str, text: str, count: int | None) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or (count is not None and len(values) != count) or not all(abs(v) <= 360 for v in values):
        wanted = "numbers" if count is None else f"{count} number{'s' if count > 1 else ''}"
        raise ValueError(f"{option} must be {wanted} with commas between, not {text[:40]!r}")
    return values


def _write(path: Path, picture: np.ndarray) -> Path:
    import cv2

    from ..boundary.files import written

    code = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    encoded = cv2.imencode(".png", cv2.cvtColor(picture, code))[1]
    with written(path) as part:
        part.write_bytes(encoded.tobytes())
    return path

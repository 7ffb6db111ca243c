"""Draw 3D face landmarks of a person in a wanted pose and expression."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..landmarks.landmarks import FaceLandmarks3D
    from ..landmarks.model import FaceModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "references",
        type=Path,
        nargs="*",
        help="photos of one person, whose face shape to use (average face)",
    )
    parser.add_argument("--out", type=Path, default=Path("landmarks.png"), help="the picture to write")
    parser.add_argument("--target", type=Path, help="a photo whose pose and expression to take over")
    parser.add_argument("--preset", help="an expression, such as smile; see --list")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SLIDER=VALUE",
        help="a slider, such as yaw=20; repeatable",
    )
    parser.add_argument("--sheet", action="store_true", help="all presets in one labelled picture")
    parser.add_argument("--sliders", action="store_true", help="every slider at -1, -0.5, 0, 0.5 and 1")
    parser.add_argument("--style", default="mesh72", help="mesh72 or kps5")
    parser.add_argument("--size", default="1024x1024", help="canvas, WIDTHxHEIGHT")
    parser.add_argument("--models", type=Path, help="folder of the face model files")
    parser.add_argument("--list", action="store_true", help="list sliders and presets, and do nothing else")
    parser.add_argument("--json", action="store_true", help="print points, pose and coefficients as JSON")


def run(args: argparse.Namespace) -> int:
    """Write the drawing; print what was limited."""
    from ..faces.pictures import write_image
    from ..landmarks.draw import draw
    from ..landmarks.model import FaceModel
    from ..landmarks.sequence import target_from_fits
    from ..landmarks.sheet import expression_batch, grid, slider_sheet
    from ..landmarks.sliders import SliderTable
    from ..landmarks.target import generate_for

    table = SliderTable.load()
    if args.list:
        for slider in table.sliders:
            print(f"  {slider.id:18} {slider.minimum:g} .. {slider.maximum:g}  {slider.tooltip}")
        print("  presets: " + ", ".join(preset.id for preset in table.presets))
        return 0
    model = FaceModel.load()
    width, height = _size(args.size)
    values = dict(table.preset(args.preset).values) if args.preset else {}
    values |= _values(args.set)
    table.checked(values)

    shape = target = None
    notes: tuple[str, ...] = ()
    if args.references or args.target:
        analyzer = _analyzer(args.models)
    if args.references:
        shape = _fit(args.references, analyzer, model)[0].shape
    if args.target:
        fits = _fit([args.target], analyzer, model)
        target, notes = target_from_fits(fits, [(1, 1)])
    if args.sliders:
        landmarks = generate_for(model, {}, width, height, shape)
        picture = slider_sheet(model, shape)
    elif args.sheet:
        landmarks, labels = expression_batch(model, [], width, height, shape, head=values)
        picture = grid(draw(landmarks, args.style), labels)
    else:
        landmarks = generate_for(model, values, width, height, shape, target)
        picture = draw(landmarks, args.style)[0]

    write_image(args.out, picture)
    if args.json:
        faces = _as_json(landmarks, model)
        print(json.dumps({"faces": faces, "notes": [*notes, *landmarks.notes]}, indent=1, sort_keys=True))
        return 0
    for note in (*notes, *landmarks.notes):
        print(f"  {note}")
    print(f"  {args.out}: {picture.shape[1]} x {picture.shape[0]} px")
    return 0


def _as_json(landmarks: FaceLandmarks3D, model: FaceModel) -> list[dict[str, Any]]:
    return [
        {
            "points": landmarks.points[row].round(2).tolist(),
            "visible": landmarks.visible[row].tolist(),
            "pose": dict(zip(("yaw", "pitch", "roll"), landmarks.pose[row].round(2).tolist(), strict=True)),
            "expression": {
                name: round(float(value), 3)
                for name, value in zip(model.expression_names, landmarks.expression[row], strict=True)
                if value > 0
            },
        }
        for row in range(len(landmarks))
    ]


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise ValueError(f"--size must be WIDTHxHEIGHT, such as 1024x1024, not {text!r}") from None
    return width, height


def _values(pairs: list[str]) -> dict[str, float]:
    values = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        try:
            values[name.strip()] = float(number)
        except ValueError:
            raise ValueError(f"--set must be SLIDER=VALUE, such as yaw=20, not {pair!r}") from None
    return values


def _analyzer(models: Path | None):
    from ..faces.files import user_folder
    from ..faces.open_analyzer import OpenAnalyzer
    from .packages import default_folder

    return OpenAnalyzer([models] if models else [default_folder(), user_folder()])


def _fit(paths: list[Path], analyzer, model):
    from ..faces.pictures import read_image
    from ..landmarks.fit import fit_faces

    points = []
    for path in paths:
        faces = analyzer.analyze(read_image(path), path.name)
        if not faces:
            raise ValueError(f"{path.name}: no face found; use a picture that shows a face larger than 24 px")
        points.append(faces[0].landmarks)
    return fit_faces(points, None, model)

"""Write ``docs/landmarks.md``: points, sliders, and which ARKit expression acts on which points.

Usage: ``python -m hifi_portrait.tools.document_face`` (a test holds the page to the data).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from ..boundary.files import written
from ..landmarks import names
from ..landmarks.camera import CAMERA_DISTANCE
from ..landmarks.model import OBSERVABLE, FaceModel
from ..landmarks.sliders import SliderTable

PAGE = Path(__file__).resolve().parent.parent / "docs" / "landmarks.md"


def page() -> str:
    """Return the page as Markdown."""
    model, table = FaceModel.load(), SliderTable.load()
    lines = [
        "# The 3D face and its sliders",
        "",
        "Written by `python -m hifi_portrait.tools.document_face`; do not edit by hand.",
        "",
        f"`web/data/face72.safetensors`: {names.POINT_COUNT} points, {model.components} identity components, "
        f"{len(model.expression_names)} ARKit expressions, {len(model.triangles)} triangles. "
        f"{model.provenance}",
        "",
        "Points 0-67 are iBUG's; 68 and 69 the pupils (subject's right, left), 70 the glabella, 71 "
        "the upper forehead "
        "(ours: the paper's sister publication draws 72 points and does not publish the last four).",
        "",
        f"Camera: {CAMERA_DISTANCE:g} interocular distances (IOD) away. Coordinates, angles and signs: "
        "[architecture](architecture.md).",
        "",
        "## Sliders",
        "",
        "From -1 to 1 unless stated. Above 0 a slider adds the ARKit coefficients of its second "
        "column; below 0 it "
        "takes them from what a target photo shows, and the rest goes to the third column.",
        "",
        "| slider | above 0 | below 0 |",
        "|---|---|---|",
    ]
    for slider in table.sliders:
        if slider.kind != "expression":
            text = slider.tooltip
            lines.append(f"| `{slider.id}` ({slider.minimum:g} to {slider.maximum:g}) | {text} | |")
        else:
            lines.append(f"| `{slider.id}` | {_gains(slider.positive)} | {_gains(slider.negative)} |")
    lines += ["", "Limits of anatomy, in this order; what was limited is said in the node's preview:", ""]
    for rule in table.limits:
        how = {
            "opposites": "the smaller is taken from both",
            "sum": f"together at most {rule.get('max', 1):g}",
            "at_most": "the first no more than the second",
        }[rule["type"]]
        pairs = ", ".join(f"{a} / {b}" for a, b in rule["pairs"])
        lines.append(f"- {rule['note']} ({how}): {pairs}")
    lines += [
        "",
        "## ARKit expressions and the points they move",
        "",
        "Reach is the largest displacement of a point at 1, in % of the IOD. Below "
        f"{100 * OBSERVABLE:g} % an expression "
        "is not observable at the points: the fit leaves it at 0 (the gaze too, where no pupils are given).",
        "",
        "| expression | reach | acts on |",
        "|---|---|---|",
    ]
    lines += [_expression_row(model, row) for row in range(len(model.expression_names))]
    return "\n".join(lines) + "\n"


def _expression_row(model: FaceModel, row: int) -> str:
    name = model.expression_names[row]
    reach = 100 * float(np.linalg.norm(model.expression[row], axis=1).max())
    moved = set(model.acts_on(name))
    groups = [group.replace("_", " ") for group, points in names.GROUPS.items() if moved & set(points)]
    seen = "" if name in model.observable else " (not observable)"
    return f"| {name}{seen} | {reach:.0f} | {', '.join(groups) or '-'} |"


def _gains(gains: dict[str, float]) -> str:
    return ", ".join(name if gain == 1 else f"{gain:g} {name}" for name, gain in gains.items())


def main(argv: list[str] | None = None) -> int:
    """Write the page; see the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=PAGE, help="Markdown file to write")
    args = parser.parse_args(argv)
    with written(args.out) as part:
        part.write_text(page(), encoding="utf-8")
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

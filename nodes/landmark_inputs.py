"""Inputs and outputs that several landmark nodes share."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..landmarks.draw import STYLES
from ..landmarks.sliders import SliderTable
from ..patching.host import advanced
from .landmark_targets import PLACES, TARGET_PICKS
from .types import FaceLandmarks3D, Identity, ReferenceFaces

_STYLE_TOOLTIP = (
    "How the landmarks are drawn: mesh72 is this pack's coloured contours; kps5 is InstantID's five points "
    "and sticks."
)


def canvas_inputs() -> list[Any]:
    """Width and height of the canvas."""
    return [
        io.Int.Input(
            name,
            default=1024,
            min=64,
            max=8192,
            step=8,
            tooltip=f"{name.capitalize()} of the canvas in pixels: use the {name} of the picture you "
            "generate.",
        )
        for name in ("width", "height")
    ]


def style_input() -> Any:
    """Drawing style."""
    return io.Combo.Input("style", options=list(STYLES), default="mesh72", tooltip=_STYLE_TOOLTIP)


def slider_inputs() -> list[Any]:
    """One number input for each slider of the table, in its order and under its ids."""
    return [
        io.Float.Input(
            slider.id,
            display_name=slider.label,
            optional=True,
            default=slider.default,
            min=slider.minimum,
            max=slider.maximum,
            step=slider.step,
            round=0.001,
            display_mode=io.NumberDisplay.slider,
            tooltip=slider.tooltip,
        )
        for slider in SliderTable.load().sliders
    ]


def pick_inputs() -> list[Any]:
    """Which face of a target picture with several people."""
    return [
        advanced(
            io.Combo.Input(
                "target_pick",
                optional=True,
                options=list(TARGET_PICKS),
                default=TARGET_PICKS[0],
                tooltip="Which face of a target picture with several people.",
            )
        ),
        advanced(
            io.Int.Input(
                "target_index",
                optional=True,
                default=0,
                min=-64,
                max=64,
                tooltip="For picking by index: 0 is the leftmost face, 1 the next, -1 the rightmost.",
            )
        ),
    ]


def person_inputs() -> list[Any]:
    """Whose face shape."""
    return [
        Identity.Input(
            "identity",
            optional=True,
            tooltip="Whose face shape to use. Without it: the references', or an average face.",
        ),
        ReferenceFaces.Input(
            "references",
            optional=True,
            tooltip="Whose face shape to use where no identity is connected: photos of one person, "
            "fitted together.",
        ),
    ]


def place_input() -> Any:
    """Where the face goes on the canvas."""
    return io.Combo.Input(
        "target_place",
        optional=True,
        options=list(PLACES),
        default=PLACES[0],
        tooltip="canvas: the face goes to the middle of the canvas. as in the target: it keeps the "
        "place and size that "
        "it has in the target picture. The sliders for place and size move it from there.",
    )


def landmark_outputs() -> list[Any]:
    """Return the three outputs that `result` fills."""
    return [
        FaceLandmarks3D.Output(
            display_name="landmarks", tooltip="For Apply HiFi-Net and the other landmark nodes."
        ),
        io.Image.Output(
            display_name="drawing", tooltip="The landmarks as a picture, as the network sees them."
        ),
        io.String.Output(display_name="notes", tooltip="What was limited or assumed, one sentence a line."),
    ]

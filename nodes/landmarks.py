"""Nodes that make, combine and draw 3D face landmarks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io, ui

from ..landmarks.draw import STYLES, draw
from ..landmarks.landmarks import FaceLandmarks3D as Landmarks
from ..landmarks.model import FaceModel
from ..landmarks.sliders import SliderTable
from ..landmarks.target import Target, generate_for
from .types import CATEGORY, FaceLandmarks3D, Identity

_STYLE_TOOLTIP = "How the landmarks are drawn: mesh72 is this pack's coloured contours; kps5 is InstantID's five points and sticks."


def advanced(widget: Any) -> Any:
    """Mark an input as advanced, so that front ends that can fold such inputs do."""
    if hasattr(widget, "advanced"):
        widget.advanced = True
    else:
        widget.extra_dict = {**widget.extra_dict, "advanced": True}
    return widget


def canvas_inputs() -> list[Any]:
    """Width and height of the canvas."""
    return [
        io.Int.Input(
            name,
            default=1024,
            min=64,
            max=8192,
            step=8,
            tooltip=f"{name.capitalize()} of the canvas in pixels: use the {name} of the picture you generate.",
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


def drawing(landmarks: Landmarks, style: str) -> torch.Tensor:
    """Draw landmarks as ComfyUI's IMAGE: (B, H, W, 3) float32 in 0..1."""
    return torch.from_numpy(draw(landmarks, style).astype(np.float32) / 255.0)


def for_widget(shape: np.ndarray | None, target: Target | None = None) -> dict[str, Any]:
    """Tell the face widget what to show from now on: the person's shape, and what the sliders add to.

    Parameters
    ----------
    shape : np.ndarray | None
        (K,) identity shape; None where the face is the average one.
    target : Target | None
        What lies below the sliders (a target photo, the references' own expression); its first row is shown.
    """

    def rounded(values: Any) -> list[float]:
        return [round(float(v), 4) for v in np.ravel(values)]

    base: dict[str, Any] | None = None
    if target is not None:
        base = {"pose": rounded(target.pose[0]), "expression": rounded(target.expression[0])}
        if target.position is not None:
            base["position"] = rounded(target.position[0])
        if target.scale is not None:
            base["scale"] = round(float(target.scale[0]), 4)
    return {"shape": None if shape is None else rounded(shape), "base": base}


def result(
    landmarks: Landmarks, style: str, cls: type[io.ComfyNode], widget: dict[str, Any] | None = None
) -> io.NodeOutput:
    """Landmarks, drawing and notes as outputs, with the drawing and the notes as the node's preview.

    ``widget`` (see `for_widget`) goes to the face widget of the front end.
    """
    picture = drawing(landmarks, style)
    notes = "\n".join(landmarks.notes)
    shown: dict[str, Any] = ui.PreviewImage(picture, cls=cls).as_dict()
    if notes:
        shown["text"] = (notes,)
    if widget is not None:
        shown["hifi_landmarks"] = (widget,)
    return io.NodeOutput(landmarks, picture, notes, ui=shown)


def landmark_outputs() -> list[Any]:
    """The three outputs that `result` fills."""
    return [
        FaceLandmarks3D.Output(
            display_name="landmarks", tooltip="For Apply HiFi-Net and the other landmark nodes."
        ),
        io.Image.Output(
            display_name="drawing", tooltip="The landmarks as a picture, as the network sees them."
        ),
        io.String.Output(display_name="notes", tooltip="What was limited or assumed, one sentence a line."),
    ]


def parse_arkit(text: str, model: FaceModel) -> dict[str, float]:
    """Read ``{"jawOpen": 0.4, ...}``; an empty text is nothing; errors name the input."""
    if not text.strip():
        return {}
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f'arkit_json is not JSON ({error}); write it like {{"jawOpen": 0.4}}') from error
    if not isinstance(data, dict):
        raise ValueError('arkit_json must be an object of names and numbers, like {"jawOpen": 0.4}')
    values = {}
    for name, value in data.items():
        if name not in model.expression_index:
            raise ValueError(
                f"arkit_json: '{name}' is not an ARKit expression; names look like jawOpen, eyeBlinkLeft"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise ValueError(f"arkit_json: '{name}' must be a number from 0 to 1, got {value!r}")
        values[name] = float(value)
    return values


class GenerateLandmarks(io.ComfyNode):
    """A person's face in a wanted pose and expression."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitGenerateLandmarks",
            display_name="Generate Landmarks",
            category=CATEGORY,
            description=(
                "Make 3D face landmarks that carry the face shape of your references and the pose and expression you "
                "ask for with the sliders. Without an identity it is an average face."
            ),
            inputs=[
                Identity.Input(
                    "identity", optional=True, tooltip="Whose face shape to use. Without it: an average face."
                ),
                *canvas_inputs(),
                style_input(),
                *slider_inputs(),
                advanced(
                    io.String.Input(
                        "arkit_json",
                        optional=True,
                        multiline=True,
                        default="",
                        placeholder='{"jawOpen": 0.4}',
                        tooltip="Raw ARKit coefficients as JSON, from 0 to 1. They replace what the sliders say for these names.",
                    )
                ),
            ],
            outputs=landmark_outputs(),
        )

    @classmethod
    def execute(
        cls,
        width: int,
        height: int,
        style: str,
        identity: Any = None,
        arkit_json: str = "",
        **values: float,
    ) -> io.NodeOutput:
        """Generate and draw."""
        model = FaceModel.load()
        shape = None if identity is None else identity.shape
        landmarks = generate_for(
            model, values, width, height, shape=shape, raw_expression=parse_arkit(arkit_json, model)
        )
        return result(landmarks, style, cls, for_widget(shape))


NODES: list[type[io.ComfyNode]] = [GenerateLandmarks]

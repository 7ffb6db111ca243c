"""Nodes that make many faces of landmarks at once: frames, in-betweens, expressions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from comfy.utils import ProgressBar
from comfy_api.latest import io

from ..boundary.files import stamp
from ..landmarks.capture import read_capture
from ..landmarks.landmarks import FaceLandmarks3D as Landmarks
from ..landmarks.landmarks import concatenate
from ..landmarks.model import FaceModel
from ..landmarks.sequence import EASINGS, interpolate, smooth
from ..landmarks.sheet import expression_batch, grid
from ..landmarks.sliders import SliderTable
from ..landmarks.target import Target, generate_for
from ..patching.host import advanced
from .landmark_inputs import (
    canvas_inputs,
    landmark_outputs,
    person_inputs,
    pick_inputs,
    place_input,
    slider_inputs,
    style_input,
)
from .landmark_results import drawing, preview, require_room, result, with_notes
from .landmark_targets import PLACES, TARGET_PICKS, shape_and_expression, target_from_image
from .paths import inside_input
from .pictures import to_image
from .types import CATEGORY, FaceAnalyzer, FaceLandmarks3D

_PART = 128
"""Frames that are generated at a stretch."""


class LandmarkSequence(io.ComfyNode):
    """Frames or face capture as a batch of landmarks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitLandmarkSequence",
            display_name="Landmark Sequence",
            category=CATEGORY,
            description=(
                "Let a video or a face capture move a person's face: one face of landmarks for every "
                "frame, smoothed "
                "over time. Use a latent batch of the same length."
            ),
            inputs=[
                *person_inputs(),
                *canvas_inputs(),
                style_input(),
                io.Image.Input(
                    "frames",
                    optional=True,
                    tooltip="Frames of a video that shows one person. Needs the analyzer.",
                ),
                FaceAnalyzer.Input(
                    "analyzer",
                    optional=True,
                    tooltip="From Load Face Analyzer: finds the face in the frames.",
                ),
                io.String.Input(
                    "capture_file",
                    optional=True,
                    default="",
                    placeholder="capture.csv",
                    tooltip="Instead of frames: a Live Link Face CSV or ARKit JSON file inside ComfyUI's "
                    "input folder.",
                ),
                io.Float.Input(
                    "smoothing",
                    default=0.3,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="Smooths the movement over time, without delay: 0 not at all, 1 strongly.",
                ),
                io.Float.Input(
                    "expression_strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="1 keeps the expressions, less calms them, more exaggerates them.",
                ),
                io.Float.Input(
                    "head_rotation",
                    default=1.0,
                    min=-1.0,
                    max=1.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How much of the head's rotation to take over: 1 all, 0 none, below 0 "
                    "the opposite way.",
                ),
                place_input(),
                *pick_inputs(),
                advanced(
                    io.Int.Input(
                        "every",
                        optional=True,
                        default=1,
                        min=1,
                        max=240,
                        tooltip="Use every n-th frame: a capture at 60 frames a second and n = 5 "
                        "gives 12 a second.",
                    )
                ),
                advanced(
                    io.Int.Input(
                        "max_frames",
                        optional=True,
                        default=0,
                        min=0,
                        max=4096,
                        tooltip="Stop after so many frames; 0 uses all.",
                    )
                ),
            ],
            outputs=landmark_outputs(),
        )

    @classmethod
    def fingerprint_inputs(cls, capture_file: str = "", **kwargs: Any) -> str:
        """Run again when the capture file changes."""
        path = inside_input(capture_file, "capture_file") if capture_file and capture_file.strip() else None
        if path is None or not path.is_file():
            return ""
        return repr(stamp(path))

    @classmethod
    def execute(
        cls,
        width: int,
        height: int,
        style: str,
        smoothing: float,
        expression_strength: float,
        head_rotation: float,
        target_place: str = PLACES[0],
        target_pick: str = TARGET_PICKS[0],
        target_index: int = 0,
        every: int = 1,
        max_frames: int = 0,
        identity: Any = None,
        references: Any = None,
        frames: torch.Tensor | None = None,
        analyzer: Any = None,
        capture_file: str = "",
    ) -> io.NodeOutput:
        """Read, smooth, generate and draw."""
        model = FaceModel.load()
        capture = capture_file.strip()
        if (frames is None) == (not capture):
            raise ValueError(
                "Landmark Sequence needs either frames or a capture_file, not both and not neither"
            )
        stop = max_frames * every if max_frames else None
        target: Target
        if frames is not None:
            used = frames[:stop:every]
            target, notes = target_from_image(used, analyzer, target_pick, target_index, target_place, model)
        else:
            target, notes = read_capture(inside_input(capture, "capture_file"), model)
            target = replace(target, pose=target.pose[:stop:every], expression=target.expression[:stop:every])
        require_room(len(target.pose), width, height)
        target = smooth(target, smoothing)
        target = replace(
            target, pose=target.pose * head_rotation, expression=target.expression * expression_strength
        )
        shape, _ = shape_and_expression(identity, references, model)
        landmarks = _in_parts(model, target, width, height, shape)
        return result(with_notes(landmarks, notes), style, cls)


def _in_parts(
    model: FaceModel, target: Target, width: int, height: int, shape: np.ndarray | None
) -> Landmarks:
    """Generate a sequence part by part: between them it can be interrupted."""
    count = len(target.pose)
    bar = ProgressBar(count)
    parts = []
    for start in range(0, count, _PART):
        rows = slice(start, min(start + _PART, count))
        part = target[rows]
        parts.append(generate_for(model, {}, width, height, shape=shape, target=part))
        bar.update_absolute(rows.stop, count)
    notes = dict.fromkeys(note for part in parts for note in part.notes)
    return replace(concatenate(parts), notes=tuple(notes))


class InterpolateLandmarks(io.ComfyNode):
    """A way from one face to another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitInterpolateLandmarks",
            display_name="Interpolate Landmarks",
            category=CATEGORY,
            description=(
                "Make the faces between two: pose, expression, place and size change evenly from the "
                "first to the "
                "last. Use a latent batch of the same length."
            ),
            inputs=[
                FaceLandmarks3D.Input("first", tooltip="Where to start (the last face of a batch)."),
                FaceLandmarks3D.Input("last", tooltip="Where to end (the first face of a batch)."),
                io.Int.Input(
                    "count", default=8, min=2, max=1024, tooltip="How many faces, both ends included."
                ),
                io.Combo.Input(
                    "easing",
                    options=list(EASINGS),
                    default=EASINGS[1],
                    tooltip="How the movement starts and stops.",
                ),
                style_input(),
            ],
            outputs=landmark_outputs(),
        )

    @classmethod
    def execute(cls, first: Landmarks, last: Landmarks, count: int, easing: str, style: str) -> io.NodeOutput:
        """Interpolate and draw."""
        require_room(count, first.width, first.height)
        return result(interpolate(first, last, count, FaceModel.load(), easing), style, cls)


class ExpressionSheet(io.ComfyNode):
    """One person in a row of expressions."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        presets = ", ".join(preset.id for preset in SliderTable.load().presets)
        head = [s for s in slider_inputs() if s.id in ("yaw", "pitch", "roll", "scale")]
        return io.Schema(
            node_id="HiFiPortraitExpressionSheet",
            display_name="Expression Sheet",
            category=CATEGORY,
            description=(
                "Make a batch of landmarks that shows one person in several expressions, for a "
                "character sheet. "
                "Use a latent batch of the same length."
            ),
            inputs=[
                *person_inputs(),
                *canvas_inputs(),
                style_input(),
                io.String.Input(
                    "presets",
                    default="neutral, smile, laugh, surprise, anger, sadness, disgust, wink, sleep",
                    tooltip=f"Expressions, separated by commas; empty uses all. Known: {presets}.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.5,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="1 shows the expressions as they are, less calms them, more exaggerates them.",
                ),
                *head,
            ],
            outputs=[
                *landmark_outputs(),
                io.Image.Output(display_name="sheet", tooltip="All of them in one labelled picture."),
            ],
        )

    @classmethod
    def execute(
        cls,
        width: int,
        height: int,
        style: str,
        presets: str,
        strength: float,
        identity: Any = None,
        references: Any = None,
        **head: float,
    ) -> io.NodeOutput:
        """Generate and lay out."""
        model = FaceModel.load()
        names = [name.strip() for name in presets.replace(";", ",").split(",") if name.strip()]
        shape, _ = shape_and_expression(identity, references, model)
        landmarks, labels = expression_batch(model, names, width, height, shape, strength, head)
        image = drawing(landmarks, style)
        pictures = (image * 255).round().to(torch.uint8).numpy()
        sheet = to_image(grid(pictures, labels))
        text = "\n".join(landmarks.notes)
        shown = preview(sheet, landmarks.notes, cls)
        return io.NodeOutput(landmarks, image, text, sheet, ui=shown)

"""Nodes that make and draw one person's 3D face landmarks; batches of them are in `landmark_batches`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io, ui

from ..landmarks.capture import coefficients_from_json
from ..landmarks.landmarks import FaceLandmarks3D as Landmarks
from ..landmarks.landmarks import concatenate
from ..landmarks.model import FaceModel
from ..landmarks.sequence import fit_sequence
from ..landmarks.target import Target, generate_for
from ..landmarks.visibility import visible_points
from ..patching.host import advanced
from .landmark_batches import ExpressionSheet, InterpolateLandmarks, LandmarkSequence
from .landmark_inputs import (
    canvas_inputs,
    landmark_outputs,
    person_inputs,
    pick_inputs,
    place_input,
    slider_inputs,
    style_input,
)
from .landmark_results import drawing, for_widget, preview, result, with_notes
from .landmark_targets import (
    PLACES,
    TARGET_PICKS,
    TargetInputs,
    choose_target,
    find_faces,
    shape_and_expression,
)
from .types import CATEGORY, FaceAnalyzer, FaceLandmarks3D, Head, ReferenceFaces


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
                "Make 3D face landmarks that carry the face shape of your references and the pose "
                "and expression that "
                "you ask for: with the sliders, with a target photo, or with a photo and the sliders "
                "on top of it. "
                "A batch of target pictures gives a batch of landmarks."
            ),
            inputs=[
                *person_inputs(),
                *canvas_inputs(),
                style_input(),
                *slider_inputs(),
                io.Float.Input(
                    "keep_expression",
                    optional=True,
                    display_name="Keep own expression",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How much of the expression in the reference photos to keep: 0 none, 1 all.",
                ),
                place_input(),
                *pick_inputs(),
                io.Image.Input(
                    "target_image",
                    optional=True,
                    tooltip="A photo, or several, whose pose and expression to take over. Needs the "
                    "analyzer. "
                    "The sliders add to it.",
                ),
                FaceAnalyzer.Input(
                    "analyzer",
                    optional=True,
                    tooltip="From Load Face Analyzer: finds the face in the target image.",
                ),
                ReferenceFaces.Input(
                    "target_faces",
                    optional=True,
                    tooltip="Faces from Load Reference Faces whose pose and expression to take over.",
                ),
                Head.Input(
                    "head",
                    optional=True,
                    tooltip="From Fuse Head: after a run the face above the sliders is this person, as in "
                    "the photos. Its shape is used where neither identity nor references are connected.",
                ),
                FaceLandmarks3D.Input(
                    "target_landmarks",
                    optional=True,
                    tooltip="Landmarks of somebody else whose pose and expression to take over.",
                ),
                io.Custom("FACE_LANDMARKS").Input(
                    "target_host_landmarks",
                    optional=True,
                    tooltip="Face landmarks of ComfyUI's own face nodes, which newer versions have; the "
                    "first face of every frame.",
                ),
                advanced(
                    io.String.Input(
                        "arkit_json",
                        optional=True,
                        multiline=True,
                        default="",
                        placeholder='{"jawOpen": 0.4}',
                        tooltip="Raw ARKit coefficients as JSON, from 0 to 1. They replace what the "
                        "sliders and the "
                        "target say for these names.",
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
        references: Any = None,
        keep_expression: float = 0.0,
        target_place: str = PLACES[0],
        target_pick: str = TARGET_PICKS[0],
        target_index: int = 0,
        target_image: torch.Tensor | None = None,
        analyzer: Any = None,
        target_faces: Any = None,
        target_landmarks: Landmarks | None = None,
        target_host_landmarks: Any = None,
        arkit_json: str = "",
        head: Any = None,
        **values: float,
    ) -> io.NodeOutput:
        """Generate and draw."""
        model = FaceModel.load()
        shape, own = shape_and_expression(identity, references, model, head)
        target, notes = choose_target(
            model,
            TargetInputs(
                place=target_place,
                pick=target_pick,
                index=target_index,
                image=target_image,
                analyzer=analyzer,
                faces=target_faces,
                landmarks=target_landmarks,
                host=target_host_landmarks,
            ),
        )
        landmarks = generate_for(
            model,
            values,
            width,
            height,
            shape=shape,
            target=target,
            own_expression=own,
            keep_expression=keep_expression,
            raw_expression=coefficients_from_json(arkit_json, model),
        )
        base = with_own_expression(target, own, keep_expression, model)
        return result(with_notes(landmarks, notes), style, cls, for_widget(shape, base, head))


def with_own_expression(
    target: Target | None, own: np.ndarray | None, keep: float, model: FaceModel
) -> Target | None:
    """Return what lies below the sliders, for the face widget."""
    if own is None or keep <= 0:
        return target
    if target is None:
        target = Target(pose=np.zeros((1, 3)), expression=np.zeros((1, len(model.expression_names))))
    return replace(target, expression=np.maximum(target.expression, keep * np.asarray(own)))


class LandmarksFromPhoto(io.ComfyNode):
    """The face of a photo as landmarks, where it is."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitLandmarksFromPhoto",
            display_name="Landmarks From Photo",
            category=CATEGORY,
            description=(
                "Read the 3D landmarks of a face in a photo: that person's own shape, pose and "
                "expression, on a "
                "canvas of the photo's size. The picture shows how well they sit."
            ),
            inputs=[
                io.Image.Input("image", tooltip="A photo, or several of one person."),
                FaceAnalyzer.Input("analyzer", tooltip="From Load Face Analyzer."),
                style_input(),
                *pick_inputs(),
            ],
            outputs=[
                *landmark_outputs(),
                io.Image.Output(display_name="overlay", tooltip="The landmarks over the photo."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        analyzer: Any,
        style: str,
        target_pick: str = TARGET_PICKS[0],
        target_index: int = 0,
    ) -> io.NodeOutput:
        """Find, fit and draw."""
        model = FaceModel.load()
        points, sizes, notes = find_faces(image, analyzer, target_pick, target_index, "picture")
        fits = fit_sequence(points, model)
        faces, photos, detected = [], [], []
        width, height = sizes[0]
        for row, fit in enumerate(fits):
            if fit is None:
                notes.append(f"picture {row + 1}: no face found, left out")
                continue
            seen = fit.points(model)
            faces.append(
                Landmarks(
                    points=seen[None].astype(np.float32),
                    visible=visible_points(seen, model)[None],
                    pose=np.array([fit.pose], np.float32),
                    expression=fit.expression[None].astype(np.float32),
                    shape=fit.shape.astype(np.float32),
                    width=width,
                    height=height,
                )
            )
            shown = fit.points(model, as_detected=True)[None].astype(np.float32)
            detected.append(replace(faces[-1], points=shown))
            photos.append(image[row, ..., :3])
            sure = fit.uncertainty.pose
            notes.append(
                f"yaw {fit.pose[0]:.0f}, pitch {fit.pose[1]:.0f}, roll {fit.pose[2]:.0f} degrees "
                f"(give or take {sure[0]:.0f}, {sure[1]:.0f}, {sure[2]:.0f}); the points are off by "
                f"{100 * fit.residual:.1f} % of the distance between the eyes"
            )
        landmarks = with_notes(concatenate(faces), tuple(notes))
        picture = drawing(landmarks, style)
        lines = drawing(concatenate(detected), "mesh72")
        overlay = torch.maximum(torch.stack(photos).cpu().float() * 0.6, lines)
        text = "\n".join(landmarks.notes)
        return io.NodeOutput(landmarks, picture, text, overlay, ui=preview(overlay, landmarks.notes, cls))


class DrawLandmarks(io.ComfyNode):
    """Landmarks as a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitDrawLandmarks",
            display_name="Draw Landmarks",
            category=CATEGORY,
            description=(
                "Draw landmarks at any size, for example for a ControlNet that reads InstantID's "
                "five points. "
                "Another aspect leaves room at the sides; nothing is stretched or cut off."
            ),
            inputs=[
                FaceLandmarks3D.Input(
                    "landmarks", tooltip="What to draw; a batch gives a batch of pictures."
                ),
                style_input(),
                io.Int.Input(
                    "width",
                    default=0,
                    min=0,
                    max=8192,
                    tooltip="Width in pixels; 0 is the landmarks' own canvas.",
                ),
                io.Int.Input(
                    "height",
                    default=0,
                    min=0,
                    max=8192,
                    tooltip="Height in pixels; 0 is the landmarks' own canvas.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="drawing", tooltip="The landmarks as a picture."),
                FaceLandmarks3D.Output(
                    display_name="landmarks", tooltip="The landmarks on a canvas of this size."
                ),
            ],
        )

    @classmethod
    def execute(cls, landmarks: Landmarks, style: str, width: int, height: int) -> io.NodeOutput:
        """Resize and draw."""
        resized = landmarks.resized(width or landmarks.width, height or landmarks.height)
        picture = drawing(resized, style)
        return io.NodeOutput(picture, resized, ui=ui.PreviewImage(picture, cls=cls))


NODES: list[type[io.ComfyNode]] = [
    GenerateLandmarks,
    LandmarksFromPhoto,
    LandmarkSequence,
    InterpolateLandmarks,
    ExpressionSheet,
    DrawLandmarks,
]

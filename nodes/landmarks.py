"""Nodes that make, combine and draw 3D face landmarks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io, ui

from ..landmarks.capture import coefficients_from_json, target_from_capture
from ..landmarks.draw import STYLES, draw
from ..landmarks.landmarks import FaceLandmarks3D as Landmarks
from ..landmarks.landmarks import concatenate
from ..landmarks.model import FaceModel
from ..landmarks.sequence import EASINGS, fit_sequence, interpolate, smooth
from ..landmarks.sheet import captioned, expression_batch, grid
from ..landmarks.sliders import SliderTable
from ..landmarks.target import Target, generate_for
from ..landmarks.visibility import visible_points
from .landmark_targets import (
    PLACES,
    TARGET_PICKS,
    choose_target,
    find_faces,
    host_has_face_landmarks,
    shape_and_expression,
    target_from_image,
)
from .paths import inside_input
from .types import CATEGORY, FaceAnalyzer, FaceLandmarks3D, Identity, ReferenceFaces, advanced

MOST_PREVIEWS = 16

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


def preview(pictures: torch.Tensor, notes: tuple[str, ...], cls: type[io.ComfyNode]) -> dict[str, Any]:
    """Show pictures in the node, with the notes written under them and as text.

    Of a long sequence some frames are shown: as many files as frames would fill memory and disk.
    """
    count = len(pictures)
    if count > MOST_PREVIEWS:
        spread = torch.linspace(0, count - 1, MOST_PREVIEWS).round().long()
        pictures = pictures[spread]
        notes = (*notes, f"{MOST_PREVIEWS} of {count} frames are shown here")
    shown = (pictures * 255).round().to(torch.uint8).numpy()
    captions = torch.from_numpy(captioned(shown, notes).astype(np.float32) / 255.0)
    result: dict[str, Any] = ui.PreviewImage(captions, cls=cls).as_dict()
    if notes:
        result["text"] = ("\n".join(notes),)
    return result


def result(
    landmarks: Landmarks, style: str, cls: type[io.ComfyNode], widget: dict[str, Any] | None = None
) -> io.NodeOutput:
    """Landmarks, drawing and notes as outputs, with the drawing and the notes as the node's preview.

    ``widget`` (see `for_widget`) goes to the face widget of the front end.
    """
    picture = drawing(landmarks, style)
    notes = "\n".join(landmarks.notes)
    shown = preview(picture, landmarks.notes, cls)
    if widget is not None:
        shown["hifi_landmarks"] = (widget,)
    return io.NodeOutput(landmarks, picture, notes, ui=shown)


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


class GenerateLandmarks(io.ComfyNode):
    """A person's face in a wanted pose and expression."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        host = io.Custom("FACE_LANDMARKS")
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
                FaceLandmarks3D.Input(
                    "target_landmarks",
                    optional=True,
                    tooltip="Landmarks of somebody else whose pose and expression to take over.",
                ),
                *(
                    [
                        host.Input(
                            "target_host_landmarks",
                            optional=True,
                            tooltip="Face landmarks of ComfyUI's own face nodes; the first face of "
                            "every frame.",
                        )
                    ]
                    if host_has_face_landmarks()
                    else []
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
        **values: float,
    ) -> io.NodeOutput:
        """Generate and draw."""
        model = FaceModel.load()
        shape, own = shape_and_expression(identity, references, model)
        target, notes = choose_target(
            model,
            target_place,
            target_pick,
            target_index,
            target_image,
            analyzer,
            target_faces,
            target_landmarks,
            target_host_landmarks,
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
        return result(with_notes(landmarks, notes), style, cls, for_widget(shape, base))


def with_own_expression(
    target: Target | None, own: np.ndarray | None, keep: float, model: FaceModel
) -> Target | None:
    """Return what lies below the sliders, for the face widget."""
    if own is None or keep <= 0:
        return target
    if target is None:
        target = Target(pose=np.zeros((1, 3)), expression=np.zeros((1, len(model.expression_names))))
    return replace(target, expression=np.maximum(target.expression, keep * np.asarray(own)))


def with_notes(landmarks: Landmarks, notes: tuple[str, ...]) -> Landmarks:
    """Put more notes in front of the landmarks' own."""
    return replace(landmarks, notes=tuple(dict.fromkeys((*notes, *landmarks.notes))))


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
        return f"{path.stat().st_mtime_ns} {path.stat().st_size}"

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
            path = inside_input(capture, "capture_file")
            if not path.is_file():
                raise ValueError(f"capture_file: there is no file {path}")
            text = path.read_text(encoding="utf-8-sig", errors="replace")
            target, notes = target_from_capture(text, model, path.name)
            target = replace(target, pose=target.pose[:stop:every], expression=target.expression[:stop:every])
        target = smooth(target, smoothing)
        target = replace(
            target, pose=target.pose * head_rotation, expression=target.expression * expression_strength
        )
        shape, _ = shape_and_expression(identity, references, model)
        landmarks = generate_for(model, {}, width, height, shape=shape, target=target)
        return result(with_notes(landmarks, notes), style, cls)


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
        pictures = draw(landmarks, style)
        sheet = torch.from_numpy(grid(pictures, labels)[None].astype(np.float32) / 255.0)
        text = "\n".join(landmarks.notes)
        shown = preview(sheet, landmarks.notes, cls)
        return io.NodeOutput(
            landmarks, torch.from_numpy(pictures.astype(np.float32) / 255.0), text, sheet, ui=shown
        )


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

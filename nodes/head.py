"""Nodes that make a textured head of several photos, picture it in any pose, and keep it as a file."""

from __future__ import annotations

from typing import Any

import torch
from comfy.model_management import get_torch_device
from comfy.utils import ProgressBar
from comfy_api.latest import io, ui

from ..boundary.licences import summary
from ..boundary.saved import path_of
from ..head.fuse import fuse_head
from ..head.light import flat_light, light_from
from ..head.preview import head_sheet
from ..head.records import TEXTURE_SIZES
from ..head.records import Head as HeadData
from ..head.relight import light_of_picture
from ..head.render import render_head
from ..head.store import load_head, save_head
from ..patching.host import advanced
from .pictures import to_image
from .saved import HEADS
from .types import CATEGORY, FaceLandmarks3D, Head, ReferenceFaces

LIGHTS = ("as the photos", "flat", "from a direction", "from a picture")


def _about(head: HeadData) -> str:
    """Return how much each photo gave, and what is guessed, one line each."""
    order = sorted(zip(head.shares, head.sources, strict=True), reverse=True)
    shares = (f"{100 * share:.0f} %  {source}" for share, source in order)
    return "\n".join([*shares, *head.notes, summary(head.licences)])


def _output(head: HeadData, cls: Any) -> io.NodeOutput:
    sheet = to_image(head_sheet(head))
    texture = to_image(head.texture)
    confidence = torch.from_numpy(head.confidence).float()[None] / 255
    about = _about(head)
    shown = {**ui.PreviewImage(sheet, cls=cls).as_dict(), **ui.PreviewText(about).as_dict()}
    return io.NodeOutput(head, texture, confidence, about, ui=shown)


def _outputs() -> list[Any]:
    return [
        Head.Output(display_name="head", tooltip="The textured head, for Render Head and Save Head."),
        io.Image.Output(display_name="texture", tooltip="The head's UV texture."),
        io.Mask.Output(
            display_name="confidence",
            tooltip="How well the photos show each place of the texture: black is guessed.",
        ),
        io.String.Output(
            display_name="about", tooltip="How much each photo gave, and what had to be guessed."
        ),
    ]


class FuseHead(io.ComfyNode):
    """Several photos of one person become one textured 3D head."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitFuseHead",
            display_name="Fuse Head",
            category=CATEGORY,
            description=(
                "Make one textured 3D head of all photos of a person: each place takes its colours from the "
                "photos that show it best, in balanced light. Needs no weights and no graphics card."
            ),
            inputs=[
                ReferenceFaces.Input(
                    "faces", tooltip="From Load Reference Faces: one or more faces of one person."
                ),
                io.Combo.Input(
                    "texture_size",
                    options=[str(size) for size in TEXTURE_SIZES],
                    default="1024",
                    tooltip="Pixels of the texture's side. 2048 only helps with large, sharp photos.",
                ),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, faces: Any, texture_size: str) -> io.NodeOutput:
        """Fuse."""
        bar = ProgressBar(len(faces.faces) + 2)
        return _output(fuse_head(faces, int(texture_size), bar.update_absolute), cls)


def _size_input(name: str) -> Any:
    return io.Int.Input(
        name,
        default=0,
        min=0,
        max=8192,
        step=8,
        tooltip=f"{name.capitalize()} of the render in pixels; 0 is the landmarks' own canvas.",
    )


def _light_slider(name: str, default: float, span: tuple[float, float, float], tooltip: str) -> Any:
    low, high, step = span
    return io.Float.Input(
        name,
        optional=True,
        default=default,
        min=low,
        max=high,
        step=step,
        display_mode=io.NumberDisplay.slider,
        tooltip=tooltip,
    )


def _light_inputs() -> list[Any]:
    return [
        io.Combo.Input(
            "light",
            options=list(LIGHTS),
            default=LIGHTS[0],
            tooltip="The light on the head. 'flat' takes the photos' light away; 'from a picture' reads it "
            "from light_picture.",
        ),
        _light_slider(
            "light_azimuth",
            45.0,
            (-180.0, 180.0, 1.0),
            "From where the light comes, in degrees: 0 from the camera, 90 from the picture's right, -90 "
            "from its left, 180 from behind.",
        ),
        _light_slider("light_elevation", 30.0, (-90.0, 90.0, 1.0), "How high the light stands, in degrees."),
        _light_slider(
            "light_softness",
            0.5,
            (0.0, 1.0, 0.01),
            "0 is a bare lamp in a dark room, 1 an overcast sky.",
        ),
        io.Image.Input("light_picture", optional=True, tooltip="A picture of a face in the wanted light."),
        FaceLandmarks3D.Input(
            "light_landmarks",
            optional=True,
            tooltip="The face in light_picture, from Landmarks From Photo.",
        ),
    ]


class RenderHead(io.ComfyNode):
    """A picture of a head in any pose, expression and light."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitRenderHead",
            display_name="Render Head",
            category=CATEGORY,
            description=(
                "Picture the head in the pose and with the expression of the landmarks: photographs that "
                "turn their heads. For Guide with Head, Transfer Skin Detail, img2img, inpainting and "
                "ControlNets."
            ),
            inputs=[
                Head.Input("head", tooltip="From Fuse Head or Load Head."),
                FaceLandmarks3D.Input(
                    "landmarks", tooltip="Pose, expression, gaze and place; a batch gives a batch of renders."
                ),
                _size_input("width"),
                _size_input("height"),
                *_light_inputs(),
                advanced(
                    io.Float.Input(
                        "background",
                        optional=True,
                        default=0.5,
                        min=0.0,
                        max=1.0,
                        step=0.01,
                        tooltip="Grey beside the head: 0 is black, 1 white.",
                    )
                ),
            ],
            outputs=[
                io.Image.Output(display_name="render", tooltip="The head, over grey."),
                io.Mask.Output(display_name="head_mask", tooltip="Where the head is, soft at hair."),
                io.Mask.Output(
                    display_name="confidence",
                    tooltip="Confidence of each pixel: white is well seen, black is guessed.",
                ),
                io.Image.Output(display_name="depth", tooltip="Near is white: for a depth ControlNet."),
                io.Image.Output(
                    display_name="normals", tooltip="Directions of the surface: for a normal map ControlNet."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        head: HeadData,
        landmarks: Any,
        width: int,
        height: int,
        light: str,
        light_azimuth: float = 45.0,
        light_elevation: float = 30.0,
        light_softness: float = 0.5,
        light_picture: torch.Tensor | None = None,
        light_landmarks: Any = None,
        background: float = 0.5,
    ) -> io.NodeOutput:
        """Light and render."""
        wanted = None
        if light == "flat":
            wanted = flat_light()
        elif light == "from a direction":
            wanted = light_from(light_azimuth, light_elevation, light_softness)
        elif light == "from a picture":
            if light_picture is None or light_landmarks is None:
                raise ValueError(
                    "Render Head: for light 'from a picture' connect light_picture, and light_landmarks from "
                    "Landmarks From Photo"
                )
            wanted = light_of(light_picture, light_landmarks, head)
        device = get_torch_device()
        render = render_head(
            head,
            landmarks,
            width or None,
            height or None,
            wanted,
            device=device if device.type == "cuda" else "cpu",
        )
        picture = render.over(background).clamp(0, 1).cpu()
        depth = render.depth.cpu()[..., None].expand(-1, -1, -1, 3).contiguous()
        return io.NodeOutput(
            picture,
            render.alpha.cpu(),
            render.confidence.cpu(),
            depth,
            render.normals.cpu(),
            ui=ui.PreviewImage(picture, cls=cls),
        )


def light_of(picture: torch.Tensor, landmarks: Any, head: HeadData) -> Any:
    """Return the light on a face in a picture."""
    pixels = (picture[0, ..., :3].clamp(0, 1) * 255).round().byte().cpu().numpy()
    return light_of_picture(pixels, landmarks, head)


class SaveHead(io.ComfyNode):
    """A head as a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitSaveHead",
            display_name="Save Head",
            category=CATEGORY,
            description=(
                "Keep a head for later: saved to models/hifi_portrait/heads. It is a photograph of the "
                "person and shows the face; only you can read the file."
            ),
            inputs=[
                Head.Input("head", tooltip="From Fuse Head."),
                io.String.Input(
                    "name",
                    default="person",
                    tooltip="Name of the head: letters, digits, blanks, - _ ( ) and the full stop.",
                ),
                io.Boolean.Input(
                    "overwrite",
                    default=True,
                    tooltip="On: replace a head of the same name. Off: keep it, and number the new one.",
                ),
            ],
            outputs=[
                Head.Output(display_name="head", tooltip="The head, unchanged."),
                io.String.Output(display_name="name", tooltip="The name that it was saved under."),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, name: str | None) -> bool | str:
        """Refuse unusable names before anything runs; the host gives None for a linked input."""
        return HEADS.check_new(name)

    @classmethod
    def fingerprint_inputs(cls, name: str | None = None, overwrite: bool = True, **kwargs: Any) -> str:
        """Run again when the file that was saved is no longer there, or another."""
        return HEADS.kept.fingerprint((name, overwrite))

    @classmethod
    def execute(cls, head: HeadData, name: str, overwrite: bool) -> io.NodeOutput:
        """Save into the preferred folder."""
        path = path_of(HEADS.folders()[0], name, HEADS.what, overwrite)
        save_head(head, path)
        HEADS.kept.saved((name, overwrite), path)
        return io.NodeOutput(head, path.stem, ui=ui.PreviewText(f"saved as {path.stem}"))


class LoadHead(io.ComfyNode):
    """A saved head."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitLoadHead",
            display_name="Load Head",
            category=CATEGORY,
            description="Load a head that Save Head kept; needs neither photos nor a face analyzer.",
            inputs=[
                io.Combo.Input(
                    "name",
                    options=HEADS.options(),
                    tooltip="A head in models/hifi_portrait/heads. Press R to see new ones.",
                ),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def validate_inputs(cls, name: str | None) -> bool | str:
        """Say what is missing before anything runs; the host gives None for a linked input."""
        return HEADS.problem(name)

    @classmethod
    def fingerprint_inputs(cls, name: str) -> str:
        """Run again when the file changed."""
        return HEADS.fingerprint(name)

    @classmethod
    def execute(cls, name: str) -> io.NodeOutput:
        """Load by name."""
        path = HEADS.path(name)
        return _output(load_head(path), cls)


NODES: list[type[io.ComfyNode]] = [FuseHead, RenderHead, SaveHead, LoadHead]

"""Nodes that give small faces the pixels they need: cut out, sample with any model, paste back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..faces.thresholds import threshold_for
from ..head.face_crop import FaceCrops as Crops
from ..head.face_crop import choose_face, cut_out, paste_back, place_crops
from ..landmarks.canonical import moved
from ..landmarks.landmarks import FaceLandmarks3D as Landmarks
from ..landmarks.landmarks import concatenate
from ..landmarks.model import FaceModel
from ..landmarks.sequence import fit_sequence, target_from_fits
from ..landmarks.target import generate_for
from ..patching.host import advanced
from .landmark_results import with_notes
from .pictures import channels_first, faces_in, masks_of
from .types import CATEGORY, FaceAnalyzer, FaceCrops, FaceLandmarks3D, Identity


class CropToFace(io.ComfyNode):
    """A person's face out of each picture, at a size that suits the checkpoint."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitCropToFace",
            display_name="Crop to Face",
            category=CATEGORY,
            description=(
                "Cut a person's face out of finished pictures with some context, at a size that the "
                "checkpoint likes. Sample the crop again with Apply HiFi-Net or Guide with Head, then give "
                "it to Paste Face Back. The face is found by recognition; in a video the crop is steadied."
            ),
            inputs=[
                io.Image.Input("image", tooltip="Finished pictures; a batch or the frames of a video."),
                FaceAnalyzer.Input("analyzer", tooltip="From Load Face Analyzer."),
                Identity.Input(
                    "identity",
                    optional=True,
                    tooltip="Whose face to cut out, from Refine Faces. Empty: the largest face.",
                ),
                io.Int.Input(
                    "size",
                    default=1024,
                    min=64,
                    max=4096,
                    step=8,
                    tooltip="Side of the crop in pixels: 1024 for SDXL, 512 for SD 1.5, 128 for the tiny "
                    "model.",
                ),
                io.Float.Input(
                    "context",
                    default=2.2,
                    min=1.0,
                    max=6.0,
                    step=0.1,
                    tooltip="Side of the crop in sides of the face: 2.2 holds hair and neck.",
                ),
                advanced(
                    io.Float.Input(
                        "steady",
                        optional=True,
                        default=2.0,
                        min=0.0,
                        max=30.0,
                        step=0.5,
                        tooltip="How many frames of a video place and size of the crop are smoothed over. "
                        "0: not.",
                    )
                ),
                advanced(
                    io.Float.Input(
                        "similarity",
                        optional=True,
                        default=0.0,
                        min=0.0,
                        max=1.0,
                        step=0.01,
                        tooltip="From which similarity on a face is the person's. 0: as the recognizer is "
                        "calibrated, halved, because a small face looks less like itself.",
                    )
                ),
                FaceLandmarks3D.Input(
                    "landmarks",
                    optional=True,
                    tooltip="Landmarks of the whole picture, to be moved into the crop. Empty: pose and "
                    "expression as the picture has them, with the person's own face shape.",
                ),
                io.Image.Input(
                    "render", optional=True, tooltip="A head render of the whole picture, cut the same way."
                ),
                io.Mask.Input(
                    "mask", optional=True, tooltip="A mask of the whole picture, cut the same way."
                ),
            ],
            outputs=[
                io.Image.Output(display_name="crop", tooltip="The faces, for VAE Encode."),
                FaceCrops.Output(display_name="face_crops", tooltip="Where they were, for Paste Face Back."),
                FaceLandmarks3D.Output(
                    display_name="landmarks",
                    tooltip="Landmarks in the crop, for Apply HiFi-Net or Render Head.",
                ),
                io.Image.Output(display_name="render", tooltip="The head render, cut; black without one."),
                io.Mask.Output(display_name="mask", tooltip="The mask, cut; white without one."),
                io.String.Output(
                    display_name="about", tooltip="Which pictures have the face, and how large."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        analyzer: Any,
        size: int,
        context: float,
        identity: Any = None,
        steady: float = 2.0,
        similarity: float = 0.0,
        landmarks: Any = None,
        render: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """Find, cut, and move what belongs to the pictures into the crops."""
        image = image if image.ndim == 4 else image[None]
        height, width = image.shape[1:3]
        faces = _find(image, analyzer, identity, similarity)
        crops = place_crops(faces, width, height, size, context, steady)
        found = [face for face in faces if face is not None]
        in_crops = (
            _fitted([moved(face.landmarks, crops.matrix(i)) for i, face in enumerate(found)], identity, size)
            if landmarks is None
            else _moved(landmarks.resized(width, height), crops)
        )
        pictures = cut_out(channels_first(image, height, width), crops).movedim(1, -1)
        drawn = (
            torch.zeros_like(pictures)
            if render is None
            else cut_out(channels_first(render, height, width), crops).movedim(1, -1)
        )
        where = pictures.new_ones(pictures.shape[:3])
        if mask is not None:
            whole = masks_of(mask, len(mask) if mask.ndim > 2 else 1, height, width)
            where = cut_out(whole[:, None], crops)[:, 0]
        return io.NodeOutput(pictures, crops, in_crops, drawn, where, _about(crops, len(image)))


class PasteFaceBack(io.ComfyNode):
    """Sampled faces back into their pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitPasteFaceBack",
            display_name="Paste Face Back",
            category=CATEGORY,
            description=(
                "Put faces that Crop to Face cut out back into their pictures, with a soft seam and with "
                "colours matched. Pixels outside do not change."
            ),
            inputs=[
                io.Image.Input("image", tooltip="The same pictures that went into Crop to Face."),
                io.Image.Input("crop", tooltip="The sampled faces, from VAE Decode."),
                FaceCrops.Input("face_crops", tooltip="From Crop to Face."),
                io.Float.Input(
                    "feather",
                    default=0.25,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="Width of the soft seam. 0 is a hard edge, 1 reaches the middle.",
                ),
                io.Float.Input(
                    "colour_match",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How far brightness, colour and contrast at the seam are brought to the "
                    "picture's.",
                ),
                io.Mask.Input(
                    "mask", optional=True, tooltip="Where in the crop to act: white acts, black does not."
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The finished pictures."),
                io.Mask.Output(display_name="changed", tooltip="Where they changed."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        crop: torch.Tensor,
        face_crops: Any,
        feather: float,
        colour_match: float,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """Paste."""
        image, crop = (value if value.ndim == 4 else value[None] for value in (image, crop))
        mask = mask[None] if mask is not None and mask.ndim == 2 else mask
        pasted, changed = paste_back(
            image[..., :3].movedim(-1, 1),
            crop[..., :3].movedim(-1, 1).to(image),
            face_crops,
            feather,
            colour_match,
            None if mask is None else mask.to(image),
        )
        finished = pasted.movedim(1, -1)
        if image.shape[-1] > 3:
            finished = torch.cat([finished, image[..., 3:]], -1)
        return io.NodeOutput(finished, changed)


def _find(image: torch.Tensor, analyzer: Any, identity: Any, similarity: float) -> list[Any]:
    """Return the person's face in each picture, or None."""
    if identity is not None and identity.recognizer != analyzer.recognizer:
        raise ValueError(
            f"the identity was made with recognizer '{identity.recognizer}', the analyzer has "
            f"'{analyzer.recognizer}'; connect the analyzer that read the references"
        )
    person = None if identity is None else np.asarray(identity.embedding, np.float32)
    same = similarity or threshold_for(analyzer.recognizer).same / 2
    return [choose_face(faces, person, same) for _, faces in faces_in(image, analyzer, "picture")]


def _fitted(points: list[np.ndarray], identity: Any, size: int) -> Landmarks:
    """Return pose and expression of the crops with the person's face shape."""
    model = FaceModel.load()
    target, notes = target_from_fits(fit_sequence(points, model), [(size, size)] * len(points), in_place=True)
    shape = None if identity is None else identity.shape
    return with_notes(generate_for(model, {}, size, size, shape, target), notes)


def _moved(landmarks: Landmarks, crops: Crops) -> Landmarks:
    """Return landmarks of whole pictures in the crops."""
    rows = [landmarks[row % len(landmarks)] for row in crops.rows]
    size = crops.size
    points = [moved(each.points[0], crops.matrix(i)).astype(np.float32) for i, each in enumerate(rows)]
    return concatenate(
        [replace(each, points=p[None], width=size, height=size) for each, p in zip(rows, points, strict=True)]
    )


def _about(crops: Crops, pictures: int) -> str:
    sides = ", ".join(str(side) for side in crops.boxes[:8, 2])
    more = ", ..." if len(crops.boxes) > 8 else ""
    missing = [str(row + 1) for row in range(pictures) if row not in crops.rows]
    lines = [f"{len(crops.rows)} of {pictures} pictures have the face; sides of the crops: {sides}{more} px"]
    if missing:
        lines.append(f"not in picture {', '.join(missing[:8])}{', ...' if len(missing) > 8 else ''}")
    return "\n".join(lines)


NODES: list[type[io.ComfyNode]] = [CropToFace, PasteFaceBack]

"""Nodes about reference photos: the analyzer, the references of one person, and the comparison of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comfy.model_management import throw_exception_if_processing_interrupted
from comfy.utils import ProgressBar
from comfy_api.latest import io, ui

from ..boundary.licences import summary
from ..faces import files
from ..faces.analyzer import FaceAnalyzer as Analyzer
from ..faces.analyzer import describe
from ..faces.contact_sheet import contact_sheet
from ..faces.pictures import Picture, UnreadableImage, read_folder
from ..faces.records import ReferenceFaces as References
from ..faces.references import DISAGREE, MAX_REFERENCES, ReferenceOptions, load_references
from ..faces.registry import LANDMARK_SOURCES, OPEN, analyzer_names, load_analyzer, other_recognizer, versions
from ..faces.runtime import PROVIDER_CHOICES
from ..faces.select import PICKS
from ..identity.compare import compare
from ..identity.compare_sheet import comparison_sheet
from ..landmarks.landmarks import FaceLandmarks3D as Landmarks
from . import paths
from .pictures import count_images, folder_version, named_images, progress, to_image
from .reference_inputs import growing_inputs, growing_pictures, region_inputs, regions
from .types import CATEGORY, FaceAnalyzer, FaceLandmarks3D, ReferenceFaces

_FETCH = ("ask", "automatic")


class LoadFaceAnalyzer(io.ComfyNode):
    """Choose what finds and recognises faces."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitLoadFaceAnalyzer",
            display_name="Load Face Analyzer",
            category=CATEGORY,
            description=(
                "Load the models that find faces, locate 3D landmarks and recognise people. The open "
                "analyzer works at once and may be used commercially; InsightFace packs are needed by "
                "checkpoints trained with them (InstantID's weights need antelopev2)."
            ),
            inputs=[
                io.Combo.Input(
                    "analyzer",
                    options=analyzer_names(paths.folders_of("insightface")),
                    default=OPEN,
                    tooltip="Open: YuNet, SFace and Face Mesh, permissively licensed. The others are "
                    "InsightFace packs in models/insightface/models; antelopev2 and buffalo_l are "
                    "non-commercial.",
                ),
                io.Combo.Input(
                    "provider",
                    options=list(PROVIDER_CHOICES),
                    default="auto",
                    tooltip="What the models run on. auto picks what is fastest and there; the output "
                    "about says what really runs.",
                ),
                io.Combo.Input(
                    "missing_files",
                    options=list(_FETCH),
                    default=_FETCH[0],
                    tooltip="ask: stop and list what is missing and how to get it. automatic: download "
                    "missing files of the open analyzer (12 MB) from the upstream projects, "
                    "checked by SHA-256.",
                ),
                io.Combo.Input(
                    "landmarks",
                    options=list(LANDMARK_SOURCES),
                    default=LANDMARK_SOURCES[0],
                    optional=True,
                    tooltip="Where the 3D landmarks come from. face-alignment needs the package of that "
                    "name and downloads its weights when it first runs.",
                ),
            ],
            outputs=[
                FaceAnalyzer.Output(
                    display_name="analyzer", tooltip="For Load Reference Faces and Compare Faces."
                ),
                io.String.Output(
                    display_name="about", tooltip="Recognizer, provider that runs, and licence."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, analyzer: str | None = None, **kwargs: Any) -> str:
        """Run again when a model file changed; the host gives None for a linked input."""
        folders = [*paths.model_folders(), files.user_folder()]
        return repr(versions(analyzer or OPEN, folders, paths.folders_of("insightface")))

    @classmethod
    def execute(
        cls, analyzer: str, provider: str, missing_files: str, landmarks: str = LANDMARK_SOURCES[0]
    ) -> io.NodeOutput:
        """Load the analyzer, or the one loaded before."""
        folders = [*paths.model_folders(), files.user_folder()]
        needed = files.MODEL_FILES if analyzer == OPEN else (files.PERSON_MASK,)
        if missing_files == _FETCH[1]:
            _download_missing(needed, folders)
        loaded = load_analyzer(analyzer, provider, folders, paths.folders_of("insightface"), landmarks)
        about = describe(loaded)
        if not files.locate((files.PERSON_MASK,), folders):
            about += f"\nbackground: kept in the crops, since {files.PERSON_MASK.name} is missing"
        return io.NodeOutput(loaded, about, ui=ui.PreviewText(about))


class LoadReferenceFaces(io.ComfyNode):
    """Photos of one person, chosen, rated and weighed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitLoadReferenceFaces",
            display_name="Load Reference Faces",
            category=CATEGORY,
            description=(
                "Find one person's face in 1 to 64 photos, cut it out, and rate each photo. Photos that "
                "show somebody else are found and set aside. Takes an image batch, a list of pictures of "
                "different sizes, a folder, or all together. Boxes or masks say which face is meant."
            ),
            is_input_list=True,
            inputs=[
                FaceAnalyzer.Input("analyzer", tooltip="From Load Face Analyzer."),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="Photos of the person: a batch, or a list of pictures of different sizes.",
                ),
                io.String.Input(
                    "folder",
                    default="",
                    optional=True,
                    tooltip="A folder of photos: its name inside ComfyUI's input folder. Unreadable files "
                    "are skipped and named. Empty: only the images.",
                ),
                io.Combo.Input(
                    "pick",
                    options=list(PICKS),
                    default=PICKS[0],
                    tooltip="Which face of a picture with several people. common person: the one who is "
                    "in most of the pictures.",
                ),
                io.Int.Input(
                    "index",
                    default=0,
                    min=-MAX_REFERENCES,
                    max=MAX_REFERENCES,
                    tooltip="For picking by index: 0 is the leftmost face of each picture, 1 the next, -1 "
                    "the rightmost.",
                ),
                io.Combo.Input(
                    "other_people",
                    options=list(DISAGREE),
                    default=DISAGREE[0],
                    tooltip="What to do with a picture that shows somebody else than the rest.",
                ),
                io.String.Input(
                    "weights",
                    default="",
                    optional=True,
                    tooltip="Weights in the order of the pictures, separated by commas, such as 1, 0.5, "
                    "2: 1 is neutral, 0 is as if the picture were not there. Empty: from each "
                    "picture's quality.",
                ),
                io.Float.Input(
                    "same_person_from",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="Similarity from which two faces count as one person. 0: the recognizer's own "
                    "(0.36 for SFace). Lower it for drawings or very different views, raise it when a "
                    "look-alike slips in.",
                ),
                *region_inputs(),
                *growing_inputs(),
            ],
            outputs=[
                ReferenceFaces.Output(display_name="faces", tooltip="For Refine Faces and Compare Faces."),
                io.Image.Output(
                    display_name="contact_sheet", tooltip="All references with landmarks, quality and weight."
                ),
                io.Image.Output(display_name="crops", tooltip="The matted faces, 224 x 224, in input order."),
                io.String.Output(display_name="report", tooltip="One line per picture."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, folder: Any = "", **kwargs: Any) -> str:
        """Run again when the folder's files change."""
        path = _folder(_single(folder) or "")
        if path is None or not path.is_dir():
            return ""
        return folder_version(path)

    @classmethod
    def execute(
        cls,
        analyzer: list[Analyzer],
        pick: list[str],
        index: list[int],
        other_people: list[str],
        images: list[torch.Tensor] | None = None,
        folder: list[str] | None = None,
        weights: list[str] | None = None,
        same_person_from: list[float] | None = None,
        boxes: list[Any] | None = None,
        masks: list[torch.Tensor] | None = None,
        photos: Any = None,
    ) -> io.NodeOutput:
        """Choose, rate and weigh; the contact sheet is the node's preview."""
        images = [batch for batch in images or [] if batch is not None] + growing_pictures(photos)
        count = count_images(images)
        if count > MAX_REFERENCES:
            raise ValueError(f"there are {count} pictures; give at most {MAX_REFERENCES} references")
        pictures: list[Picture | UnreadableImage] = [*named_images(images)]
        path = _folder(_single(folder) or "")
        if path is not None:
            readable, unreadable = read_folder(path, max(0, MAX_REFERENCES - len(pictures)))
            pictures += readable
            pictures += unreadable
        options = ReferenceOptions(
            pick=pick[0],
            index=index[0],
            disagree=other_people[0],
            weights=_parse_weights(_single(weights) or ""),
            same=_single(same_person_from) or None,
            regions=regions(boxes, masks, len(pictures)),
        )
        references = load_references(pictures, analyzer[0], options, progress(len(pictures)))
        sheet = to_image(contact_sheet(references))
        crops = [face.crop for face in sorted(references.faces, key=lambda face: face.source_index)]
        text = report(references)
        preview = {**ui.PreviewImage(sheet, cls=cls).as_dict(), "text": (text,)}
        return io.NodeOutput(references, sheet, to_image(np.stack(crops)), text, ui=preview)


class CompareFaces(io.ComfyNode):
    """Measure generated pictures against the person and the target."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitCompareFaces",
            display_name="Compare Faces",
            category=CATEGORY,
            description=(
                "Measure how much pictures look like the person, against the references and against "
                "photos held out, and how far pose and expression are from the target landmarks. "
                "Similarity to the references alone rewards copying one of them: hold a photo out and "
                "look at both."
            ),
            # Its picture is worth a run of its own.
            is_output_node=True,
            inputs=[
                io.Image.Input("images", tooltip="Generated pictures, a batch."),
                ReferenceFaces.Input("faces", tooltip="The person: from Load Reference Faces."),
                FaceAnalyzer.Input(
                    "analyzer",
                    optional=True,
                    tooltip="Whose recognizer compares. Not connected: another recognizer than the "
                    "references were made with, where one is installed.",
                ),
                io.Image.Input(
                    "held_out",
                    optional=True,
                    tooltip="Photos of the person that are not among the references: the honest measure.",
                ),
                FaceLandmarks3D.Input(
                    "target",
                    optional=True,
                    tooltip="The landmarks that the pictures were to follow: one for all, or one per "
                    "picture.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="picture", tooltip="Every picture, its face marked, with figures."
                ),
                io.Float.Output(
                    display_name="similarity", tooltip="Mean similarity to the references, -1 to 1."
                ),
                io.Float.Output(
                    display_name="held_out_similarity",
                    tooltip="Mean similarity to the held-out photos; NaN without them.",
                ),
                io.Float.Output(
                    display_name="pose_error", tooltip="Mean angle to the target, degrees; NaN without one."
                ),
                io.Float.Output(
                    display_name="expression_error",
                    tooltip="Mean difference of expression coefficients, 0 to 1; NaN without a target.",
                ),
                io.String.Output(display_name="report", tooltip="One line per picture."),
            ],
        )

    @classmethod
    def execute(
        cls,
        images: torch.Tensor,
        faces: References,
        analyzer: Analyzer | None = None,
        held_out: torch.Tensor | None = None,
        target: Landmarks | None = None,
    ) -> io.NodeOutput:
        """Measure and draw; the drawing is the node's preview."""
        if analyzer is None:
            insight = paths.folders_of("insightface")
            name = other_recognizer(faces.recognizer, insight)
            analyzer = load_analyzer(name, "auto", [*paths.model_folders(), files.user_folder()], insight)
        pictures = named_images([images])
        others = named_images([held_out], "held-out photo") if held_out is not None else []
        result = compare(pictures, faces, analyzer, others, target, progress(len(pictures)))
        sheet = to_image(comparison_sheet(result, pictures))
        lines = []
        for item in result.pictures:
            line = f"{item.name}: similarity {item.similarity:.3f}"
            if item.held_out is not None:
                line += f", held out {item.held_out:.3f}"
            if item.turn is not None and item.pose_error is not None:
                yaw, pitch, roll = item.turn
                line += f", pose off by {item.pose_error:.1f} degrees"
                line += f" (yaw {yaw:+.1f}, pitch {pitch:+.1f}, roll {roll:+.1f})"
            if item.expression_error is not None:
                line += f", expression off by {item.expression_error:.3f}"
            lines.append(line)
        text = "\n".join([*lines, *result.notes])
        preview = {**ui.PreviewImage(sheet, cls=cls).as_dict(), "text": (text,)}
        means = (result.mean(n) for n in ("similarity", "held_out", "pose_error", "expression_error"))
        return io.NodeOutput(sheet, *means, text, ui=preview)


def report(references: References) -> str:
    """Describe every picture in one line."""
    lines = [
        f"{face.source}: quality {face.quality.score:.2f}, weight {face.weight:.2f}, "
        f"{face.quality.size_px:.0f} px"
        for face in sorted(references.faces, key=lambda face: face.source_index)
    ]
    lines += [f"{item.source}: {item.reason}" for item in references.dropped]
    return "\n".join([*lines, *references.notes, summary(references.licences)])


def _download_missing(needed: Sequence[files.ModelFile], folders: Sequence[Path]) -> None:
    there = files.locate(needed, folders)
    missing = [file for file in needed if file not in there or not files.is_pinned(there[file], file)]
    if missing:
        bar = ProgressBar(sum(file.size for file in missing))
        files.fetch(missing, folders[0], lambda done, total: _arrived(bar, done, total))


def _arrived(bar: ProgressBar, done: int, total: int) -> None:
    """Tell how far a download is; the host's Cancel ends it."""
    throw_exception_if_processing_interrupted()
    bar.update_absolute(done, total)


def _folder(text: str) -> Path | None:
    return paths.inside_input(text, "folder") if text.strip().strip('"') else None


def _parse_weights(text: str) -> tuple[float, ...] | None:
    if not text.strip():
        return None
    try:
        return tuple(float(part) for part in text.replace(";", ",").split(",") if part.strip())
    except ValueError:
        raise ValueError(
            f"weights must be numbers separated by commas, such as 1, 0.5, 2; not {text!r}"
        ) from None


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) and value else value


NODES: list[type[io.ComfyNode]] = [LoadFaceAnalyzer, LoadReferenceFaces, CompareFaces]

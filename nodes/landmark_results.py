"""What the landmark nodes give back: drawings, previews with notes, and words to the face widget."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch
from comfy.utils import ProgressBar
from comfy_api.latest import io, ui

from ..boundary.files import PRIVATE, written
from ..boundary.memory import require_memory
from ..head.widget import widget_file
from ..landmarks.draw import draw
from ..landmarks.landmarks import FaceLandmarks3D as Landmarks
from ..landmarks.sheet import captioned
from ..landmarks.target import Target
from .pictures import to_image

MOST_PREVIEWS = 16
WIDGET_FOLDER = "hifi_portrait"


def drawing(landmarks: Landmarks, style: str) -> torch.Tensor:
    """Draw landmarks as ComfyUI's IMAGE: (B, H, W, 3) float32 in 0..1.

    Drawn one by one into the result, which is all the memory that it takes; can be interrupted.

    Raises
    ------
    ValueError
        They do not fit into the memory.
    """
    require_room(len(landmarks), landmarks.width, landmarks.height)
    pictures = torch.empty((len(landmarks), landmarks.height, landmarks.width, 3))
    bar = ProgressBar(len(landmarks)) if len(landmarks) > MOST_PREVIEWS else None
    for row in range(len(landmarks)):
        pictures[row] = torch.from_numpy(draw(landmarks[row], style)[0])
        if bar is not None:
            bar.update(1)
    return pictures.div_(255.0)


def require_room(count: int, width: int, height: int) -> None:
    """Raise ValueError, in one line, where so many drawings do not fit into the memory."""
    what = f"{count} drawings of {width} x {height} px"
    remedy = "use fewer faces (max_frames, every) or a smaller canvas"
    require_memory(count * height * width * 3 * 4, what, remedy)


def head_for_widget(head: Any) -> dict[str, str] | None:
    """Write a head for the face widget; returns how the host's view route names the file.

    It lies in the host's folder for temporary files, which is emptied when the host starts, and only its
    owner may read it: it shows somebody's face.
    """
    if head is None:
        return None
    data = widget_file(head)
    name = f"head-{hashlib.blake2b(data, digest_size=12).hexdigest()}.safetensors"
    path = Path(folder_paths.get_temp_directory()) / WIDGET_FOLDER / name
    if not path.is_file():
        with written(path, PRIVATE) as part:
            part.write_bytes(data)
    return {"filename": name, "subfolder": WIDGET_FOLDER, "type": "temp"}


def for_widget(shape: np.ndarray | None, target: Target | None = None, head: Any = None) -> dict[str, Any]:
    """Tell the face widget what to show from now on: the person's shape, and what the sliders add to.

    Parameters
    ----------
    shape : np.ndarray | None
        (K,) identity shape; None where the face is the average one.
    target : Target | None
        What lies below the sliders (a target photo, the references' own expression); its first row is shown.
    head : Head | None
        Whose textured head the widget shows.
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
    return {
        "shape": None if shape is None else rounded(shape),
        "base": base,
        "head": head_for_widget(head),
    }


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
    captions = to_image(captioned(shown, notes))
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


def with_notes(landmarks: Landmarks, notes: tuple[str, ...]) -> Landmarks:
    """Put more notes in front of the landmarks' own."""
    return replace(landmarks, notes=tuple(dict.fromkeys((*notes, *landmarks.notes))))

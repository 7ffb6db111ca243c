"""The node that saves pictures with what stands behind them where other programs look for it."""

from __future__ import annotations

import json
from pathlib import Path

import folder_paths
import numpy as np
import torch
from comfy_api.latest import io

from ..boundary.files import inside
from ..boundary.generated import KEY, XMP_KEY, save_png, statement, xmp
from ..boundary.licences import summary
from ..boundary.text import echoed
from . import provenance
from .types import CATEGORY


class SavePortrait(io.ComfyNode):
    """Pictures as PNG files that say how they were made and what they may be used for."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitSavePortrait",
            display_name="Save Portrait",
            category=CATEGORY,
            description=(
                "Save pictures as PNG in ComfyUI's output folder, with the workflow, with IPTC's statement "
                "that they are generated where search engines and picture agencies read it (XMP), and with "
                "the licence of every model file behind them. Says whether the graph is clear for commercial "
                "use, or which file is not. The statement is switched off in the settings."
            ),
            is_output_node=True,
            inputs=[
                io.Image.Input("images", tooltip="The pictures to save."),
                io.String.Input(
                    "filename_prefix",
                    default="hifi_portrait/portrait",
                    tooltip="Start of the file names, with folders inside of ComfyUI's output folder. "
                    "%width%, %height%, %year%, %month% and %day% are filled in.",
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, images: torch.Tensor, filename_prefix: str) -> io.NodeOutput:
        """Save, and say what the pictures may be used for."""
        prompt, own = cls.hidden.prompt or {}, str(cls.hidden.unique_id)
        licences = provenance.graph_licences(prompt, own)
        marked = provenance.switched_on()
        texts = {"prompt": json.dumps(prompt)}
        for key, value in (cls.hidden.extra_pnginfo or {}).items():
            if key != XMP_KEY:
                texts[key] = json.dumps(value)
        texts[KEY] = json.dumps(statement(licences))
        if not marked:
            del texts[KEY]
        folder, start, number, shown = _place(filename_prefix, images)
        saved = []
        for row, image in enumerate(images):
            file = f"{start.replace('%batch_num%', str(row))}_{number + row:05}_.png"
            pixels = np.clip(image.cpu().numpy() * 255.0 + 0.5, 0, 255).astype(np.uint8)
            save_png(folder / file, pixels, texts, xmp(licences) if marked else None)
            saved.append({"filename": file, "subfolder": shown, "type": "output"})
        lines = [summary(licences), "marked as generated" if marked else "not marked as generated"]
        return io.NodeOutput(ui={"images": saved, "text": ("\n".join(lines),)})


def _place(prefix: str, images: torch.Tensor) -> tuple[Path, str, int, str]:
    """Return folder, start of the names, first number, and the folder as the front end names it."""
    output = folder_paths.get_output_directory()
    try:
        path = inside(Path(output), prefix)
    except ValueError as error:
        raise ValueError(f"filename_prefix {echoed(prefix)} {error}; choose another") from None
    if path is None or path == Path(output):
        raise ValueError(f"filename_prefix {echoed(prefix)} names no file inside ComfyUI's output folder")
    relative = path.relative_to(output).as_posix()
    height, width = images.shape[1:3]
    folder, start, number, subfolder, _ = folder_paths.get_save_image_path(relative, output, width, height)
    return Path(folder), start, number, subfolder


NODES: list[type[io.ComfyNode]] = [SavePortrait]

"""The node that loads the small model shipped with the pack."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io

from ..boundary.files import stamp
from ..boundary.text import echoed
from ..tiny.base_file import ASSETS, describe_base
from ..tiny.model import load_tiny_portrait_model
from ..tiny.prompt import COLOURS, LIGHTS
from .types import CATEGORY

_FILES = ("base.safetensors",)


def _path(model_file: str) -> Path:
    # The host leaves the choice to this check: nothing but the pack's own files may be opened.
    if model_file not in _FILES:
        raise ValueError(f"model_file: {echoed(model_file)} is not one of {', '.join(_FILES)}")
    return ASSETS / model_file


class LoadTinyPortraitModel(io.ComfyNode):
    """MODEL, CLIP and VAE of the tiny portrait model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitLoadTinyPortraitModel",
            display_name="Load Tiny Portrait Model",
            category=CATEGORY,
            description=(
                "Load the small portrait model that comes with this pack: 128 x 128 pictures in a synthetic "
                "look, in a few seconds on any machine, for trying graphs and for learning. Use it with the "
                "tiny HiFi-Net, both strengths at 1, and landmarks of scale 1.6. "
                f"Its prompt knows background and clothes colours ({', '.join(COLOURS)}) and light "
                f"({', '.join(LIGHTS)}), as in 'blue background, red shirt, soft light from the left'. "
                "For a KSampler: 8 steps, cfg 2.5, euler, normal."
            ),
            inputs=[
                io.Combo.Input(
                    "model_file",
                    options=list(_FILES),
                    default=_FILES[0],
                    tooltip="The file in the pack's folder assets/tiny.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model", tooltip="The base model; works with every standard sampler."
                ),
                io.Clip.Output(
                    display_name="clip",
                    tooltip="Reads colours and light out of a prompt; other words are skipped.",
                ),
                io.Vae.Output(
                    display_name="vae", tooltip="Pictures to latents of an eighth of the size, and back."
                ),
                io.String.Output(
                    display_name="about", tooltip="What the file holds: trained on what, or untrained."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, model_file: str | None) -> bool | str:
        """Say which file is missing before anything runs; the host gives None for a linked input."""
        if model_file is None:
            return True
        try:
            path = _path(model_file)
        except ValueError as error:
            return str(error)
        if not path.is_file():
            return f"{model_file} is missing in the pack's folder assets/tiny; install the pack again."
        return True

    @classmethod
    def fingerprint_inputs(cls, model_file: str) -> str:
        """Run again when the file changes."""
        return repr(stamp(_path(model_file)))

    @classmethod
    def execute(cls, model_file: str) -> io.NodeOutput:
        """Load the file."""
        path = _path(model_file)
        return io.NodeOutput(*load_tiny_portrait_model(path), describe_base(path))


NODES: list[type[io.ComfyNode]] = [LoadTinyPortraitModel]

"""Nodes that load HiFi-Net, apply a person to a MODEL, and show who is where."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui

from ..patching.apply import applied_patches, apply_hifi_net
from ..patching.host import advanced
from ..patching.loading import DEFAULT_DTYPE, WEIGHT_DTYPES
from ..patching.preview import people_image, person_name
from ..patching.settings import (
    BLOCK_GROUPS,
    BLOCK_PRESETS,
    UNCONDITIONAL_CHOICES,
    PatchSettings,
    parse_block_weights,
)
from . import checkpoints
from .types import CATEGORY, FaceLandmarks3D, HiFiNet, Identity


class LoadHiFiNet(io.ComfyNode):
    """A HiFi-Net checkpoint, ready for Refine Faces and Apply HiFi-Net."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitLoadHiFiNet",
            display_name="Load HiFi-Net",
            category=CATEGORY,
            description=(
                "Load the network that carries a person's identity and landmarks into a diffusion model. "
                "Checkpoints lie in ComfyUI's models/hifi_portrait. 'tiny (shipped)' comes with the pack and "
                "works with the tiny portrait model. 'InstantID (warm start)' appears when InstantID's two "
                "files are found and works with SDXL."
            ),
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=checkpoints.names(),
                    tooltip="A checkpoint in models/hifi_portrait, the tiny one that ships, or InstantID's "
                    "files.",
                ),
                io.Combo.Input(
                    "weight_dtype",
                    optional=True,
                    options=list(WEIGHT_DTYPES),
                    default=DEFAULT_DTYPE,
                    tooltip="What the weights are kept as. 'fp8_e4m3fn' takes half the memory of 'fp16' and "
                    "changes the picture a little; 'default' leaves it to ComfyUI.",
                ),
            ],
            outputs=[
                HiFiNet.Output(
                    display_name="hifi_net",
                    tooltip="The network; connect it to Refine Faces and Apply HiFi-Net.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, checkpoint: str | None) -> bool | str:
        """Say what is missing before anything runs; the host gives None for a linked input."""
        return checkpoint is None or checkpoints.problem(checkpoint) or True

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str, weight_dtype: str = DEFAULT_DTYPE) -> str:
        """Run again when the file changed."""
        return checkpoints.fingerprint(checkpoint)

    @classmethod
    def execute(cls, checkpoint: str, weight_dtype: str = DEFAULT_DTYPE) -> io.NodeOutput:
        """Load the checkpoint."""
        return io.NodeOutput(checkpoints.load(checkpoint, weight_dtype))


class ApplyHiFiNet(io.ComfyNode):
    """A MODEL that draws one person with given landmarks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitApplyHiFiNet",
            display_name="Apply HiFi-Net",
            category=CATEGORY,
            description=(
                "Make a model draw this person, in the pose and with the expression of the landmarks. For "
                "several people, chain one node per person, each with its own landmarks and mask. Works with "
                "LoRA, ControlNet, other SDXL checkpoints and every sampler; put it after other nodes that "
                "change the model."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The diffusion model: SDXL, or the tiny portrait model."),
                HiFiNet.Input("hifi_net", tooltip="From Load HiFi-Net."),
                Identity.Input("identity", tooltip="The person, from Refine Faces or Load Identity."),
                io.Float.Input(
                    "identity_strength",
                    default=0.8,
                    min=0.0,
                    max=3.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How strongly the person's likeness acts. 0 switches it off. Lower it when the "
                    "picture looks burned or stops following the prompt.",
                ),
                io.Float.Input(
                    "landmark_strength",
                    default=0.8,
                    min=0.0,
                    max=3.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How strictly pose and expression follow the landmarks. 0 switches them off.",
                ),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Part of the sampling after which the person begins to act. A later start leaves "
                    "the composition to the prompt.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Part of the sampling after which the person no longer acts.",
                ),
                FaceLandmarks3D.Input(
                    "landmarks",
                    optional=True,
                    tooltip="Pose and expression. A batch gives each picture its own. Leave it empty to use "
                    "the likeness alone.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where in the picture this person is: white acts, black does not. Needed when "
                    "several people are in one picture.",
                ),
                advanced(
                    io.Int.Input(
                        "mask_feather",
                        optional=True,
                        default=0,
                        min=0,
                        max=512,
                        tooltip="Width of a soft edge given to the mask, in pixels of the mask.",
                    )
                ),
                advanced(
                    io.Float.Input(
                        "fusion_strength",
                        optional=True,
                        default=1.0,
                        min=0.0,
                        max=3.0,
                        step=0.01,
                        tooltip="How strongly the details of the individual photos act, beside the likeness "
                        "they have in common. 0 is plain InstantID.",
                    )
                ),
                advanced(
                    io.Float.Input(
                        "fade_in",
                        optional=True,
                        default=0.0,
                        min=0.0,
                        max=1.0,
                        step=0.01,
                        tooltip="Rise slowly over this part of the sampling, from the start on.",
                    )
                ),
                advanced(
                    io.Float.Input(
                        "fade_out",
                        optional=True,
                        default=0.0,
                        min=0.0,
                        max=1.0,
                        step=0.01,
                        tooltip="Fall slowly over this part of the sampling, towards the end.",
                    )
                ),
                advanced(
                    io.Combo.Input(
                        "unconditional",
                        optional=True,
                        options=list(UNCONDITIONAL_CHOICES),
                        default=UNCONDITIONAL_CHOICES[0],
                        tooltip="What the negative half sees. 'nothing' is faster; 'zero identity' is what "
                        "InstantID does, with a stronger effect at the same CFG.",
                    )
                ),
                advanced(
                    io.Combo.Input(
                        "blocks",
                        optional=True,
                        options=[*BLOCK_PRESETS, "custom"],
                        default="all",
                        tooltip="Which parts of the model the person acts on; 'custom' takes block_weights.",
                    )
                ),
                advanced(
                    io.String.Input(
                        "block_weights",
                        optional=True,
                        default=",".join(["1"] * len(BLOCK_GROUPS)),
                        tooltip="For 'custom': twelve factors, separated by commas, for "
                        + " ".join(BLOCK_GROUPS),
                    )
                ),
                advanced(
                    io.String.Input(
                        "name",
                        optional=True,
                        default="",
                        tooltip="What to call this person in Preview People and in messages.",
                    )
                ),
                advanced(
                    io.Float.Input(
                        "identity_noise",
                        optional=True,
                        default=0.0,
                        min=0.0,
                        max=1.0,
                        step=0.01,
                        tooltip="Makes the zero identity of noise, as InstantID's pack can: about 0.35 calms "
                        "burned colours. Needs 'zero identity'.",
                    )
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="The model with this person; for a sampler or the next Apply node.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        start_percent: float | None,
        end_percent: float | None,
        blocks: str | None = "all",
        block_weights: str | None = "",
    ) -> bool | str:
        """Refuse values that contradict each other before anything runs; a linked input is None here."""
        if start_percent is not None and end_percent is not None and start_percent > end_percent:
            return f"start_percent {start_percent} lies after end_percent {end_percent}; exchange them"
        if blocks == "custom" and block_weights is not None:
            try:
                parse_block_weights(block_weights)
            except ValueError as error:
                return str(error)
        return True

    @classmethod
    def execute(
        cls,
        model: Any,
        hifi_net: Any,
        identity: Any,
        identity_strength: float,
        landmark_strength: float,
        start_percent: float,
        end_percent: float,
        landmarks: Any = None,
        mask: Any = None,
        mask_feather: int = 0,
        fusion_strength: float = 1.0,
        fade_in: float = 0.0,
        fade_out: float = 0.0,
        unconditional: str = UNCONDITIONAL_CHOICES[0],
        blocks: str = "all",
        block_weights: str = "",
        name: str = "",
        identity_noise: float = 0.0,
    ) -> io.NodeOutput:
        """Apply the person."""
        settings = PatchSettings(
            identity_strength=identity_strength,
            landmark_strength=landmark_strength,
            start_percent=start_percent,
            end_percent=end_percent,
            fade_in=fade_in,
            fade_out=fade_out,
            fusion_strength=fusion_strength,
            block_weights=parse_block_weights(block_weights if blocks == "custom" else blocks),
            unconditional=unconditional,
            mask_feather=mask_feather,
            name=name.strip(),
            identity_noise=identity_noise,
        )
        return io.NodeOutput(apply_hifi_net(model, hifi_net, identity, landmarks, settings, mask))


class PreviewPeople(io.ComfyNode):
    """A picture of who is where."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitPreviewPeople",
            display_name="Preview People",
            category=CATEGORY,
            description=(
                "Show the people that Apply HiFi-Net gave to a model: each one's mask as a tinted area with "
                "its soft edge, the landmarks, and the strength."
            ),
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="A model after one or more Apply HiFi-Net nodes."),
                io.Int.Input(
                    "width",
                    default=1024,
                    min=16,
                    max=16384,
                    step=8,
                    tooltip="Width of the picture to be made.",
                ),
                io.Int.Input(
                    "height",
                    default=1024,
                    min=16,
                    max=16384,
                    step=8,
                    tooltip="Height of the picture to be made.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The preview."),
                io.String.Output(display_name="people", tooltip="Their names, one a line."),
            ],
        )

    @classmethod
    def execute(cls, model: Any, width: int, height: int) -> io.NodeOutput:
        """Draw the people."""
        patches = applied_patches(model)
        image = people_image(patches, width, height)
        names = "\n".join(person_name(patch, number) for number, patch in enumerate(patches))
        return io.NodeOutput(image, names, ui=ui.PreviewImage(image, cls=cls))


NODES: list[type[io.ComfyNode]] = [LoadHiFiNet, ApplyHiFiNet, PreviewPeople]

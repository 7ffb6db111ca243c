"""Nodes that use renders of a head: as a guide while a picture is sampled, and for its skin afterwards."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..head.detail import transfer_detail
from ..patching.encode_render import encode_render
from ..patching.head_guidance import COLOUR_CHOICES, GuideSettings, guide_with_head
from ..patching.host import advanced
from .pictures import channels_first, masks_of
from .types import CATEGORY


def _percent(name: str, default: float, tooltip: str) -> Any:
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.001, tooltip=tooltip)


def _part(name: str, default: float, tooltip: str) -> Any:
    return io.Float.Input(
        name,
        default=default,
        min=0.0,
        max=1.0,
        step=0.01,
        display_mode=io.NumberDisplay.slider,
        tooltip=tooltip,
    )


def _render_inputs() -> list[Any]:
    return [
        io.Image.Input("render", tooltip="The head, from Render Head: one, or one for each picture."),
        io.Mask.Input("head_mask", tooltip="Where the head is, from Render Head."),
        io.Mask.Input(
            "confidence",
            optional=True,
            tooltip="Confidence of each place of the render, 0 to 1, from Render Head. What no photo "
            "shows then counts little.",
        ),
    ]


class GuideWithHead(io.ComfyNode):
    """A MODEL whose pictures are drawn towards a render of a head."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitGuideWithHead",
            display_name="Guide with Head",
            category=CATEGORY,
            description=(
                "Draw a model's pictures towards a render of the person's head, while they are sampled. "
                "Needs no weights and works with any model that makes pictures: SDXL and its children, "
                "SD 1.5, flow models. Goes with LoRA, ControlNet and Apply HiFi-Net."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The diffusion model."),
                io.Vae.Input("vae", tooltip="The VAE of the same checkpoint; the render is encoded once."),
                *_render_inputs()[:2],
                _part(
                    "strength",
                    0.5,
                    "How strongly the render acts in each step. 0 switches it off; near 1 the picture "
                    "becomes the render.",
                ),
                _percent("start_percent", 0.0, "Part of the sampling after which the render begins to act."),
                _percent(
                    "end_percent",
                    0.7,
                    "Part of the sampling after which the model samples alone. Earlier: more of the model's "
                    "own style; later: closer to the photos.",
                ),
                _render_inputs()[2],
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where in the picture the render acts: white acts, black does not.",
                ),
                io.Combo.Input(
                    "colours",
                    optional=True,
                    options=list(COLOUR_CHOICES),
                    default=COLOUR_CHOICES[0],
                    tooltip="'shape only' leaves hues and brightness to the prompt and the style; features "
                    "and shading still come from the render.",
                ),
                advanced(
                    io.Float.Input(
                        "falloff",
                        optional=True,
                        default=1.0,
                        min=0.0,
                        max=8.0,
                        step=0.1,
                        tooltip="0 acts evenly; 1 and more fades with the noise in the picture.",
                    )
                ),
                advanced(
                    io.Float.Input(
                        "low_band",
                        optional=True,
                        default=1.0,
                        min=0.0,
                        max=1.0,
                        step=0.01,
                        tooltip="How much form and light of the render act, beside its lines.",
                    )
                ),
                advanced(
                    io.Float.Input(
                        "high_band",
                        optional=True,
                        default=1.0,
                        min=0.0,
                        max=1.0,
                        step=0.01,
                        tooltip="How much lines and texture of the render act. Lower it for painted styles.",
                    )
                ),
                advanced(
                    io.Float.Input(
                        "band_px",
                        optional=True,
                        default=32.0,
                        min=0.0,
                        max=512.0,
                        step=1.0,
                        tooltip="What is coarser than this many pixels belongs to the low band.",
                    )
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
            ],
            outputs=[
                io.Model.Output(
                    display_name="model", tooltip="The guided model; for a sampler or further nodes."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, start_percent: float | None, end_percent: float | None) -> bool | str:
        """Refuse values that contradict each other before anything runs; a linked input is None here."""
        if start_percent is not None and end_percent is not None and start_percent > end_percent:
            return f"start_percent {start_percent} lies after end_percent {end_percent}; exchange them"
        return True

    @classmethod
    def execute(
        cls,
        model: Any,
        vae: Any,
        render: torch.Tensor,
        head_mask: torch.Tensor,
        strength: float,
        start_percent: float,
        end_percent: float,
        confidence: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        colours: str = COLOUR_CHOICES[0],
        falloff: float = 1.0,
        low_band: float = 1.0,
        high_band: float = 1.0,
        band_px: float = 32.0,
        mask_feather: int = 0,
    ) -> io.NodeOutput:
        """Encode the render and guide the model."""
        settings = GuideSettings(
            strength=strength,
            start_percent=start_percent,
            end_percent=end_percent,
            falloff=falloff,
            low_band=low_band,
            high_band=high_band,
            band_px=band_px,
            colours=colours,
            mask_feather=mask_feather,
        )
        if strength == 0.0:
            return io.NodeOutput(model)
        encoded = encode_render(vae, render, head_mask, confidence, chroma=colours != COLOUR_CHOICES[0])
        return io.NodeOutput(guide_with_head(model, encoded, settings, mask))


class TransferSkinDetail(io.ComfyNode):
    """The person's pores, moles and lines in a finished picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitTransferSkinDetail",
            display_name="Transfer Skin Detail",
            category=CATEGORY,
            description=(
                "Give a finished picture the person's own skin: pores, moles and lines of the photos, from a "
                "render of the head in the same pose. Colours and light stay the picture's; pixels beside "
                "the head are not touched."
            ),
            inputs=[
                io.Image.Input(
                    "image", tooltip="The finished picture, with the face where the render has it."
                ),
                *_render_inputs(),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=4.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How strong the detail is. 1 is as in the photos; 0 returns the picture.",
                ),
                io.Float.Input(
                    "radius",
                    default=6.0,
                    min=0.5,
                    max=64.0,
                    step=0.5,
                    tooltip="Size of the coarsest detail in pixels: small takes pores, large takes lines and "
                    "moles too.",
                ),
                io.Mask.Input(
                    "mask", optional=True, tooltip="Where in the picture to act: white acts, black does not."
                ),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The picture with the person's skin.")],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        render: torch.Tensor,
        head_mask: torch.Tensor,
        strength: float,
        radius: float,
        confidence: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """Bring everything to the picture's size, and transfer."""
        if strength == 0.0:
            return io.NodeOutput(image)
        height, width = image.shape[1:3]
        given = render.shape[2] / render.shape[1]
        if abs(given * height / width - 1.0) > 0.02:
            raise ValueError(
                f"Transfer Skin Detail: the picture is {width} x {height}, the render {render.shape[2]} x "
                f"{render.shape[1]}; render the head with the picture's width and height"
            )
        pictures = channels_first(render, height, width)
        where_known = masks_of(head_mask, len(pictures), height, width)
        if confidence is not None:
            where_known = where_known * masks_of(confidence, len(pictures), height, width)
        where = None if mask is None else masks_of(mask, len(mask) if mask.ndim > 2 else 1, height, width)
        detailed = transfer_detail(
            image[..., :3], pictures.movedim(1, -1).clamp(0, 1), where_known, strength, radius, where
        )
        return io.NodeOutput(torch.cat([detailed, image[..., 3:]], -1) if image.shape[-1] > 3 else detailed)


NODES: list[type[io.ComfyNode]] = [GuideWithHead, TransferSkinDetail]

"""Nodes that turn reference faces into a person's identity, and keep identities as files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from comfy.utils import ProgressBar
from comfy_api.latest import io, ui

from ..identity import store
from ..identity.identity import Identity as IdentityData
from ..identity.mix import BETWEEN, HOW, mix_identities
from ..identity.refine import refine_faces
from ..models.merge import MEAN, MERGES
from ..patching.host import advanced
from .saved import IDENTITIES
from .types import CATEGORY, Head, HiFiNet, Identity, ReferenceFaces


def _clip_encoder(clip_vision: Any) -> Any:
    """Return a function from crops in -1..1 to CLIP's hidden states, or None."""
    if clip_vision is None:
        return None

    def encode(crops: torch.Tensor) -> torch.Tensor:
        pictures = (crops.movedim(1, -1) + 1) / 2
        hidden: torch.Tensor = clip_vision.encode_image(pictures, crop=False)["penultimate_hidden_states"]
        return hidden

    return encode


def _output(identity: IdentityData) -> io.NodeOutput:
    about = identity.describe()
    return io.NodeOutput(identity, about, ui=ui.PreviewText(about))


def _outputs() -> list[Any]:
    return [
        Identity.Output(
            display_name="identity",
            tooltip="The person, for Apply HiFi-Net and Generate Landmarks.",
        ),
        io.String.Output(
            display_name="about", tooltip="How many references made it, and the weight of each."
        ),
    ]


class RefineFaces(io.ComfyNode):
    """Several faces of one person become one identity."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitRefineFaces",
            display_name="Refine Faces",
            category=CATEGORY,
            description=(
                "Combine all reference faces of one person into an identity: what the person looks like in "
                "general, the details of each reference, and the 3D shape of the face. Better references "
                "count more; a reference of weight 0 counts not at all."
            ),
            inputs=[
                ReferenceFaces.Input(
                    "faces", tooltip="From Load Reference Faces: one or more faces of one person."
                ),
                HiFiNet.Input("hifi_net", tooltip="From Load HiFi-Net; the same as Apply HiFi-Net gets."),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="Only for checkpoints trained with CLIP image tokens; the others ignore it.",
                ),
                advanced(
                    io.Combo.Input(
                        "merge",
                        optional=True,
                        options=list(MERGES),
                        default=MEAN,
                        tooltip="How the photos become one person. 'weighted mean': of what the recognizer "
                        "sees. 'norm': of its direction alone. 'concat': the model looks at each photo by "
                        "itself. 'best of each token': leaves out what only one photo says.",
                    )
                ),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, faces: Any, hifi_net: Any, clip_vision: Any = None, merge: str = MEAN) -> io.NodeOutput:
        """Refine on the host's device."""
        bar = ProgressBar(2)
        network = hifi_net.load()
        identity = refine_faces(
            faces,
            network,
            merge=merge,
            device=hifi_net.patcher.load_device,
            # The network's layers cast their weights: single precision costs little here and loses nothing.
            dtype=torch.float32,
            encode_image=_clip_encoder(clip_vision) if network.config.clip_dim else None,
            report=bar.update_absolute,
        )
        return _output(identity)


class MixIdentities(io.ComfyNode):
    """Two people become one between them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitMixIdentities",
            display_name="Mix Identities",
            category=CATEGORY,
            description=(
                "A person between two (60 % of one, 40 % of the other), or one who is more like the second "
                "and less like the first. Both must come from the same HiFi-Net."
            ),
            inputs=[
                Identity.Input("identity_a", tooltip="The first person."),
                Identity.Input("identity_b", tooltip="The second person."),
                io.Float.Input(
                    "amount",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="Between: the share of the second person, 0 to 1. Away: how far to go from the "
                    "first beyond the second.",
                ),
                io.Combo.Input(
                    "how",
                    options=list(HOW),
                    default=BETWEEN,
                    tooltip="'between a and b' mixes them; 'b, away from a' takes what the first has in "
                    "common with the second out of it.",
                ),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, identity_a: Any, identity_b: Any, amount: float, how: str) -> io.NodeOutput:
        """Mix."""
        return _output(mix_identities(identity_a, identity_b, amount, how))


class SaveIdentity(io.ComfyNode):
    """An identity as a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitSaveIdentity",
            display_name="Save Identity",
            category=CATEGORY,
            description=(
                "Keep a person for later: saved to models/hifi_portrait/identities, without the photos. "
                "Load Identity brings it back at once. Belongs to the checkpoint that refined it."
            ),
            inputs=[
                Identity.Input("identity", tooltip="From Refine Faces."),
                io.String.Input(
                    "name",
                    default="person",
                    tooltip="Name of the identity: letters, digits, blanks, - _ ( ) and the full stop.",
                ),
                io.Boolean.Input(
                    "overwrite",
                    default=True,
                    tooltip="On: replace an identity of the same name. Off: keep it, and number the new one.",
                ),
                io.String.Input(
                    "consent",
                    optional=True,
                    default="",
                    multiline=True,
                    placeholder="consent: who agreed to what, and when",
                    tooltip="A note on the person's consent, kept in the file and shown when it is loaded: "
                    "who agreed to what, and when. Empty: the note that the identity has already.",
                ),
                Head.Input(
                    "head",
                    optional=True,
                    tooltip="From Fuse Head, to keep the textured head in the same file. It is a photograph "
                    "of the person. Not connected: no photograph is put in.",
                ),
            ],
            outputs=[
                Identity.Output(display_name="identity", tooltip="The identity, unchanged."),
                io.String.Output(display_name="name", tooltip="The name that it was saved under."),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, name: str | None) -> bool | str:
        """Refuse unusable names before anything runs; the host gives None for a linked input."""
        return IDENTITIES.check_new(name)

    @classmethod
    def fingerprint_inputs(cls, name: str | None = None, overwrite: bool = True, **kwargs: Any) -> str:
        """Run again when the file that was saved is no longer there, or another."""
        return IDENTITIES.kept.fingerprint((name, overwrite))

    @classmethod
    def execute(
        cls, identity: IdentityData, name: str, overwrite: bool, consent: str = "", head: Any = None
    ) -> io.NodeOutput:
        """Save into the preferred folder."""
        note = store.check_consent(consent) or identity.consent
        kept = replace(identity, consent=note, head=head or identity.head)
        path = store.save_identity(kept, IDENTITIES.folders()[0], name, overwrite, note)
        IDENTITIES.kept.saved((name, overwrite), path)
        return io.NodeOutput(kept, path.stem, ui=ui.PreviewText(f"saved as {path.stem}"))


class LoadIdentity(io.ComfyNode):
    """A saved identity."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="HiFiPortraitLoadIdentity",
            display_name="Load Identity",
            category=CATEGORY,
            description="Load a person that Save Identity kept; needs neither photos nor a face analyzer.",
            inputs=[
                io.Combo.Input(
                    "name",
                    options=IDENTITIES.options(),
                    tooltip="An identity in models/hifi_portrait/identities. Press R to see new ones.",
                ),
            ],
            outputs=[
                *_outputs(),
                Head.Output(
                    display_name="head",
                    tooltip="The textured head, where one was saved with the identity; otherwise nothing.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, name: str | None) -> bool | str:
        """Say what is missing before anything runs; the host gives None for a linked input."""
        return IDENTITIES.problem(name)

    @classmethod
    def fingerprint_inputs(cls, name: str) -> str:
        """Run again when the file changed."""
        return IDENTITIES.fingerprint(name)

    @classmethod
    def execute(cls, name: str) -> io.NodeOutput:
        """Load by name."""
        path = IDENTITIES.path(name)
        identity = store.load_identity(path)
        about = identity.describe()
        return io.NodeOutput(identity, about, identity.head, ui=ui.PreviewText(about))


NODES: list[type[io.ComfyNode]] = [RefineFaces, MixIdentities, SaveIdentity, LoadIdentity]

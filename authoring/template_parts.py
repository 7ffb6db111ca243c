# ruff: noqa: E501 - the notes are texts
"""What the templates share: their notes' texts, and the parts of a portrait's graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .graph import Graph

PERSON = "person"
PROMPT = "blue background, red shirt, soft light from the left"
TINY = "tiny (shipped)"

TINY_FILES = """
**Files:** everything for this graph comes with the pack. The face models (12 MB) are fetched on the first run,
because *Load Face Analyzer* stands at `missing_files: automatic`; set it to `ask` to fetch them yourself.
"""
PHOTOS = """
**Photos:** make a folder `person` in ComfyUI's `input` folder and put one to six photos of **one** person into
it. Three or four different ones are better than one.
"""
SDXL_FILES = """
**Files**

| file | goes into |
|---|---|
| an SDXL checkpoint, for example `sd_xl_base_1.0.safetensors` | `models/checkpoints` |
| InstantID's `ip-adapter.bin` | `models/instantid` |
| InstantID's `ControlNetModel/diffusion_pytorch_model.safetensors` | `models/controlnet/instantid` |
| InsightFace's pack `antelopev2` (five .onnx files) | `models/insightface/models/antelopev2` |

InstantID's two files are converted once, at the first run. `antelopev2` is licensed for non-commercial research.
"""
TINY_LOOK = """
The tiny model draws 128 x 128 pictures in a synthetic look, in seconds on any machine. For real pictures use the
same nodes with SDXL: see the template *sdxl-warm-start*.
"""
FULL: dict[str, Any] = {"identity_strength": 1.0, "landmark_strength": 1.0}
"""The tiny model was trained with both at 1."""
TINY_PLACE: dict[str, Any] = {"scale": 1.6, "position_y": -0.05}
"""Where the tiny model's training pictures have their faces."""


class MainJob(NamedTuple):
    """Nodes of the main job that something is linked to."""

    analyzer: int
    faces: int
    landmarks: int
    positive: int
    decode: int


class Portrait:
    """The part that all templates of one person share, laid out from left to right."""

    def __init__(self, info: Mapping[str, Any], size: int = 128) -> None:
        self.g = Graph(info)
        self.size = size

    def analyzer(self, pos: tuple[int, int] = (0, 0), **values: Any) -> int:
        """Add Load Face Analyzer."""
        return self.g.add(
            "HiFiPortraitLoadFaceAnalyzer", pos, (300, 150), **{"missing_files": "automatic", **values}
        )

    def references(
        self, analyzer: int, pos: tuple[int, int] = (0, 200), folder: str = PERSON, **values: Any
    ) -> int:
        """Add Load Reference Faces on a folder."""
        node = self.g.add("HiFiPortraitLoadReferenceFaces", pos, (300, 520), folder=folder, **values)
        self.g.link(analyzer, "analyzer", node, "analyzer")
        return node

    def network(self, pos: tuple[int, int] = (360, 0), checkpoint: str = TINY) -> int:
        """Add Load HiFi-Net."""
        return self.g.add("HiFiPortraitLoadHiFiNet", pos, (280, 90), checkpoint=checkpoint)

    def identity(self, faces: int, network: int, pos: tuple[int, int] = (360, 120)) -> int:
        """Add Refine Faces."""
        node = self.g.add("HiFiPortraitRefineFaces", pos, (280, 140))
        self.g.link(faces, "faces", node, "faces")
        self.g.link(network, "hifi_net", node, "hifi_net")
        return node

    def landmarks(self, identity: int | None, pos: tuple[int, int] = (700, 0), **values: Any) -> int:
        """Add Generate Landmarks."""
        node = self.g.add(
            "HiFiPortraitGenerateLandmarks",
            pos,
            (400, 1010),
            **{"width": self.size, "height": self.size, **values},
        )
        if identity is not None:
            self.g.link(identity, "identity", node, "identity")
        return node

    def tiny(self, pos: tuple[int, int] = (360, 320)) -> tuple[int, int, int]:
        """Add the tiny model and its prompts; returns model, positive, negative."""
        model = self.g.add("HiFiPortraitLoadTinyPortraitModel", pos, (280, 140))
        x, y = pos
        positive = self.g.add("CLIPTextEncode", (x, y + 190), (280, 120), title="Prompt", text=PROMPT)
        negative = self.g.add("CLIPTextEncode", (x, y + 360), (280, 90), title="Negative prompt")
        self.g.link(model, "clip", positive, "clip")
        self.g.link(model, "clip", negative, "clip")
        return model, positive, negative

    def apply(
        self,
        model: int,
        network: int,
        identity: int,
        landmarks: int | None,
        pos: tuple[int, int] = (1160, 0),
        **values: Any,
    ) -> int:
        """Add Apply HiFi-Net."""
        node = self.g.add("HiFiPortraitApplyHiFiNet", pos, (320, 420), **values)
        self.g.link(model, "model" if "model" in self._outputs(model) else "MODEL", node, "model")
        self.g.link(network, "hifi_net", node, "hifi_net")
        self.g.link(identity, "identity", node, "identity")
        if landmarks is not None:
            self.g.link(landmarks, "landmarks", node, "landmarks")
        return node

    def sample(
        self,
        model: int,
        positive: int,
        negative: int,
        vae: int,
        pos: tuple[int, int] = (1160, 470),
        *,
        batch: int = 1,
        latent: int | None = None,
        **values: Any,
    ) -> int:
        """Add latent, KSampler and VAE Decode; returns the decoder."""
        x, y = pos
        if latent is None:
            latent = self.g.add(
                "EmptyLatentImage",
                (x, y + 330),
                (320, 110),
                width=self.size,
                height=self.size,
                batch_size=batch,
            )
        settings = {"seed": 20, "steps": 8, "cfg": 2.5, "sampler_name": "euler", "scheduler": "normal"}
        sampler = self.g.add("KSampler", (x, y), (320, 270), **{**settings, **values})
        self.g.link(model, "model", sampler, "model")
        self.g.link(positive, "CONDITIONING", sampler, "positive")
        self.g.link(negative, "CONDITIONING", sampler, "negative")
        self.g.link(latent, "LATENT", sampler, "latent_image")
        decode = self.g.add("VAEDecode", (x + 380, y), (200, 50))
        self.g.link(sampler, "LATENT", decode, "samples")
        self.g.link(vae, "vae" if "vae" in self._outputs(vae) else "VAE", decode, "vae")
        return decode

    def main_job(self, **references: Any) -> MainJob:
        """Add everything from photos to a portrait by the tiny model; values are of Load Reference Faces."""
        analyzer = self.analyzer()
        faces = self.references(analyzer, **references)
        network = self.network()
        identity = self.identity(faces, network)
        landmarks = self.landmarks(identity, yaw=20, smile=0.4, **TINY_PLACE)
        model, positive, negative = self.tiny()
        applied = self.apply(model, network, identity, landmarks, **FULL)
        return MainJob(analyzer, faces, landmarks, positive, self.sample(applied, positive, negative, model))

    def save_image(
        self, image: int, pos: tuple[int, int], prefix: str, size: tuple[int, int] = (340, 400)
    ) -> int:
        """Add Save Image."""
        node = self.g.add("SaveImage", pos, size, filename_prefix=prefix)
        output = next(
            name for name in self._outputs(image) if name.lower() in ("image", "images", "drawing", "render")
        )
        self.g.link(image, output, node, "images")
        return node

    def compare(
        self, analyzer: int, faces: int, image: int, pos: tuple[int, int], output: str = "IMAGE"
    ) -> int:
        """Add Compare Faces."""
        node = self.g.add("HiFiPortraitCompareFaces", pos, (380, 480))
        self.g.link(image, output, node, "images")
        self.g.link(faces, "faces", node, "faces")
        self.g.link(analyzer, "analyzer", node, "analyzer")
        return node

    def _outputs(self, node: int) -> list[str]:
        return [output["name"] for output in self.g.node(node)["outputs"]]


def sdxl(p: Portrait, pos: tuple[int, int], prompt: str) -> tuple[int, int, int]:
    """Add an SDXL checkpoint and its prompts."""
    x, y = pos
    model = p.g.add("CheckpointLoaderSimple", pos, (280, 100), ckpt_name="sd_xl_base_1.0.safetensors")
    positive = p.g.add("CLIPTextEncode", (x, y + 150), (280, 140), title="Prompt", text=prompt)
    negative = p.g.add(
        "CLIPTextEncode",
        (x, y + 340),
        (280, 110),
        title="Negative prompt",
        text="low quality, blurry, deformed, watermark",
    )
    p.g.link(model, "CLIP", positive, "clip")
    p.g.link(model, "CLIP", negative, "clip")
    return model, positive, negative

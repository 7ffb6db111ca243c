# ruff: noqa: E501 - the notes are texts
"""Writes ``workflows/*.json``: ``python -m authoring.templates``, after a change of a node's inputs.

What an artist would set is written here; everything else is the node's default. Thumbnails are
pictures of real runs beside the workflows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness import ROOT

from .graph import Graph

FOLDER = ROOT / "workflows"
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
        return self.g.add("HiFiPortraitLoadHiFiNet", pos, (280, 60), checkpoint=checkpoint)

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

    def save_image(
        self, image: int, pos: tuple[int, int], prefix: str, size: tuple[int, int] = (340, 400)
    ) -> int:
        """Add Save Image."""
        node = self.g.add("SaveImage", pos, size, filename_prefix=prefix)
        output = next(name for name in self._outputs(image) if name.lower() in ("image", "images", "drawing"))
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


def first_portrait(info: Mapping[str, Any]) -> Graph:
    """Build the main job: photos, identity, landmarks, tiny model, portrait, comparison."""
    p = Portrait(info)
    p.g.note(
        (-420, 0),
        (360, 560),
        f"""
# First portrait
{PHOTOS}{TINY_FILES}
Press **Run**. You see, from left to right: the photos with a bar for the quality of each; the face in 3D; the
portrait; and a table that says how alike portrait and photos are.

**Then play.** Turn the head in *Generate Landmarks* by dragging it, pull at a corner of the mouth, pick an
expression below the face, and run again.
{TINY_LOOK}
""",
    )
    analyzer = p.analyzer()
    faces = p.references(analyzer)
    network = p.network()
    identity = p.identity(faces, network)
    landmarks = p.landmarks(identity, yaw=20, smile=0.4, **TINY_PLACE)
    model, positive, negative = p.tiny()
    applied = p.apply(model, network, identity, landmarks, **FULL)
    decode = p.sample(applied, positive, negative, model)
    p.save_image(decode, (1540, 570), "hifi_portrait/first")
    compare = p.compare(analyzer, faces, decode, (1940, 0))
    p.g.link(landmarks, "landmarks", compare, "target")
    p.g.group("1  Photos of one person", (-20, -60, 340, 800))
    p.g.group("2  Who, and with what", (340, -60, 320, 880))
    p.g.group("3  Pose and expression", (680, -60, 440, 1140), "#a1309b")
    p.g.group("4  Portrait", (1140, -60, 760, 1080), "#3f9e5a")
    p.g.group("5  How alike", (1920, -60, 420, 560), "#b58b2a")
    return p.g


def _sdxl(p: Portrait, pos: tuple[int, int], prompt: str) -> tuple[int, int, int]:
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


def sdxl_warm_start(info: Mapping[str, Any]) -> Graph:
    """Build SDXL with HiFi-Net started from InstantID's published weights."""
    p = Portrait(info)
    p.g.note(
        (-420, 0),
        (360, 760),
        f"""
# SDXL portrait
{PHOTOS}{SDXL_FILES}
HiFi-Net starts from InstantID's weights here: with one photo it draws what InstantID draws; with several, their
likeness is combined by quality, and pose and expression come from *Generate Landmarks* instead of a photo.

| what you see | what to do |
|---|---|
| burned, too much contrast | `cfg` 4 to 5, or `identity_strength` 0.6 |
| prompt ignored | `identity_strength` 0.6, `start_percent` 0.1 |
| pose not followed | `landmark_strength` 1.0 |
| not alike | more and sharper photos; look at the bars of *Load Reference Faces* |
""",
    )
    analyzer = p.analyzer(analyzer="antelopev2", missing_files="ask")
    faces = p.references(analyzer)
    network = p.network(checkpoint="InstantID (warm start)")
    identity = p.identity(faces, network)
    landmarks = p.landmarks(identity, width=832, height=1216, style="kps5", yaw=15, smile=0.3)
    model, positive, negative = _sdxl(
        p, (360, 320), "studio portrait photo, soft window light, 85 mm, detailed skin, linen shirt"
    )
    applied = p.apply(model, network, identity, landmarks, unconditional="zero identity")
    latent = p.g.add("EmptyLatentImage", (1160, 800), (320, 110), width=832, height=1216)
    decode = p.sample(
        applied,
        positive,
        negative,
        model,
        latent=latent,
        steps=30,
        cfg=5.0,
        sampler_name="dpmpp_2m",
        scheduler="karras",
    )
    p.save_image(decode, (1540, 570), "hifi_portrait/sdxl", (340, 520))
    p.compare(analyzer, faces, decode, (1940, 0))
    p.g.group("1  Photos of one person", (-20, -60, 340, 800))
    p.g.group("2  Who, and with what", (340, -60, 320, 880))
    p.g.group("3  Pose and expression", (680, -60, 440, 1140), "#a1309b")
    p.g.group("4  Portrait", (1140, -60, 760, 1180), "#3f9e5a")
    return p.g


def references_1_2_4(info: Mapping[str, Any]) -> Graph:
    """Build the same portrait from one, two and four photos, side by side."""
    p = Portrait(info)
    p.g.note(
        (-420, 0),
        (360, 480),
        f"""
# One, two, four photos

Put exactly **four** photos of one person into the folder `person` in ComfyUI's `input` folder.

Three *Load Reference Faces* read the same folder. Their `weights` say which photos count: `1, 0, 0, 0` is the
first alone, `1, 1, 0, 0` the first two, `1, 1, 1, 1` all. A weight of 0 is exactly as if the photo were not there.
Everything else is equal, the seed too, so that the difference is what the photos bring.

*Compare Faces* rates the three portraits against all four photos.
{TINY_FILES}{TINY_LOOK}
""",
    )
    analyzer = p.analyzer()
    network = p.network((0, 200))
    model, positive, negative = p.tiny((0, 310))
    decoded, references = [], []
    landmarks = p.landmarks(None, (700, 1840), smile=0.3, **TINY_PLACE)
    p.g.node(landmarks)["title"] = "Generate Landmarks (for all three)"
    latent = p.g.add("EmptyLatentImage", (1160, 1840), (320, 110), width=128, height=128)
    for row, (label, weights) in enumerate(
        (("1 photo", "1, 0, 0, 0"), ("2 photos", "1, 1, 0, 0"), ("4 photos", "1, 1, 1, 1"))
    ):
        y = row * 600
        faces = p.references(analyzer, (360, y), weights=weights)
        identity = p.identity(faces, network, (700, y))
        applied = p.apply(model, network, identity, landmarks, (1160, y), **FULL)
        decode = p.sample(applied, positive, negative, model, (1520, y), latent=latent)
        decoded.append(decode)
        references.append(faces)
        p.g.group(label, (340, y - 60, 1780, 640), "#3f789e")
    # The shape that four photos agree on, for all three: only the likeness differs.
    p.g.link(identity, "identity", landmarks, "identity")
    two = p.g.add("ImageBatch", (2160, 0), (200, 50))
    p.g.link(decoded[0], "IMAGE", two, "image1")
    p.g.link(decoded[1], "IMAGE", two, "image2")
    three = p.g.add("ImageBatch", (2160, 120), (200, 50))
    p.g.link(two, "IMAGE", three, "image1")
    p.g.link(decoded[2], "IMAGE", three, "image2")
    p.save_image(three, (2160, 240), "hifi_portrait/by_references", (420, 300))
    p.compare(analyzer, references[2], three, (2160, 600))
    return p.g


def expression_sheet(info: Mapping[str, Any]) -> Graph:
    """Build a character sheet of nine expressions in one run."""
    p = Portrait(info)
    p.g.note(
        (-420, 0),
        (360, 420),
        f"""
# Expression sheet

Nine expressions of one person in one run. The `presets` of *Expression Sheet* name them; each is one picture of the
batch, so `batch_size` of *Empty Latent Image* is 9 too. `strength` calms or exaggerates all of them.
{PHOTOS}{TINY_FILES}{TINY_LOOK}
""",
    )
    analyzer = p.analyzer()
    faces = p.references(analyzer)
    network = p.network()
    identity = p.identity(faces, network)
    sheet = p.g.add(
        "HiFiPortraitExpressionSheet", (700, 0), (400, 700), width=128, height=128, scale=TINY_PLACE["scale"]
    )
    p.g.link(identity, "identity", sheet, "identity")
    model, positive, negative = p.tiny()
    applied = p.apply(model, network, identity, sheet, **FULL)
    decode = p.sample(applied, positive, negative, model, batch=9)
    p.save_image(decode, (1540, 570), "hifi_portrait/expressions", (420, 440))
    return p.g


def pose_from_photo(info: Mapping[str, Any]) -> Graph:
    """Build a portrait that takes pose and expression from a photo of anybody, sliders on top."""
    p = Portrait(info)
    p.g.note(
        (-420, 0),
        (360, 500),
        f"""
# Pose and expression from a photo

The photo in *Load Image* gives pose, expression and place: choose one there, of anybody. The person stays the one
in the folder `person`. The sliders **add** to the photo: `smile` 0.3 smiles more than the photo, -0.3 less. After
the first run the face above the sliders shows photo and sliders together.

`target_place` at `as in the target` puts the head where the photo has it.
{PHOTOS}{TINY_FILES}{TINY_LOOK}
""",
    )
    analyzer = p.analyzer()
    faces = p.references(analyzer)
    network = p.network()
    identity = p.identity(faces, network)
    photo = p.g.add("LoadImage", (360, 840), (280, 320), title="Pose and expression", image="pose.jpg")
    landmarks = p.landmarks(identity, **TINY_PLACE)
    p.g.link(photo, "IMAGE", landmarks, "target_image")
    p.g.link(analyzer, "analyzer", landmarks, "analyzer")
    model, positive, negative = p.tiny()
    applied = p.apply(model, network, identity, landmarks, **FULL)
    decode = p.sample(applied, positive, negative, model)
    p.save_image(decode, (1540, 570), "hifi_portrait/pose")
    compare = p.compare(analyzer, faces, decode, (1940, 0))
    p.g.link(landmarks, "landmarks", compare, "target")
    return p.g


def two_people_with_masks(info: Mapping[str, Any]) -> Graph:
    """Build one SDXL picture of two people, each with mask, identity and landmarks of their own."""
    p = Portrait(info)
    width, height = 1216, 832
    p.g.note(
        (-420, 0),
        (360, 760),
        f"""
# Two people

Two chained *Apply HiFi-Net*, one per person, each with its own photos, landmarks and mask. The masks are the left
and the right half, softened by `mask_feather`; paint your own with *Load Image (as Mask)* or the mask editor.
*Preview People* shows who is where before you spend time on sampling.

**Photos:** folders `person` and `person2` in ComfyUI's `input` folder, one person in each.
{SDXL_FILES}
""",
    )
    analyzer = p.analyzer(analyzer="antelopev2", missing_files="ask")
    network = p.network((0, 200), checkpoint="InstantID (warm start)")
    model, positive, negative = _sdxl(
        p, (0, 310), "photo of two friends side by side, park, evening light, upper bodies"
    )
    empty = p.g.add("SolidMask", (0, 820), (280, 110), value=0.0, width=width, height=height)
    half = p.g.add("SolidMask", (0, 980), (280, 110), value=1.0, width=width // 2, height=height)
    applied = model
    for number, (folder, x, turn) in enumerate((("person", -0.5, 15), ("person2", 0.5, -15))):
        y = number * 1240
        faces = p.references(analyzer, (360, y), folder=folder)
        identity = p.identity(faces, network, (700, y))
        mask = p.g.add(
            "MaskComposite",
            (700, y + 200),
            (280, 130),
            title=f"Where person {number + 1} is",
            x=number * width // 2,
            operation="add",
        )
        p.g.link(empty, "MASK", mask, "destination")
        p.g.link(half, "MASK", mask, "source")
        landmarks = p.landmarks(
            identity, (1040, y), width=width, height=height, style="kps5", position_x=x, yaw=turn, smile=0.3
        )
        applied = p.apply(
            applied,
            network,
            identity,
            landmarks,
            (1500, y),
            mask_feather=64,
            unconditional="zero identity",
            name=f"person {number + 1}",
        )
        p.g.link(mask, "MASK", applied, "mask")
        p.g.group(f"Person {number + 1}", (340, y - 60, 1500, 1200), "#3f789e" if number == 0 else "#a1309b")
    people = p.g.add("HiFiPortraitPreviewPeople", (1880, 0), (380, 420), width=width, height=height)
    p.g.link(applied, "model", people, "model")
    latent = p.g.add("EmptyLatentImage", (1880, 820), (320, 110), width=width, height=height)
    decode = p.sample(
        applied,
        positive,
        negative,
        model,
        (1880, 490),
        latent=latent,
        steps=30,
        cfg=5.0,
        sampler_name="dpmpp_2m",
        scheduler="karras",
    )
    p.save_image(decode, (2260, 600), "hifi_portrait/two_people", (420, 360))
    return p.g


def video_with_one_identity(info: Mapping[str, Any]) -> Graph:
    """Build a short video that moves one person by the face of another."""
    p = Portrait(info)
    p.g.note(
        (-420, 0),
        (360, 500),
        f"""
# Video frames with one identity

A video of anybody moves the face of your person, frame by frame. *Landmark Sequence* reads the frames, smooths the
movement, and gives a batch of landmarks: `batch_size` of *Empty Latent Image* must be the number of frames
(`max_frames`, 12 here). `every` skips frames. Instead of a video, `capture_file` takes a Live Link Face recording.

**Video:** choose one in *Load Video*, of one person, face to the camera.
{PHOTOS}{TINY_FILES}{TINY_LOOK}
""",
    )
    frames = 12
    analyzer = p.analyzer()
    faces = p.references(analyzer)
    network = p.network()
    identity = p.identity(faces, network)
    video = p.g.add("LoadVideo", (360, 840), (280, 320), file="performance.mp4")
    parts = p.g.add("GetVideoComponents", (700, 840), (280, 90))
    p.g.link(video, "VIDEO", parts, "video")
    sequence = p.g.add(
        "HiFiPortraitLandmarkSequence",
        (700, 0),
        (400, 760),
        width=128,
        height=128,
        max_frames=frames,
    )
    p.g.link(identity, "identity", sequence, "identity")
    p.g.link(parts, "images", sequence, "frames")
    p.g.link(analyzer, "analyzer", sequence, "analyzer")
    model, positive, negative = p.tiny()
    applied = p.apply(model, network, identity, sequence, **FULL)
    decode = p.sample(applied, positive, negative, model, batch=frames)
    made = p.g.add("CreateVideo", (1540, 600), (280, 90))
    p.g.link(decode, "IMAGE", made, "images")
    p.g.link(parts, "fps", made, "fps")
    saved = p.g.add("SaveVideo", (1540, 740), (340, 400), filename_prefix="hifi_portrait/video")
    p.g.link(made, "VIDEO", saved, "video")
    return p.g


def save_and_reuse_identity(info: Mapping[str, Any]) -> Graph:
    """Build both halves: keep a person, and use the person again without the photos."""
    p = Portrait(info)
    p.g.note(
        (-420, 0),
        (360, 560),
        f"""
# Save an identity, use it again

1. **Run** once: the upper half makes the identity from the photos and saves it as `person` in
   `models/hifi_portrait/identities`.
2. Select the lower group, press **Ctrl+M** (it is muted now), press **R** to read the list again, and choose
   `person` in *Load Identity*.
3. Mute the upper group with Ctrl+M and run: no photos, no face analyzer, nothing to wait for.

An identity holds no photos, but it describes a real face (with the tiny model even its colours, unwrapped):
share it only with that person's consent. It belongs to
the checkpoint that made it.
{PHOTOS}{TINY_FILES}{TINY_LOOK}
""",
    )
    analyzer = p.analyzer()
    faces = p.references(analyzer, (360, 0))
    network = p.network((0, 200))
    identity = p.identity(faces, network, (700, 0))
    saved = p.g.add("HiFiPortraitSaveIdentity", (1040, 0), (320, 130), name=PERSON)
    p.g.link(identity, "identity", saved, "identity")
    p.g.group("Keep a person", (-20, -60, 1420, 620))
    first_of_second = len(p.g.nodes)
    loaded = p.g.add("HiFiPortraitLoadIdentity", (0, 720), (300, 110), name=PERSON)
    network2 = p.network((0, 880))
    model, positive, negative = p.tiny((0, 990))
    landmarks = p.landmarks(loaded, (360, 720), yaw=-20, smile=0.5, **TINY_PLACE)
    applied = p.apply(model, network2, loaded, landmarks, (800, 720), **FULL)
    decode = p.sample(applied, positive, negative, model, (800, 1190))
    p.save_image(decode, (1180, 1290), "hifi_portrait/reused")
    for node in p.g.nodes[first_of_second:]:
        node["mode"] = 2
    p.g.group("Use the person again", (-20, 660, 1580, 1140), "#3f9e5a")
    return p.g


TEMPLATES: dict[str, Callable[[Mapping[str, Any]], Graph]] = {
    "first-portrait": first_portrait,
    "sdxl-warm-start": sdxl_warm_start,
    "references-1-2-4": references_1_2_4,
    "expression-sheet": expression_sheet,
    "pose-from-photo": pose_from_photo,
    "two-people-with-masks": two_people_with_masks,
    "video-with-one-identity": video_with_one_identity,
    "save-and-reuse-identity": save_and_reuse_identity,
}


def write(info: Mapping[str, Any]) -> None:
    """Write all templates."""
    FOLDER.mkdir(exist_ok=True)
    for name, build in TEMPLATES.items():
        build(info).save(FOLDER / f"{name}.json")


if __name__ == "__main__":
    from harness.host import running_host

    with running_host() as host:
        write(host.object_info())
    print(f"{len(TEMPLATES)} workflows in {FOLDER}")

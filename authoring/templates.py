# ruff: noqa: E501 - the notes are texts
"""Writes ``example_workflows/*.json``: ``python -m authoring.templates``, after a change of a node's inputs.

What an artist would set is written here; everything else is the node's default. Thumbnails are
pictures of real runs beside the workflows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness import ROOT

from .graph import Graph
from .template_parts import (
    FULL,
    PERSON,
    PHOTOS,
    TINY_FILES,
    TINY_LOOK,
    TINY_PLACE,
    Portrait,
)
from .templates_head import photos_to_any_pose, sdxl_head_guided, skin_detail
from .templates_sdxl import sdxl_warm_start, two_people_with_masks

FOLDER = ROOT / "example_workflows"


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
    job = p.main_job()
    p.save_image(job.decode, (1540, 570), "hifi_portrait/first")
    compare = p.compare(job.analyzer, job.faces, job.decode, (1940, 0))
    p.g.link(job.landmarks, "landmarks", compare, "target")
    p.g.group("1  Photos of one person", (-20, -60, 340, 800))
    p.g.group("2  Who, and with what", (340, -60, 320, 880))
    p.g.group("3  Pose and expression", (680, -60, 440, 1140), "#a1309b")
    p.g.group("4  Portrait", (1140, -60, 760, 1080), "#3f9e5a")
    p.g.group("5  How alike", (1920, -60, 420, 560), "#b58b2a")
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

An identity holds no photos, but it describes a real face (with the tiny model even its colours, as a UV texture):
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
    "photos-to-any-pose": photos_to_any_pose,
    "sdxl-head-guided": sdxl_head_guided,
    "skin-detail": skin_detail,
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

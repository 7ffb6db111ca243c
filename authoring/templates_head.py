# ruff: noqa: E501 - the notes are texts
"""Templates of the photographic head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .graph import Graph
from .template_parts import FULL, PHOTOS, TINY_FILES, TINY_LOOK, TINY_PLACE, Portrait, sdxl

CANVAS = 768
CONSENT = """
A head is a photograph of the person. Make and share pictures of people with their consent only.
"""


def fuse(p: Portrait, faces: int, pos: tuple[int, int]) -> int:
    """Add Fuse Head."""
    node = p.g.add("HiFiPortraitFuseHead", pos, (320, 420))
    p.g.link(faces, "faces", node, "faces")
    return node


def posed(p: Portrait, head: int, pos: tuple[int, int], **values: Any) -> int:
    """Add Generate Landmarks that shows the head."""
    node = p.landmarks(None, pos, **values)
    p.g.link(head, "head", node, "head")
    return node


def render(p: Portrait, head: int, landmarks: int, pos: tuple[int, int], **values: Any) -> int:
    """Add Render Head."""
    node = p.g.add("HiFiPortraitRenderHead", pos, (340, 560), **values)
    p.g.link(head, "head", node, "head")
    p.g.link(landmarks, "landmarks", node, "landmarks")
    return node


def use(p: Portrait, shown: int, node: int) -> None:
    """Link a render, where the head is, and its confidence."""
    for output, name in (("render", "render"), ("head_mask", "head_mask"), ("confidence", "confidence")):
        p.g.link(shown, output, node, name)


def guide(p: Portrait, model: int, vae: int, shown: int, pos: tuple[int, int], **values: Any) -> int:
    """Add Guide with Head."""
    node = p.g.add("HiFiPortraitGuideWithHead", pos, (320, 380), **values)
    names = [output["name"] for output in p.g.node(model)["outputs"]]
    p.g.link(model, "model" if "model" in names else "MODEL", node, "model")
    names = [output["name"] for output in p.g.node(vae)["outputs"]]
    p.g.link(vae, "vae" if "vae" in names else "VAE", node, "vae")
    use(p, shown, node)
    return node


def photos_to_any_pose(info: Mapping[str, Any]) -> Graph:
    """Build the head of several photos in any pose, and a portrait by the tiny model that it guides."""
    p = Portrait(info, CANVAS)
    p.g.note(
        (-420, 0),
        (360, 620),
        f"""
# Photos to any pose
{PHOTOS}{TINY_FILES}
Press **Run**. *Fuse Head* makes one 3D head of all photos: green places of its preview are seen well, red ones are
guessed. *Render Head* pictures it in the pose and with the expression that you set.

**Then play.** After the first run the face in *Generate Landmarks* **is** the person: drag it, pull at a corner of the
mouth, pick an expression, and run again. `light` in *Render Head* moves the light.

Below, the same head guides the tiny model. With SDXL: see the template *sdxl-head-guided*.
{TINY_LOOK}{CONSENT}
""",
    )
    analyzer = p.analyzer()
    faces = p.references(analyzer)
    head = fuse(p, faces, (360, 0))
    landmarks = posed(p, head, (740, 0), yaw=25, smile=0.4, **TINY_PLACE)
    shown = render(p, head, landmarks, (1200, 0))
    p.save_image(shown, (1600, 0), "hifi_portrait/head", (420, 480))
    p.g.group("1  Photos of one person", (-20, -60, 340, 800))
    p.g.group("2  One head of all photos", (340, -60, 360, 520))
    p.g.group("3  Pose and expression", (720, -60, 440, 1140), "#a1309b")
    p.g.group("4  The head, posed", (1180, -60, 860, 660), "#3f9e5a")

    y = 1140
    p.size = 128
    network = p.network((0, y))
    identity = p.identity(faces, network, (0, y + 120))
    model, positive, negative = p.tiny((360, y))
    applied = p.apply(model, network, identity, landmarks, (740, y), **FULL)
    small = render(p, head, landmarks, (1100, y), width=128, height=128)
    guided = guide(p, applied, model, small, (1480, y), strength=0.8, end_percent=0.9, falloff=0.0)
    decode = p.sample(guided, positive, negative, model, (1840, y))
    p.save_image(decode, (2220, y + 100), "hifi_portrait/guided")
    p.g.group("5  The tiny model, guided by the head", (-20, y - 60, 2600, 720), "#b58b2a")
    return p.g


def sdxl_head_guided(info: Mapping[str, Any]) -> Graph:
    """Build an SDXL portrait that is guided by the head: no other weights."""
    p = Portrait(info, CANVAS)
    width, height = 832, 1216
    p.g.note(
        (-420, 0),
        (360, 760),
        f"""
# SDXL, guided by the head
{PHOTOS}
**Files:** any SDXL checkpoint in `models/checkpoints`, a few-step or an anime one too; SD 1.5 and flow models go as
well. Nothing else: no face weights, no ControlNet.

While the picture is sampled, it is drawn towards the render of the person's head. The last part is the model's own.

| what you see | what to do |
|---|---|
| looks pasted in | `end_percent` 0.5, or `strength` 0.35; describe the light in the prompt |
| not alike | `strength` 0.7, `end_percent` 0.85; more and sharper photos |
| a style should win | `colours` at *shape only*, `high_band` 0.3 |
| few steps (4 to 8) | `falloff` 0 |
| waxy skin | the second group: *Transfer Skin Detail* |
{CONSENT}
""",
    )
    analyzer = p.analyzer()
    faces = p.references(analyzer)
    head = fuse(p, faces, (360, 0))
    landmarks = posed(p, head, (740, 0), width=width, height=height, yaw=20, smile=0.3)
    shown = render(p, head, landmarks, (1200, 0))
    model, positive, negative = sdxl(
        p, (360, 480), "studio portrait photo, soft window light, 85 mm, detailed skin, linen shirt"
    )
    guided = guide(p, model, model, shown, (1600, 0))
    latent = p.g.add("EmptyLatentImage", (1960, 330), (320, 110), width=width, height=height)
    decode = p.sample(
        guided,
        positive,
        negative,
        model,
        (1960, 0),
        latent=latent,
        steps=30,
        cfg=5.0,
        sampler_name="dpmpp_2m",
        scheduler="karras",
    )
    p.save_image(decode, (2340, 110), "hifi_portrait/guided", (340, 520))
    detailed = p.g.add("HiFiPortraitTransferSkinDetail", (1600, 700), (320, 240), strength=0.7)
    p.g.link(decode, "IMAGE", detailed, "image")
    use(p, shown, detailed)
    p.save_image(detailed, (1960, 700), "hifi_portrait/skin", (340, 520))
    p.g.group("1  Photos of one person", (-20, -60, 340, 800))
    p.g.group("2  One head of all photos", (340, -60, 360, 500))
    p.g.group("3  Pose and expression", (720, -60, 440, 1140), "#a1309b")
    p.g.group("4  Render, guide, sample", (1180, -60, 1520, 700), "#3f9e5a")
    p.g.group("5  The person's own skin", (1580, 660, 740, 580), "#b58b2a")
    return p.g


def skin_detail(info: Mapping[str, Any]) -> Graph:
    """Build the person's own skin into any finished picture of the person."""
    p = Portrait(info, CANVAS)
    p.g.note(
        (-420, 0),
        (360, 560),
        f"""
# The person's own skin

For a finished picture whose skin looks like wax. Choose it in *Load Image*; it must show the person of the photos.
*Landmarks From Photo* finds the pose, *Render Head* turns the head of the photos there, and *Transfer Skin Detail*
brings pores, moles and lines over. Colours and light stay the picture's.
{PHOTOS}{TINY_FILES}
At least one photo should be sharp and show a large face: its skin is what you get. `radius` says how coarse the
detail may be, `strength` how much of it.
{CONSENT}
""",
    )
    analyzer = p.analyzer()
    faces = p.references(analyzer)
    head = fuse(p, faces, (360, 0))
    picture = p.g.add("LoadImage", (360, 480), (320, 320), title="Finished picture", image="portrait.png")
    found = p.g.add("HiFiPortraitLandmarksFromPhoto", (740, 0), (340, 440))
    p.g.link(picture, "IMAGE", found, "image")
    p.g.link(analyzer, "analyzer", found, "analyzer")
    shown = render(p, head, found, (1140, 0))
    detailed = p.g.add("HiFiPortraitTransferSkinDetail", (1540, 0), (320, 240))
    p.g.link(picture, "IMAGE", detailed, "image")
    use(p, shown, detailed)
    p.save_image(detailed, (1540, 300), "hifi_portrait/skin", (420, 480))
    p.g.group("1  Photos of one person", (-20, -60, 340, 800))
    p.g.group("2  Head and picture", (340, -60, 360, 880))
    p.g.group("3  The same pose", (720, -60, 780, 660), "#a1309b")
    p.g.group("4  Skin", (1520, -60, 480, 880), "#3f9e5a")
    return p.g

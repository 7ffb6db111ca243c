# ruff: noqa: E501 - the notes are texts
"""Templates for SDXL with InstantID's published weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .graph import Graph
from .template_parts import PHOTOS, SDXL_FILES, Portrait, sdxl


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
    model, positive, negative = sdxl(
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
    model, positive, negative = sdxl(
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

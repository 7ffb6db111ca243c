"""The largest differences between our networks and those that they must equal; for tests and benchmark."""

from dataclasses import fields
from functools import partial
from pathlib import Path

import torch
from diffusers import ControlNetModel
from hifi_portrait.models import FaceBatch, HiFiNetConfig
from safetensors.torch import load_file, save_file

from tests.models.networks import SMALL, random_faces, random_inputs, random_portrait, randomise
from tests.models.reference import (
    Decoupled,
    Plain,
    ReferenceAdapter,
    added_conditions,
    diffusers_controlnet,
    diffusers_unet,
)

SCALE = 0.8
"""Of identity attention."""


def controlnet_difference(config: HiFiNetConfig, height: int, width: int) -> float:
    """HiFi-Net with what is ours at its zero start against diffusers' ControlNet, the same random weights."""
    portrait = random_portrait(config, seed=3, fusion_at_zero=True)
    reference = diffusers_controlnet(config).requires_grad_(False)
    state = portrait.hifi_net.state_dict()
    trunk = {k: v for k, v in state.items() if ".fusion." not in k and "texture_embedding" not in k}
    reference.load_state_dict(trunk, strict=True)
    inputs = random_inputs(config, 2, height, width)
    inputs["y"], added = added_conditions(config, inputs["y"])
    tokens, detail = portrait.refiner(random_faces(config, 3))
    tokens = tokens.expand(2, -1, -1)
    ours = portrait.hifi_net(context=tokens, detail=detail, **inputs)
    down, mid = reference(
        inputs["x"],
        inputs["timesteps"],
        tokens,
        inputs["target"].hint,
        added_cond_kwargs=added,
        return_dict=False,
    )
    assert ours.mid.abs().max() > 0.1  # nothing would be shown by two zeros
    pairs = zip((*ours.down, ours.mid), (*down, mid), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


def outputs_of(portrait, faces, inputs):
    """Identity tokens, and all residuals."""
    tokens, detail = portrait.refiner(faces)
    return tokens, portrait.hifi_net(context=tokens.expand(2, -1, -1), detail=detail, **inputs)


def relative_difference(a, b) -> float:
    """Of tokens and residuals, each relative to the tensor's largest value if that is above 1."""
    pairs = zip((a[0], *a[1].down, a[1].mid), (b[0], *b[1].down, b[1].mid), strict=True)
    return max(float((x - y).abs().max()) / max(1.0, float(x.abs().max())) for x, y in pairs)


def picked(faces, order):
    """Some faces, in that order."""
    values = {f.name: getattr(faces, f.name) for f in fields(faces)}
    return FaceBatch(**{k: v if v is None else v[order] for k, v in values.items()})


def noise_difference(portrait, reference, seed: int) -> float:
    """A whole noise prediction with our parts against InstantID's: the largest absolute difference."""
    controlnet, adapter = reference
    generator = torch.Generator().manual_seed(seed)
    portrait.requires_grad_(False)
    unet = diffusers_unet(SMALL).requires_grad_(False)
    randomise(unet, 20 + seed)
    inputs = random_inputs(SMALL, seed=seed)
    inputs["y"], added = added_conditions(SMALL, inputs["y"])
    embedding = torch.randn((1, SMALL.embedding_dim), generator=generator) * 3
    text = torch.randn((2, 7, SMALL.context_dim), generator=generator)
    crop = portrait.config.crop_size
    blank = torch.zeros(1, 3, crop, crop)
    tokens, detail = portrait.refiner(FaceBatch(blank, blank, embedding, torch.ones(1)))

    def predict(face, down, mid):
        return unet(
            inputs["x"],
            inputs["timesteps"],
            (text, face.expand(2, -1, -1)),
            added_cond_kwargs=added,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
            return_dict=False,
        )[0]

    adapter.install(unet, SCALE)
    face = adapter.tokens(embedding)
    down, mid = controlnet(
        inputs["x"],
        inputs["timesteps"],
        face.expand(2, -1, -1),
        inputs["target"].hint,
        added_cond_kwargs=added,
        return_dict=False,
    )
    wanted = predict(face, down, mid)

    processors, index = {}, 0
    for name in unet.attn_processors:
        processors[name] = Plain()
        if name.endswith("attn2.processor"):
            processors[name] = Decoupled(partial(portrait.identity_attention.keys_values, index), SCALE)
            index += 1
    assert index == len(SMALL.identity_layers())
    unet.set_attn_processor(processors)
    residuals = portrait.hifi_net(context=tokens.expand(2, -1, -1), detail=detail, **inputs)
    ours = predict(tokens, residuals.down, residuals.mid)
    assert wanted.abs().max() > 0.1
    return float((ours - wanted).abs().max())


def write_instantid_files(folder: Path) -> tuple[Path, Path]:
    """Write IdentityNet's and the adapter's file in InstantID's formats, random weights of SMALL's sizes."""
    controlnet = diffusers_controlnet(SMALL)
    randomise(controlnet, 11)
    save_file(controlnet.state_dict(), folder / "diffusion_pytorch_model.safetensors")
    adapter = ReferenceAdapter(SMALL, seed=12)
    torch.save(
        {"image_proj": adapter.image_proj, "ip_adapter": adapter.ip_adapter}, folder / "ip-adapter.bin"
    )
    return folder / "diffusion_pytorch_model.safetensors", folder / "ip-adapter.bin"


def instantid_parts(files: tuple[Path, Path]) -> tuple[ControlNetModel, ReferenceAdapter]:
    """InstantID's parts with the weights of those files."""
    controlnet = diffusers_controlnet(SMALL)
    controlnet.load_state_dict(load_file(files[0]), strict=True)
    return controlnet.requires_grad_(False), ReferenceAdapter(SMALL, seed=12)

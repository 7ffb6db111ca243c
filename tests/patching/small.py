"""A real ComfyUI in this process, a small random SDXL on it, and a small random HiFi-Net that fits it.

Shared by the tests of the model patch and by its benchmark.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
from hifi_portrait.identity.identity import Identity
from hifi_portrait.landmarks.generate import generate
from hifi_portrait.landmarks.model import FaceModel
from hifi_portrait.models.config import HiFiNetConfig
from hifi_portrait.models.portrait import HiFiPortrait, build
from hifi_portrait.models.tokens import FaceBatch
from torch import Tensor

from harness.host import import_host

import_host()
torch.set_num_threads(1)


CLONE_RULES = ("deep copies", "shared leaves")
"""What a clone has of ``model_options``: 0.3.75 copies all, newer hosts share all but lists and dicts."""


def set_clone_rule(monkeypatch, rule: str) -> None:
    """Make the host clone by one of `CLONE_RULES`, whichever is its own."""
    import comfy.model_patcher
    import comfy.utils
    from comfy.patcher_extension import copy_nested_dicts

    copies = copy.deepcopy if rule == CLONE_RULES[0] else copy_nested_dicts
    if hasattr(comfy.utils, "deepcopy_list_dict"):
        monkeypatch.setattr(comfy.utils, "deepcopy_list_dict", copies)
    else:
        monkeypatch.setattr(comfy.model_patcher, "copy", SimpleNamespace(deepcopy=copies, copy=copy.copy))


CONFIG = HiFiNetConfig(
    hint_widths=(8, 8, 16, 16),
    block_out_channels=(32, 64, 128),
    transformer_depth=(0, 1, 2),
    mid_depth=2,
    head_channels=32,
    context_dim=64,
    recognizer="sface",
    embedding_dim=32,
    embedding_kind="unit",
    identity_tokens=4,
    resampler_dim=32,
    resampler_depth=1,
    resampler_heads=1,
    resampler_head_channels=32,
    crop_size=32,
    pyramid_widths=(8, 16, 16, 16, 16),
    detail_channels=32,
    refiner_depth=1,
    refiner_head_channels=32,
    face_queries=2,
    texture_size=32,
    texture_widths=(8, 8),
    texture_encoder_width=16,
)
"""A HiFi-Net for `unet_config`: SDXL's layout at a tenth of its width and two transformer blocks of ten."""


TWO_LEVELS = {
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "transformer_depth": [0, 1],
    "transformer_depth_output": [0, 0, 1, 1],
    "transformer_depth_middle": 1,
}
"""Changes to `unet_config` that leave four cross-attention layers, for what is slow or done often."""


def unet_config(**changes) -> dict:
    """Return the host's description of a small SDXL."""
    config = {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 32,
        "num_res_blocks": [2, 2, 2],
        "transformer_depth": [0, 0, 1, 1, 2, 2],
        "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
        "transformer_depth_middle": 2,
        "channel_mult": [1, 2, 4],
        "context_dim": 64,
        "num_head_channels": 32,
        "num_heads": -1,
        "use_spatial_transformer": True,
        "use_linear_in_transformer": True,
        "adm_in_channels": 2816,
        "num_classes": "sequential",
        "legacy": False,
        "use_temporal_attention": False,
        "dtype": torch.float32,
    }
    return {**config, **changes}


def randomise(module: torch.nn.Module, seed: int) -> None:
    """Fill every parameter, those that start at zero too, so that each path shows in the output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim < 2:
                parameter.copy_(0.1 * noise + ("norm" in name and name.endswith("weight")))
            else:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)


def make_model(seed: int = 0, **changes):
    """Return a MODEL: the host's SDXL of `unet_config` with random weights."""
    import comfy.model_patcher
    import comfy.supported_models

    description = comfy.supported_models.SDXL(unet_config(**changes))
    # The host's description insists on SDXL's own 64.
    description.unet_config["num_head_channels"] = CONFIG.head_channels
    model = description.get_model({}, "", device="cpu")
    randomise(model.diffusion_model, seed)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)


def small_vae(channels: int = 4):
    """Return a random VAE in the host's own class: a picture to latents of an eighth of its size."""
    import comfy.sd

    layers = {"ch": 32, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0}
    sizes = {"double_z": True, "z_channels": channels, "resolution": 64, "in_channels": 3, "out_ch": 3}
    vae = comfy.sd.VAE(sd={}, config={"params": {"ddconfig": {**layers, **sizes}, "embed_dim": channels}})
    randomise(vae.first_stage_model, 0)
    return vae


def make_hifi_net(config: HiFiNetConfig, seed: int):
    """Return a random HiFi-Net of any size, in the host's care, without a file."""
    import comfy.model_patcher
    import comfy.ops
    from hifi_portrait.patching.loading import HiFiNetPatcher

    network = build(config, comfy.ops.manual_cast).eval().requires_grad_(False)
    randomise(network, seed)
    cpu = torch.device("cpu")
    patcher = comfy.model_patcher.ModelPatcher(network, load_device=cpu, offload_device=cpu)
    return HiFiNetPatcher(patcher, "random")


def make_identity(network: HiFiPortrait, seed: int, faces: int = 2, **changes) -> Identity:
    """Return a random person."""
    generator = torch.Generator().manual_seed(seed)
    config = network.config
    size = config.crop_size
    grid = torch.linspace(0, 1, size)
    place = torch.stack([grid.expand(size, size), grid[:, None].expand(size, size), torch.ones(size, size)])
    embeddings = torch.nn.functional.normalize(torch.randn(faces, config.embedding_dim, generator=generator))
    batch = FaceBatch(
        crops=torch.rand(faces, 3, size, size, generator=generator) * 2 - 1,
        coords=place.expand(faces, -1, -1, -1),
        embeddings=embeddings,
        weights=torch.ones(faces),
        textures=torch.rand(faces, 4, config.texture_size, config.texture_size, generator=generator)
        if config.texture_size
        else None,
    )
    with torch.no_grad():
        tokens, detail = network.refiner(batch)
    made = Identity(
        tokens=tokens,
        detail=detail,
        embedding=embeddings.mean(0),
        shape=np.zeros(FaceModel.load().components, np.float32),
        recognizer=config.recognizer,
        checkpoint=network.checkpoint_id,
        sources=("a",) * faces,
        weights=(1.0,) * faces,
        fingerprint=f"random {seed}",
    )
    return replace(made, **changes)


def make_landmarks(*poses: tuple[float, float, float], width: int = 128, height: int = 128, **where):
    """Return landmarks, one for each pose."""
    model = FaceModel.load()
    poses = poses or ((0.0, 0.0, 0.0),)
    return generate(model, np.zeros(model.components), np.array(poses), None, width, height, **where)


def conditioning(seed: int, tokens: int = 77, **options) -> list:
    """Return the host's CONDITIONING with random text."""
    generator = torch.Generator().manual_seed(1000 + seed)
    text = torch.randn(1, tokens, 64, generator=generator)
    return [[text, {"pooled_output": torch.randn(1, 1280, generator=generator), **options}]]


@torch.inference_mode()
def sample(
    model,
    *,
    latent: Tensor | None = None,
    size: tuple[int, int] = (16, 16),
    batch: int = 1,
    steps: int = 2,
    cfg: float = 4.0,
    positive: list | None = None,
    negative: list | None = None,
    seed: int = 3,
    noise: Tensor | None = None,
    **options,
) -> Tensor:
    """Return latents sampled by the host."""
    import comfy.sample

    if latent is None:
        latent = torch.zeros(batch, 4, *size)
    return comfy.sample.sample(
        model,
        comfy.sample.prepare_noise(latent, seed) if noise is None else noise,
        steps,
        cfg,
        "euler",
        "normal",
        positive or conditioning(0),
        negative or conditioning(1),
        latent,
        disable_pbar=True,
        seed=seed,
        **options,
    )


class Recorder:
    """Watches one attention replacement: keeps what it adds to the host's own attention."""

    def __init__(self, inner, seen: dict) -> None:
        self.inner = inner
        self.seen = seen

    def __call__(self, q, k, v, extra_options):
        from hifi_portrait.patching.attention import host_attention

        out = self.inner(q, k, v, extra_options)
        key = (*extra_options["block"], extra_options["block_index"])
        base = host_attention(q, k, v, extra_options)
        self.seen.setdefault(key, []).append((out - base, extra_options["activations_shape"]))
        return out


class Watch:
    """What a patched model injects, call by call: into each attention layer, and as ``control``."""

    def __init__(self, model) -> None:
        self.attention: dict[tuple[str, int, int], list] = {}
        self.control: list = []
        self.inputs: list = []
        self.model = model.clone()
        options = self.model.model_options["transformer_options"]
        for key, patch in options.get("patches_replace", {}).get("attn2", {}).items():
            self.model.set_model_attn2_replace(Recorder(patch, self.attention), *key)
        self.model.add_wrapper_with_key("diffusion_model", "watch", self._look)

    def _look(self, executor, x, timesteps, context, y, control, transformer_options, **kwargs):
        kept = (
            None
            if control is None
            else {k: [None if r is None else r.clone() for r in v] for k, v in control.items()}
        )
        self.control.append(kept)
        self.inputs.append((x.clone(), transformer_options["cond_or_uncond"]))
        return executor(x, timesteps, context, y, control, transformer_options, **kwargs)

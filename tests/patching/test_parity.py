"""InstantID through the host: the same latents as the reference parts put together in diffusers."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from hifi_portrait.models.merge import CONCAT, MEAN, token_bias
from hifi_portrait.models.tokens import DetailTokens, FaceBatch
from hifi_portrait.models.warm_start import convert_instantid
from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.loading import load_hifi_net
from hifi_portrait.patching.settings import PatchSettings
from hifi_portrait.patching.target_maps import picture_maps
from safetensors.torch import save_file
from torch import Tensor

from tests.models.reference import ReferenceAdapter, diffusers_controlnet, diffusers_unet
from tests.patching.small import (
    CONFIG,
    conditioning,
    make_identity,
    make_model,
    randomise,
    sample,
    unet_config,
)

IDENTITY, LANDMARKS = 0.8, 0.7


class Composition:
    """IdentityNet, image projection, decoupled attention and UNet, as InstantID puts them together."""

    def __init__(self) -> None:
        self.unet: UNet2DConditionModel = diffusers_unet(CONFIG).requires_grad_(False)
        self.controlnet: ControlNetModel = diffusers_controlnet(CONFIG).requires_grad_(False)
        self.adapter = ReferenceAdapter(CONFIG, seed=12)
        randomise(self.unet, 20)
        randomise(self.controlnet, 21)
        # Noise predictions of about the size that trained models give.
        self.unet.conv_out.weight.mul_(0.1)

    def noise(
        self, x: Tensor, timestep: Tensor, text: Tensor, pooled: Tensor, face: Tensor, hint: Tensor
    ) -> Tensor:
        """Return the noise prediction for both halves."""
        side = float(hint.shape[-1])
        added = {
            "text_embeds": pooled,
            "time_ids": torch.tensor([[side, side, 0.0, 0.0, side, side]]).repeat(len(x), 1),
        }
        self.adapter.install(self.unet, IDENTITY)
        down, mid = self.controlnet(
            x, timestep, face, hint, LANDMARKS, added_cond_kwargs=added, return_dict=False
        )
        return self.unet(
            x,
            timestep,
            (text, face),
            added_cond_kwargs=added,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
            return_dict=False,
        )[0]

    @torch.inference_mode()
    def sample(
        self, noise: Tensor, sigmas: Tensor, sampling, cfg: float, embedding: Tensor, hint: Tensor
    ) -> Tensor:
        """Return latents by Euler's method, the unconditional half with the zero embedding's tokens."""
        halves = [conditioning(0)[0], conditioning(1)[0]]
        text = torch.cat([half[0] for half in halves])
        pooled = torch.cat([half[1]["pooled_output"] for half in halves])
        # Of several embeddings the tokens stand side by side.
        face = torch.stack(
            [self.adapter.tokens(e).flatten(0, 1) for e in (embedding, torch.zeros_like(embedding))]
        )
        hints = hint.expand(2, -1, -1, -1)
        x = noise * sigmas[0]
        for now, after in pairwise(sigmas):
            scaled = (x / torch.sqrt(now**2 + 1.0)).repeat(2, 1, 1, 1)
            positive, negative = self.noise(
                scaled, sampling.timestep(now).float().repeat(2), text, pooled, face, hints
            ).chunk(2)
            x = x + (negative + cfg * (positive - negative)) * (after - now)
        return x


@pytest.fixture(scope="module")
def reference() -> Composition:
    return Composition()


@pytest.fixture(scope="module")
def on_the_host(reference, tmp_path_factory):
    """The same weights in ComfyUI: the UNet as a MODEL, InstantID's files converted to a HiFi-Net."""
    import comfy.utils

    model = make_model()
    names = comfy.utils.unet_to_diffusers(unet_config())
    theirs = reference.unet.state_dict()
    converted = {ours: theirs[name] for name, ours in names.items() if name in theirs}
    assert set(converted) == set(model.model.diffusion_model.state_dict())
    model.model.diffusion_model.load_state_dict(converted)

    folder = tmp_path_factory.mktemp("instantid")
    files = folder / "diffusion_pytorch_model.safetensors", folder / "ip-adapter.bin"
    save_file(reference.controlnet.state_dict(), files[0])
    torch.save(
        {"image_proj": reference.adapter.image_proj, "ip_adapter": reference.adapter.ip_adapter}, files[1]
    )
    convert_instantid(*files, folder / "converted.safetensors", dtype=None)
    return model, load_hifi_net(folder / "converted.safetensors")


def host_max_abs_diff(
    reference,
    on_the_host,
    landmarks,
    steps: int = 3,
    cfg: float = 4.0,
    merge: str = MEAN,
    weights: tuple[int, ...] = (1,),
) -> float:
    """Return the largest difference of the latents before decoding, as diffusers has them."""
    model, hifi_net = on_the_host
    embeddings = torch.randn(len(weights), CONFIG.embedding_dim, generator=torch.Generator().manual_seed(4))
    counts = torch.tensor(weights)
    refiner = hifi_net.network.refiner
    identity = make_identity(
        hifi_net.network,
        0,
        tokens=refiner(faces_of(embeddings, counts.float()), merge)[0],
        token_bias=token_bias(counts.float(), hifi_net.config.identity_tokens) if merge == CONCAT else None,
        detail=DetailTokens.none(),
        recognizer="antelopev2",
    )
    # A reference of weight 2 is one that is given twice.
    embedding = embeddings.repeat_interleave(counts, 0)
    if merge == MEAN:
        embedding = embedding.mean(0, keepdim=True)
    settings = PatchSettings(IDENTITY, LANDMARKS, unconditional="zero identity")
    patched = apply_hifi_net(model, hifi_net, identity, landmarks, settings)
    sampling = model.get_model_object("model_sampling")
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(6))
    sigmas = torch.tensor(
        [sampling.percent_to_sigma((i + 0.01) / (steps + 0.02)) for i in range(steps)] + [0.0]
    )
    # The host divides by this when it hands latents out; diffusers when it decodes.
    scale = model.model.latent_format.scale_factor
    ours = sample(patched, noise=noise, sigmas=sigmas, cfg=cfg) * scale
    hint = picture_maps(landmarks, 0, (16, 16), hifi_net.config, False).hint
    wanted = reference.sample(noise, sigmas, sampling, cfg, embedding, hint)
    assert wanted.abs().max() > 1.0
    plain = sample(model, noise=noise, sigmas=sigmas, cfg=cfg) * scale
    assert (plain - wanted).abs().max() > 0.1
    return float((ours - wanted).abs().max())


def faces_of(embeddings: Tensor, weights: Tensor) -> FaceBatch:
    """Return references of which InstantID reads the embeddings alone."""
    nothing = torch.zeros(len(embeddings), 3, 1, 1)
    return FaceBatch(crops=nothing, coords=nothing, embeddings=embeddings, weights=weights)


def test_latents_equal_instantids(reference, on_the_host, landmarks):
    difference = host_max_abs_diff(reference, on_the_host, landmarks)
    print(f"host_max_abs_diff {difference:.2e}")
    assert difference <= 1e-4


@pytest.mark.parametrize("weights", [(1, 1, 1), (2, 1, 3)])
@pytest.mark.parametrize("merge", [MEAN, CONCAT])
def test_several_references_equal_instantids(reference, on_the_host, landmarks, merge, weights):
    difference = host_max_abs_diff(reference, on_the_host, landmarks, merge=merge, weights=weights)
    print(f"{merge}_max_abs_diff {difference:.2e}")
    assert difference <= 1e-4

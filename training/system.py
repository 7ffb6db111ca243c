"""The networks in training: the host's UNet with HiFi-Net's residuals and identity attention, differentiable.

At inference `patching` attaches the same networks through the host's hooks; here they are called directly.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.config import HiFiNetConfig
from ..models.portrait import HiFiPortrait, build
from ..models.tokens import FaceBatch, TargetMaps
from .host import add_comfyui_to_path

add_comfyui_to_path()

from ..tiny.codec import TinyCodec  # noqa: E402
from ..tiny.config import TinyBaseConfig  # noqa: E402
from ..tiny.model import build_base  # noqa: E402
from ..tiny.prompt import PADDING, WordEncoder  # noqa: E402

SAMPLING_STEPS = 8
"""Steps of the sampler in rollouts, as at inference."""


def initialise_unet(unet: nn.Module, seed: int = 0) -> None:
    """Give ComfyUI's UNet, which comes without weights, the usual start for training.

    Layers are drawn as torch draws them; the last layer of each residual and transformer block and of the
    network starts at zero.
    """
    torch.manual_seed(seed)
    for name, module in unet.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.Conv2d.reset_parameters(module)
        elif isinstance(module, nn.Linear):
            nn.Linear.reset_parameters(module)
        elif isinstance(module, nn.GroupNorm | nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        if name.endswith(("out_layers.3", "proj_out")) or name == "out.2":
            for parameter in module.parameters():
                nn.init.zeros_(parameter)
        if name == "label_emb.0.0":
            # The six picture sizes that SDXL appends to the pooled text say nothing here.
            nn.init.zeros_(module.weight[:, -6 * 256 :].detach())


def initialise_zero_layers(network: nn.Module, fraction: float, seed: int) -> None:
    """Start layers that start at zero at a fraction of the usual random start.

    Zero is right when a trained base must not be disturbed; this is for a base and a network that learn
    together from nothing. *Ours*.
    """
    torch.manual_seed(seed)
    for module in network.modules():
        if getattr(module, "starts_at_zero", False):
            module.reset_parameters()  # type: ignore[operator]
            for parameter in module.parameters():
                parameter.data.mul_(fraction)


class TinySystem(nn.Module):
    """Base UNet, word embeddings and HiFi-Portrait networks of one training run.

    Parameters
    ----------
    base : TinyBaseConfig
        Sizes of the base.
    config : HiFiNetConfig
        Sizes of the identity parts.
    codec : TinyCodec
        Fitted; not trained.
    seed : int
        Of the initial weights.
    """

    def __init__(self, base: TinyBaseConfig, config: HiFiNetConfig, codec: TinyCodec, seed: int = 0) -> None:
        super().__init__()
        self.base_config, self.config = base, config
        model = build_base(base)
        self.unet = model.diffusion_model
        initialise_unet(self.unet, seed)
        self.words = WordEncoder(base.context_dim, base.pooled_dim)
        self.portrait: HiFiPortrait = build(config, nn, seed)
        with torch.no_grad():
            # The sizes that SDXL appends to the pooled text say nothing here: zero, and fed with zeros.
            self.portrait.hifi_net.add_embedding.linear_1.weight[:, config.pooled_dim :] = 0  # type: ignore[operator]
        self.codec = codec.eval().requires_grad_(False)
        self.size_zeros = config.vector_dim - config.pooled_dim
        sigmas = model.model_sampling.sigmas
        self.signal: Tensor
        self.register_buffer("signal", (1 + sigmas**2).rsqrt(), persistent=False)
        self.layers = [(layer.block, layer.number, layer.depth) for layer in config.identity_layers()]

    def conditions(self, concepts: Tensor) -> tuple[Tensor, Tensor]:
        """Context (B, L, C) and ``y`` of concept numbers."""
        context, pooled = self.words(concepts)
        return context, F.pad(pooled, (0, self.size_zeros))

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        concepts: Tensor,
        maps: TargetMaps | None = None,
        faces: FaceBatch | None = None,
    ) -> Tensor:
        """Predict v.

        Parameters
        ----------
        x : Tensor
            (B, C, h, w) scaled noisy latents.
        time : Tensor
            (B,) time steps 0..999.
        concepts : Tensor
            (B, L).
        maps, faces
            Of the first B' <= B samples; the others are predicted by the base alone. None: all are.

        Returns
        -------
        Tensor
            (B, C, h, w).
        """
        context, y = self.conditions(concepts)
        options: dict[str, Any] = {}
        if faces is not None:
            assert maps is not None
            n = len(maps)
            net = self.portrait.hifi_net
            tokens, detail = self.portrait.refiner(faces)
            prepared = net.prepare(maps, tokens, detail)
            residuals = net.step(x[:n], time[:n], y[:n], prepared)
            spare = len(x) - n
            down = [F.pad(r, (0, 0, 0, 0, 0, 0, 0, spare)) for r in residuals.down]
            middle = F.pad(residuals.mid, (0, 0, 0, 0, 0, 0, 0, spare))

            def add_down(h: Tensor, skip: Tensor, _: object) -> tuple[Tensor, Tensor]:
                # The host adds residuals in place, which gradients do not survive.
                return h, skip + down.pop()

            replace = {}
            for index, key in enumerate(self.layers):
                keys, values = self.portrait.identity_attention.keys_values(index, tokens)
                replace[key] = _DecoupledAttention(keys, values)
            options = {
                "patches": {"output_block_patch": [add_down]},
                "patches_replace": {"attn2": replace},
            }
            out = self.unet(x, time, context, y, control={"middle": [middle]}, transformer_options=options)
            if prepared.coarse_x0 is None:
                return out
            alpha = self.signal[time[:n].long()].view(-1, 1, 1, 1)
            sigma = (1 - alpha**2).clamp_min(0).sqrt()
            return torch.cat([prepared.coarse_x0.guide(out[:n], x[:n], alpha, sigma, "v"), out[n:]])
        return self.unet(x, time, context, y, transformer_options=options)

    def noisy(self, latents: Tensor, noise: Tensor, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy latents, the v to predict, and the signal's share ``alpha`` (B, 1, 1, 1)."""
        alpha = self.signal[time.long()].view(-1, 1, 1, 1)
        sigma = (1 - alpha**2).clamp_min(0).sqrt()
        return alpha * latents + sigma * noise, alpha * noise - sigma * latents, alpha

    def sample(
        self,
        noise: Tensor,
        concepts: Tensor,
        maps: TargetMaps | None = None,
        faces: FaceBatch | None = None,
        steps: int = 8,
        cfg: float = 2.0,
        first: int = 0,
        learn_at: int | None = None,
        decode: bool = True,
    ) -> Tensor:
        """Pictures (B, 3, 8h, 8w) in about -1..1: Euler's method on equal time steps, as KSampler's 'normal'.

        The negative half has neither words nor references. ``first``: start at that step with ``noise`` as
        noisy latents. ``learn_at``: stop at that step with the clean prediction, and with gradients through
        it. Without ``decode`` latents are returned.
        """
        last = len(self.signal) - 1
        times = [*torch.linspace(last, 0, steps).round().tolist(), None]
        nothing = torch.full_like(concepts, PADDING)
        x = noise  # scaled: at the last step there is no signal
        for number, (now, after) in enumerate(itertools.pairwise(times)):
            if number < first:
                continue
            time = torch.full((len(x),), now)
            with torch.set_grad_enabled(number == learn_at):
                v = self(x, time, concepts, maps, faces)
            if cfg != 1.0:
                with torch.no_grad():
                    free = self(x, time, nothing)
                v = free + cfg * (v - free)
            alpha = self.signal[int(now)]
            sigma = (1 - alpha**2).sqrt()
            clean, rest = alpha * x - sigma * v, sigma * x + alpha * v
            if after is None or number == learn_at:
                if not decode:
                    return clean
                with torch.set_grad_enabled(number == learn_at):
                    return self.codec.decode(clean)
            alpha = self.signal[int(after)]
            x = alpha * clean + (1 - alpha**2).sqrt() * rest
        raise AssertionError


class _DecoupledAttention:
    """The host's attention plus attention to identity tokens, for the first B' samples."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra: dict[str, Any]) -> Tensor:
        heads = extra["n_heads"]

        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
            return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

        n = len(self.keys)
        more = attend(q[:n], self.keys, self.values)
        return attend(q, k, v) + F.pad(more, (0, 0, 0, 0, 0, len(q) - n))

"""HiFi-Portrait's networks on diffusers' UNet: residuals and identity attention, differentiable.

At inference `patching` attaches the same networks to ComfyUI's UNet through the host's hooks; here diffusers'
own entrances are used: additional residuals, and attention processors.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...models.config import HiFiNetConfig, IdentityLayer
from ...models.hifi_net import TransformerBlock
from ...models.layers import ResnetBlock
from ...models.portrait import HiFiPortrait
from ...models.texture import CoarseX0
from ...models.tokens import FaceBatch, TargetMaps

KeysValues = tuple[Tensor, Tensor]


class IdentityProcessor:
    """diffusers' attention processor with decoupled attention to identity tokens (InstantID, IP-Adapter).

    ``out = attention(q, k, v) + attention(q, k_id, v_id)``. Keys and values of all layers come with the call,
    as ``cross_attention_kwargs={"identity": ...}``, so that the UNet holds nothing of a batch.

    Parameters
    ----------
    index
        Which of the keys and values is this layer's; None: self-attention, to which nothing is added.
    """

    def __init__(self, index: int | None) -> None:
        self.index = index

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        identity: tuple[KeysValues, ...] | None = None,
    ) -> Tensor:
        """Return ``(B, L, width)``; the signature is diffusers'."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q = attn.to_q(hidden_states)
        out = _attend(q, attn.to_k(context), attn.to_v(context), attn.heads)
        if self.index is not None and identity is not None:
            keys, values = identity[self.index]
            out = out + _attend(q, keys.to(q.dtype), values.to(q.dtype), attn.heads)
        return attn.to_out[1](attn.to_out[0](out))


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def layer_path(layer: IdentityLayer, layers_per_block: int) -> str:
    """Return diffusers' name of the cross-attention that ComfyUI counts as ``layer``."""
    if layer.block == "middle":
        return f"mid_block.attentions.0.transformer_blocks.{layer.depth}.attn2"
    if layer.block == "input":
        level, number = divmod(layer.number - 1, layers_per_block + 1)
        return f"down_blocks.{level}.attentions.{number}.transformer_blocks.{layer.depth}.attn2"
    level, number = divmod(layer.number, layers_per_block + 1)
    return f"up_blocks.{level}.attentions.{number}.transformer_blocks.{layer.depth}.attn2"


def install(unet: UNet2DConditionModel, config: HiFiNetConfig) -> None:
    """Give every attention of a UNet an `IdentityProcessor`.

    Raises
    ------
    ValueError
        The UNet's cross-attention layers are not those that the configuration tells of.
    """
    paths = [layer_path(layer, config.layers_per_block) for layer in config.identity_layers()]
    modules: dict[str, Any] = {
        name: module for name, module in unet.named_modules() if name.endswith((".attn1", ".attn2"))
    }
    theirs = sorted(name for name in modules if name.endswith(".attn2"))
    if theirs != sorted(paths):
        raise ValueError(
            f"the base has {len(theirs)} cross-attention layers, the network {len(paths)} or others; "
            "give the network the base's sizes (network in the configuration)"
        )
    order = {path: index for index, path in enumerate(paths)}
    for name, module in modules.items():
        module.set_processor(IdentityProcessor(order.get(name)))


def checkpoint_activations(unet: UNet2DConditionModel, portrait: HiFiPortrait) -> None:
    """Have activations within blocks computed again in the backward pass, which saves memory."""
    unet.enable_gradient_checkpointing()
    unet.train()  # diffusers checkpoints in training only; SDXL's UNet has no dropout
    for module in portrait.hifi_net.modules():
        if isinstance(module, TransformerBlock | ResnetBlock):
            forward = module.forward
            module.forward = partial(checkpoint, forward, use_reentrant=False)  # type: ignore[method-assign]


class PortraitUNet(nn.Module):
    """A frozen SDXL UNet with trainable HiFi-Portrait networks: one prediction of a batch.

    Parameters
    ----------
    unet
        diffusers' UNet; frozen here, as the paper trains.
    portrait
        The networks that are trained.
    signal
        ``(T,)`` share of the signal at each time step, ``sqrt(alphas_cumprod)``.
    prediction_type
        ``v`` or ``eps``: what the base predicts.
    """

    def __init__(
        self, unet: UNet2DConditionModel, portrait: HiFiPortrait, signal: Tensor, prediction_type: str
    ) -> None:
        super().__init__()
        install(unet, portrait.config)
        self.unet = unet.requires_grad_(False)
        self.portrait = portrait
        self.prediction_type = prediction_type
        self.signal: Tensor
        self.register_buffer("signal", signal.float(), persistent=False)

    def alpha(self, time: Tensor) -> Tensor:
        """Share of the signal at time steps ``(B,)``, as ``(B, 1, 1, 1)``."""
        return self.signal[time.long()].view(-1, 1, 1, 1)

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        text: Tensor,
        pooled: Tensor,
        time_ids: Tensor,
        faces: FaceBatch,
        maps: TargetMaps,
    ) -> tuple[Tensor, CoarseX0 | None, Tensor | None]:
        """Predict.

        Parameters
        ----------
        x
            ``(B, C, h, w)``: ``alpha * latents + sigma * noise``, with ``alpha^2 + sigma^2 = 1``.
        time
            ``(B,)`` time steps.
        text, pooled
            ``(B, L, context_dim)`` and ``(B, pooled_dim)``.
        time_ids
            ``(B, 6)``: SDXL's sizes in px: height and width, top and left of the crop, height and width of
            the target.
        faces, maps
            References, persons in front, and landmarks.

        Returns
        -------
        tuple
            ``(B, C, h, w)`` v or noise as `prediction_type` says; coarse x0 and fused UV texture, or None.
        """
        sizes = self.unet.add_time_proj(time_ids.flatten()).reshape(len(x), -1)
        tokens, detail = self.portrait.refiner(faces)
        prepared = self.portrait.hifi_net.prepare(maps, tokens, detail)
        y = torch.cat([pooled, sizes.to(pooled.dtype)], 1)
        residuals = self.portrait.hifi_net.step(x, time, y, prepared)
        attention = self.portrait.identity_attention
        identity = tuple(attention.keys_values(index, tokens) for index in range(len(attention.layers)))
        out = self.unet(
            x.to(self.unet.dtype),
            time,
            text.to(self.unet.dtype),
            added_cond_kwargs={"text_embeds": pooled.to(self.unet.dtype), "time_ids": time_ids},
            down_block_additional_residuals=[r.to(self.unet.dtype) for r in residuals.down],
            mid_block_additional_residual=residuals.mid.to(self.unet.dtype),
            cross_attention_kwargs={"identity": identity},
            return_dict=False,
        )[0].float()
        if prepared.coarse_x0 is not None:
            alpha = self.alpha(time)
            sigma = (1 - alpha**2).clamp_min(0).sqrt()
            out = prepared.coarse_x0.guide(out, x, alpha, sigma, self.prediction_type)
        return out, prepared.coarse_x0, detail.texture

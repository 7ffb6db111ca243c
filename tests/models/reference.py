"""What our networks are compared with: diffusers' classes, and InstantID's formulas written out again.

The formulas are those of the InstantID and IP-Adapter papers and repositories; none of our networks is used.
"""

import math

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from hifi_portrait.models import HiFiNetConfig
from torch import Tensor, nn


def _blocks(config: HiFiNetConfig, name: str) -> tuple[str, ...]:
    return tuple(f"CrossAttn{name}" if depth else name for depth in config.transformer_depth)


def _sizes(config: HiFiNetConfig) -> dict:
    return {
        "block_out_channels": config.block_out_channels,
        "layers_per_block": config.layers_per_block,
        "norm_num_groups": config.norm_groups,
        "cross_attention_dim": config.context_dim,
        # Diffusers' name is wrong for historic reasons: this is the number of heads.
        "attention_head_dim": tuple(w // config.head_channels for w in config.block_out_channels),
        "transformer_layers_per_block": tuple(max(depth, 1) for depth in config.transformer_depth),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": config.size_embedding_dim,
        "projection_class_embeddings_input_dim": config.vector_dim,
    }


def diffusers_controlnet(config: HiFiNetConfig) -> ControlNetModel:
    """Return diffusers' ControlNet of the trunk's sizes."""
    return ControlNetModel(
        in_channels=config.latent_channels,
        down_block_types=_blocks(config, "DownBlock2D"),
        conditioning_embedding_out_channels=config.hint_widths,
        **_sizes(config),
    ).eval()


def diffusers_unet(config: HiFiNetConfig) -> UNet2DConditionModel:
    """Return diffusers' UNet that the trunk belongs to."""
    up = tuple(reversed([name.replace("Down", "Up") for name in _blocks(config, "DownBlock2D")]))
    return UNet2DConditionModel(
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        down_block_types=_blocks(config, "DownBlock2D"),
        up_block_types=up,
        **_sizes(config),
    ).eval()


def added_conditions(config: HiFiNetConfig, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Split ComfyUI's ``y`` into pooled text and picture sizes for diffusers, with sizes that give the same.

    Returns ``y`` with the part of the sizes replaced by embeddings of numbers, and those numbers.
    """
    sizes = torch.tensor([[1024.0, 768.0, 0.0, 32.0, 1024.0, 768.0]]).repeat(len(y), 1)
    half = config.size_embedding_dim // 2
    angles = sizes.flatten()[:, None] * torch.exp(-math.log(10000.0) * torch.arange(half) / half)[None]
    embedded = torch.cat([angles.cos(), angles.sin()], -1).reshape(len(y), -1)
    pooled = y[:, : config.pooled_dim]
    return torch.cat([pooled, embedded], 1), {"text_embeds": pooled, "time_ids": sizes}


class ReferenceAdapter:
    """InstantID's image projection and decoupled attention with random weights, by its parameter names."""

    def __init__(self, config: HiFiNetConfig, seed: int) -> None:
        self.heads = config.resampler_heads
        self.depth = config.resampler_depth
        dim, inner = config.resampler_dim, config.resampler_heads * config.resampler_head_channels
        wide = dim * config.resampler_ff_mult
        generator = torch.Generator().manual_seed(seed)

        def matrix(rows: int, columns: int) -> Tensor:
            return torch.randn((rows, columns), generator=generator) / columns**0.5

        def norm(width: int, name: str) -> dict[str, Tensor]:
            noise = torch.randn((2, width), generator=generator) * 0.1
            return {f"{name}.weight": 1 + noise[0], f"{name}.bias": noise[1]}

        p: dict[str, Tensor] = {
            "latents": torch.randn((1, config.identity_tokens, dim), generator=generator) / dim**0.5,
            "proj_in.weight": matrix(dim, config.embedding_dim),
            "proj_in.bias": matrix(1, dim)[0],
            "proj_out.weight": matrix(config.context_dim, dim),
            "proj_out.bias": matrix(1, config.context_dim)[0],
            **norm(config.context_dim, "norm_out"),
        }
        for i in range(self.depth):
            p |= norm(dim, f"layers.{i}.0.norm1") | norm(dim, f"layers.{i}.0.norm2")
            p[f"layers.{i}.0.to_q.weight"] = matrix(inner, dim)
            p[f"layers.{i}.0.to_kv.weight"] = matrix(2 * inner, dim)
            p[f"layers.{i}.0.to_out.weight"] = matrix(dim, inner)
            p |= norm(dim, f"layers.{i}.1.0")
            p[f"layers.{i}.1.1.weight"] = matrix(wide, dim)
            p[f"layers.{i}.1.3.weight"] = matrix(dim, wide)
        self.image_proj = p

        # One pair per cross-attention layer in the order of the UNet's modules: down, up, mid.
        layers, widths, depths = config.layers_per_block, config.block_out_channels, config.transformer_depth
        order = [w for w, d in zip(widths, depths, strict=True) for _ in range(layers * d)]
        order += [w for w, d in zip(widths[::-1], depths[::-1], strict=True) for _ in range((layers + 1) * d)]
        order += [widths[-1]] * config.mid_depth
        self.ip_adapter = {
            f"{2 * i + 1}.{name}.weight": matrix(width, config.context_dim)
            for i, width in enumerate(order)
            for name in ("to_k_ip", "to_v_ip")
        }

    def tokens(self, embedding: Tensor) -> Tensor:
        """Face tokens of an embedding ``(B, E)``: queries attend to the input and to themselves."""
        p = self.image_proj
        x = embedding[:, None] @ p["proj_in.weight"].T + p["proj_in.bias"]
        z = p["latents"].repeat(len(x), 1, 1)

        def norm(t: Tensor, name: str) -> Tensor:
            mean, variance = t.mean(-1, keepdim=True), t.var(-1, unbiased=False, keepdim=True)
            return (t - mean) / (variance + 1e-5).sqrt() * p[f"{name}.weight"] + p[f"{name}.bias"]

        for i in range(self.depth):
            a, b = norm(x, f"layers.{i}.0.norm1"), norm(z, f"layers.{i}.0.norm2")
            q = b @ p[f"layers.{i}.0.to_q.weight"].T
            k, v = (torch.cat([a, b], 1) @ p[f"layers.{i}.0.to_kv.weight"].T).chunk(2, -1)
            z = z + softmax_attention(q, k, v, self.heads) @ p[f"layers.{i}.0.to_out.weight"].T
            h = norm(z, f"layers.{i}.1.0") @ p[f"layers.{i}.1.1.weight"].T
            h = 0.5 * h * (1 + torch.erf(h / math.sqrt(2)))
            z = z + h @ p[f"layers.{i}.1.3.weight"].T
        return norm(z @ p["proj_out.weight"].T + p["proj_out.bias"], "norm_out")

    def install(self, unet: UNet2DConditionModel, scale: float) -> None:
        """Give every attn2 of ``unet`` decoupled attention with these weights."""
        processors = {}
        for number, name in enumerate(unet.attn_processors):
            if name.endswith("attn2.processor"):
                k = self.ip_adapter[f"{number}.to_k_ip.weight"]
                v = self.ip_adapter[f"{number}.to_v_ip.weight"]
                processors[name] = Decoupled(lambda t, k=k, v=v: (t @ k.T, t @ v.T), scale)
            else:
                processors[name] = Plain()
        unet.set_attn_processor(processors)


def softmax_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """``softmax(q k^T / sqrt(d)) v`` by head."""
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
    weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), -1)
    return (weights @ v).transpose(1, 2).flatten(2)


class Plain(nn.Module):
    """Attention as in the textbook."""

    def forward(self, attn, hidden_states, encoder_hidden_states=None, **_):
        read = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        out = softmax_attention(attn.to_q(hidden_states), attn.to_k(read), attn.to_v(read), attn.heads)
        return attn.to_out[0](out)


class Decoupled(nn.Module):
    """``Z = Attention(Q, K, V) + scale * Attention(Q, K', V')``, the face tokens after the text's."""

    def __init__(self, keys_values, scale: float) -> None:
        super().__init__()
        self.keys_values = keys_values
        self.scale = scale
        self.face: Tensor | None = None

    def forward(self, attn, hidden_states, encoder_hidden_states, **_):
        q = attn.to_q(hidden_states)
        text, face = encoder_hidden_states
        out = softmax_attention(q, attn.to_k(text), attn.to_v(text), attn.heads)
        k, v = self.keys_values(face)
        return attn.to_out[0](out + self.scale * softmax_attention(q, k, v, attn.heads))

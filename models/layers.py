"""Building blocks. Layers come from an ``operations`` namespace: ``torch.nn``, or the host's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:

    class Layer(nn.Module):
        """A module whose call gives one tensor; for the type checker alone."""

        weight: Tensor

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            """Return what ``forward`` returns."""

else:
    Layer = nn.Module


class Layers:
    """Makes layers of one ``operations`` namespace with one dtype and device.

    Parameters
    ----------
    operations
        Has ``Linear``, ``Conv2d``, ``GroupNorm``, ``LayerNorm`` with torch's signatures: ``torch.nn`` or one
        of ``comfy.ops``.
    """

    def __init__(
        self,
        operations: Any = nn,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.operations = operations
        self.dtype = dtype
        self.device = device

    @property
    def _where(self) -> dict[str, Any]:
        return {"dtype": self.dtype, "device": self.device}

    def linear(self, inputs: int, outputs: int, bias: bool = True, zero: bool = False) -> Layer:
        """Linear layer; ``zero``: starts at zero."""
        return self._mark(self.operations.Linear(inputs, outputs, bias=bias, **self._where), zero)

    def conv(self, inputs: int, outputs: int, kernel: int, stride: int = 1, zero: bool = False) -> Layer:
        """2D convolution that keeps the size (or divides it by ``stride``)."""
        made = self.operations.Conv2d(
            inputs, outputs, kernel, stride=stride, padding=kernel // 2, **self._where
        )
        return self._mark(made, zero)

    def group_norm(self, groups: int, channels: int, eps: float = 1e-5) -> Layer:
        """Group normalisation with scale and shift."""
        return cast(Layer, self.operations.GroupNorm(groups, channels, eps=eps, **self._where))

    def layer_norm(self, channels: int) -> Layer:
        """Layer normalisation with scale and shift."""
        return cast(Layer, self.operations.LayerNorm(channels, **self._where))

    def parameter(self, *shape: int) -> nn.Parameter:
        """Return a free parameter, not yet filled."""
        return nn.Parameter(torch.empty(*shape, **self._where))

    @staticmethod
    def _mark(module: Any, zero: bool) -> Layer:
        if zero:
            module.starts_at_zero = True
        return cast(Layer, module)


def initialise(module: nn.Module, seed: int) -> None:
    """Fill every parameter, depending on ``seed`` and the module's structure alone.

    Matrices and kernels are uniform within 1 / sqrt(fan in), as torch does by default; norms are 1 and 0;
    layers made with ``zero=True`` are 0. A module with free parameters fills them in
    ``reset_own(generator)``.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(parameter: Tensor, bound: float) -> None:
        noise = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
        parameter.copy_(noise)

    with torch.no_grad():
        for child in module.modules():
            weight = child._parameters.get("weight")
            bias = child._parameters.get("bias")
            if weight is not None:
                if weight.ndim < 2:
                    weight.fill_(1.0)
                    if bias is not None:
                        bias.zero_()
                elif getattr(child, "starts_at_zero", False):
                    weight.zero_()
                    if bias is not None:
                        bias.zero_()
                else:
                    bound = 1.0 / math.sqrt(weight[0].numel())
                    uniform(weight, bound)
                    if bias is not None:
                        uniform(bias, bound)
        for child in module.modules():
            if hasattr(child, "reset_own"):
                child.reset_own(generator)  # type: ignore[operator]


def sinusoids(values: Tensor, dim: int, max_period: float = 10000.0) -> Tensor:
    """Sinusoidal embedding, cosines first: the one of SDXL's time steps.

    Parameters
    ----------
    values
        ``(B,)``.

    Returns
    -------
    Tensor
        ``(B, dim)`` float32.
    """
    half = dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=values.device)
    angles = values.float()[:, None] * torch.exp(-math.log(max_period) * steps / half)[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def coordinate_features(coords: Tensor, frequencies: int) -> Tensor:
    """Fourier features of canonical coordinates. *Ours*.

    Parameters
    ----------
    coords
        ``(..., 3)``: u, v in 0..1 and the face flag in 0..1.
    frequencies
        Number of octaves, from half a period per face.

    Returns
    -------
    Tensor
        ``(..., 4 * frequencies + 1)`` float32: sines and cosines of u and v times the flag, then the flag.
        The product of two faces' features falls with their distance on the face.
    """
    coords = coords.float()
    flag = coords[..., 2:3]
    octaves = math.pi * 2.0 ** torch.arange(frequencies, dtype=torch.float32, device=coords.device)
    angles = (coords[..., :2, None] * octaves).flatten(-2)
    return torch.cat([angles.sin() * flag, angles.cos() * flag, flag], dim=-1)


def shrink_coordinates(coords: Tensor, height: int, width: int) -> Tensor:
    """Average a canonical map down to another size; only pixels of the face count for u and v.

    Parameters
    ----------
    coords
        ``(B, 3, H, W)``; u = v = 0 where there is no face.

    Returns
    -------
    Tensor
        ``(B, 3, height, width)``; the third channel is the share of face.
    """
    coords = coords.float()
    if coords.shape[-2:] == (height, width):
        return coords
    flag = coords[:, 2:]
    mean = F.adaptive_avg_pool2d(torch.cat([coords[:, :2] * flag, flag], 1), (height, width))
    return torch.cat([mean[:, :2] / mean[:, 2:].clamp_min(1e-6), mean[:, 2:]], 1)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """``(B, L, heads * d)`` to ``(B, heads, L, d)``."""
    return x.reshape(*x.shape[:-1], heads, -1).transpose(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """Multi-head attention.

    Parameters
    ----------
    q, k, v
        ``(B, L, heads * d)``, ``(B, M, heads * d)`` twice; k and v may have batch 1.
    bias
        ``(B, M)`` added to the logits of the keys; -inf leaves a key out.

    Returns
    -------
    Tensor
        ``(B, L, heads * d)``.
    """
    batch = q.shape[0]
    if k.shape[0] != batch:
        k, v = k.expand(batch, -1, -1), v.expand(batch, -1, -1)
    mask = None
    if bias is not None:
        # Not expanded: torch pads a mask to the kernels' alignment, and would pad every row of it.
        mask = bias.to(q.dtype)[:, None, None, :]
    out = F.scaled_dot_product_attention(
        split_heads(q, heads), split_heads(k, heads), split_heads(v, heads), attn_mask=mask
    )
    return out.transpose(1, 2).flatten(2)


class Attention(Layer):
    """Attention with diffusers' parameter names (``to_q``, ``to_k``, ``to_v``, ``to_out.0``).

    Parameters
    ----------
    dim
        Width of queries and output.
    context_dim
        Width of what is read.
    """

    def __init__(self, dim: int, context_dim: int, heads: int, layers: Layers) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = layers.linear(dim, dim, bias=False)
        self.to_k = layers.linear(context_dim, dim, bias=False)
        self.to_v = layers.linear(context_dim, dim, bias=False)
        self.to_out = nn.ModuleList([layers.linear(dim, dim)])

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values ``(B, M, dim)`` of what is read, ``(B, M, context_dim)``."""
        return self.to_k(context), self.to_v(context)

    def forward(self, x: Tensor, kv: tuple[Tensor, Tensor], bias: Tensor | None = None) -> Tensor:
        """Return ``(B, L, dim)`` for queries from ``x (B, L, dim)``; ``bias (B, M)`` as in `attend`."""
        out: Tensor = self.to_out[0](attend(self.to_q(x), *kv, self.heads, bias))
        return out


class GEGLU(Layer):
    """Linear layer whose one half gates the other: ``(B, L, dim)`` to ``(B, L, inner)``."""

    def __init__(self, dim: int, inner: int, layers: Layers) -> None:
        super().__init__()
        self.proj = layers.linear(dim, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        """Return the first half times GELU of the second."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(Layer):
    """SDXL's feed-forward layer, ``(B, L, dim)`` to the same."""

    def __init__(self, dim: int, layers: Layers) -> None:
        super().__init__()
        # The empty place is diffusers' dropout; the numbers are part of parameter names.
        self.net = nn.ModuleList([GEGLU(dim, 4 * dim, layers), nn.Identity(), layers.linear(4 * dim, dim)])

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, L, dim)``."""
        out: Tensor = self.net[2](self.net[0](x))
        return out


class ResnetBlock(Layer):
    """Residual block of SDXL with diffusers' parameter names, ``(B, C, h, w)`` to ``(B, C', h, w)``."""

    def __init__(self, inputs: int, outputs: int, time_dim: int, groups: int, layers: Layers) -> None:
        super().__init__()
        self.norm1 = layers.group_norm(groups, inputs)
        self.conv1 = layers.conv(inputs, outputs, 3)
        self.time_emb_proj = layers.linear(time_dim, outputs)
        self.norm2 = layers.group_norm(groups, outputs)
        self.conv2 = layers.conv(outputs, outputs, 3)
        self.conv_shortcut = layers.conv(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Return the block's output; ``time (B, time_dim)``."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(F.silu(time))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class TimeEmbedding(Layer):
    """Two linear layers, ``(B, inputs)`` to ``(B, dim)``."""

    def __init__(self, inputs: int, dim: int, layers: Layers) -> None:
        super().__init__()
        self.linear_1 = layers.linear(inputs, dim)
        self.linear_2 = layers.linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, dim)``."""
        return self.linear_2(F.silu(self.linear_1(x)))

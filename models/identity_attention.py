"""Identity attention: keys and values for the base UNet's decoupled cross-attention, as in InstantID."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import HiFiNetConfig
from .layers import Layers


class IdentityLayerWeights(nn.Module):
    """``to_k_ip`` and ``to_v_ip`` of one layer, ``context_dim`` to ``channels``."""

    def __init__(self, context_dim: int, channels: int, layers: Layers) -> None:
        super().__init__()
        self.to_k_ip = layers.linear(context_dim, channels, bias=False)
        # Keys alone cannot silence a layer, so values start at zero: an untrained network changes nothing.
        self.to_v_ip = layers.linear(context_dim, channels, bias=False, zero=True)


class IdentityAttentionWeights(nn.Module):
    """One pair of matrices for each cross-attention layer of the base UNet.

    Parameter names are those of InstantID's ``ip_adapter``: ``1.to_k_ip.weight``, ``3...``; odd numbers,
    since self-attention layers are counted too. The order is `HiFiNetConfig.identity_layers`.
    """

    def __init__(
        self,
        config: HiFiNetConfig,
        operations: object = nn,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        layers = Layers(operations, dtype, device)
        self.layers = config.identity_layers()
        for index, layer in enumerate(self.layers):
            weights = IdentityLayerWeights(config.context_dim, layer.channels, layers)
            self.add_module(str(2 * index + 1), weights)

    def keys_values(self, index: int, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values ``(B, K, channels)`` of ``tokens (B, K, context_dim)`` for one layer."""
        weights = self.get_submodule(str(2 * index + 1))
        assert isinstance(weights, IdentityLayerWeights)
        return weights.to_k_ip(tokens), weights.to_v_ip(tokens)

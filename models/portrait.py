"""All networks of one checkpoint."""

from __future__ import annotations

import torch
from torch import nn

from ..boundary.licences import FileLicence
from .config import HiFiNetConfig
from .hifi_net import HiFiNet
from .identity_attention import IdentityAttentionWeights
from .layers import initialise
from .refiner import FaceRefiner

UNSAVED = "unsaved"


class HiFiPortrait(nn.Module):
    """Face refiner, HiFi-Net and identity attention: what a checkpoint holds.

    Parameters
    ----------
    config
        Sizes.
    operations
        Namespace of layers: ``torch.nn`` in training, one of ``comfy.ops`` in ComfyUI.
    dtype, device
        Of the parameters.
    """

    def __init__(
        self,
        config: HiFiNetConfig,
        operations: object = nn,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.checkpoint_id = UNSAVED
        """Hash of configuration and weights in the file; identities carry it."""
        self.licences: tuple[FileLicence, ...] = ()
        """What the file may be used for; identities carry it."""
        self.refiner = FaceRefiner(config, operations, dtype, device)
        self.hifi_net = HiFiNet(config, operations, dtype, device)
        self.identity_attention = IdentityAttentionWeights(config, operations, dtype, device)


def build(
    config: HiFiNetConfig,
    operations: object = nn,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> HiFiPortrait:
    """Return untrained networks; equal seeds give equal weights, whatever the ``operations``."""
    module = HiFiPortrait(config, operations, dtype, device)
    initialise(module, seed)
    return module

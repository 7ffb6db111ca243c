"""Networks as the host's models: it loads, casts and offloads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import comfy.model_management
import comfy.ops
from comfy.model_patcher import ModelPatcher

from ..models import checkpoint
from ..models.checkpoint import CheckpointInfo

if TYPE_CHECKING:
    from ..models.config import HiFiNetConfig
    from ..models.portrait import HiFiPortrait


@dataclass(frozen=True, eq=False)
class HiFiNetPatcher:
    """A HiFi-Net checkpoint in the host's care; the HIFI_NET socket."""

    patcher: ModelPatcher
    """Around the `HiFiPortrait` module."""
    config: HiFiNetConfig
    metadata: CheckpointInfo
    name: str
    """For messages."""

    @property
    def checkpoint_id(self) -> str:
        """What identities that were made with this checkpoint carry."""
        return self.network.checkpoint_id

    @property
    def network(self) -> HiFiPortrait:
        """The module, wherever the host keeps it at the moment."""
        network: HiFiPortrait = self.patcher.model
        return network

    def load(self) -> HiFiPortrait:
        """Return the module after the host has put it on its device; for use outside of sampling."""
        comfy.model_management.load_models_gpu([self.patcher])
        return self.network


def load_hifi_net(path: str | Path, name: str | None = None) -> HiFiNetPatcher:
    """Return a checkpoint as one of the host's models; its weights stay in the file until they are needed.

    Raises
    ------
    CheckpointError
        The file is no HiFi-Net checkpoint, or damaged; one line says how.
    """
    path = Path(path)
    device = comfy.model_management.get_torch_device()
    dtype = comfy.model_management.unet_dtype(device=device)
    # Casting layers, because the base may compute in another type, and because the host may keep part of the
    # weights in main memory.
    network = checkpoint.load(path, comfy.ops.manual_cast, dtype).train(False)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    patcher = ModelPatcher(
        network, load_device=device, offload_device=comfy.model_management.unet_offload_device()
    )
    info = checkpoint.read_metadata(path)
    return HiFiNetPatcher(patcher, info.config, info, name or path.stem)

"""Networks as the host's models: it loads, casts and offloads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import comfy.model_management
import comfy.ops
import torch
from torch import nn

from ..boundary import text
from ..models import checkpoint
from .host import managed

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

    from ..models.config import HiFiNetConfig
    from ..models.portrait import HiFiPortrait

DEFAULT_DTYPE = "default"
WEIGHT_DTYPES: dict[str, torch.dtype | None] = {
    DEFAULT_DTYPE: None,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp8_e4m3fn": torch.float8_e4m3fn,
}
"""What weights can be kept as, by the names that the host's own loaders use; None: the host decides."""


@dataclass(frozen=True, eq=False)
class HiFiNetPatcher:
    """A HiFi-Net checkpoint in the host's care; the HIFI_NET socket."""

    patcher: ModelPatcher
    """Around the `HiFiPortrait` module."""
    name: str
    """For messages."""

    @property
    def config(self) -> HiFiNetConfig:
        """Sizes of the networks."""
        return self.network.config

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


def load_hifi_net(
    path: str | Path, name: str | None = None, weight_dtype: str = DEFAULT_DTYPE
) -> HiFiNetPatcher:
    """Return a checkpoint as one of the host's models.

    The file is read once, to see that its weights are numbers. Weights that the host keeps in the file's own
    type stay mapped to it, others are copied to main memory.

    Parameters
    ----------
    path
        The checkpoint.
    name
        For messages; None: the file's.
    weight_dtype
        One of `WEIGHT_DTYPES`: what the weights are kept as. They are computed with in the MODEL's type.

    Raises
    ------
    CheckpointError
        The file is no HiFi-Net checkpoint, or damaged, or its weights lie beyond ``weight_dtype``; one line
        says how.
    """
    path = Path(path)
    return HiFiNetPatcher(_load(path, weight_dtype), name or path.stem)


def _load(path: Path, weight_dtype: str, disable_dynamic: bool = False) -> ModelPatcher:
    """Return the patcher; the host calls this too, when it wants the same weights once more."""
    device = comfy.model_management.get_torch_device()
    # Casting layers, because the base may compute in another type, and because the host may keep part of the
    # weights in main memory.
    network = checkpoint.load(path, comfy.ops.manual_cast)
    wanted = WEIGHT_DTYPES[weight_dtype]
    _keep_as(network, wanted or comfy.model_management.unet_dtype(device=device), path.name, device)
    return managed(
        network,
        device,
        comfy.model_management.unet_offload_device(),
        reload=(_load, (path, weight_dtype)),
        dynamic=not disable_dynamic,
    )


def _keep_as(network: nn.Module, dtype: torch.dtype, name: str, device: torch.device) -> None:
    """Give all weights the type ``dtype``, one after the other.

    Of one byte are only matrices and kernels, which the host's layers cast. Norms, biases and free parameters
    keep the host's usual type: they are small, and not everything that reads them casts.
    """
    other = dtype if dtype.itemsize > 1 else comfy.model_management.unet_dtype(device=device)
    largest = torch.finfo(dtype).max
    for module in network.modules():
        casts = hasattr(module, "comfy_cast_weights")
        for key, parameter in module._parameters.items():
            if parameter is None:
                continue
            kept = dtype if casts and key == "weight" and parameter.ndim > 1 else other
            if kept.itemsize == 1 and float(parameter.detach().float().abs().amax()) > largest:
                raise checkpoint.CheckpointError(
                    f"{text.name(name)}: it has weights beyond {largest:g}, which one byte cannot hold; "
                    "choose another weight_dtype"
                )
            module._parameters[key] = nn.Parameter(parameter.detach().to(kept), requires_grad=False)

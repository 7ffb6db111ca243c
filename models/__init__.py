"""Networks, checkpoint format and warm start. Needs torch alone, knows nothing of ComfyUI."""

from .config import HiFiNetConfig
from .portrait import HiFiPortrait, build
from .tokens import DetailTokens, FaceBatch, HiFiNetResiduals, TargetMaps

__all__ = [
    "DetailTokens",
    "FaceBatch",
    "HiFiNetConfig",
    "HiFiNetResiduals",
    "HiFiPortrait",
    "TargetMaps",
    "build",
]

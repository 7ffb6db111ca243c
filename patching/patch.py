"""One application of HiFi-Net to a MODEL, as an immutable object."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .settings import PatchSettings

if TYPE_CHECKING:
    from ..identity.identity import Identity
    from ..landmarks.landmarks import FaceLandmarks3D
    from .loading import HiFiNetPatcher


@dataclass(frozen=True, eq=False)
class HiFiPatch:
    """Everything that one Apply HiFi-Net node adds to a MODEL.

    Never changed after its creation, so branches of a graph can share it. The host copies
    ``model_options`` deeply when it clones a MODEL (0.3.75) or shares its leaves (newer): both give this
    very object, and no weight or token is ever copied.
    """

    hifi_net: HiFiNetPatcher
    identity: Identity
    landmarks: FaceLandmarks3D | None
    settings: PatchSettings
    mask: Tensor | None
    """``(B, H, W)`` on the CPU, or None for the whole picture."""
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Names the caches of this patch within a run."""

    def __copy__(self) -> HiFiPatch:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> HiFiPatch:
        return self

    @property
    def residuals_wanted(self) -> bool:
        """Whether HiFi-Net runs at all."""
        wanted = self.settings.landmark_strength != 0.0 and any(self.settings.block_weights)
        return wanted and self.landmarks is not None

    @property
    def attention_wanted(self) -> bool:
        """Whether identity attention runs at all."""
        return self.settings.identity_strength != 0.0 and any(self.settings.block_weights)

    @property
    def both_halves(self) -> bool:
        """Whether it acts on the unconditional half too, with the zero identity."""
        return self.settings.unconditional == "zero identity"

    @property
    def does_nothing(self) -> bool:
        """Whether the model computes the same without this patch, so that it can be left out."""
        if self.mask is not None and not bool(self.mask.any()):
            return True
        return not (self.residuals_wanted or self.attention_wanted)

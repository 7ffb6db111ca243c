"""What exists only while a picture is sampled.

A `RunState` is created when sampling starts and emptied when it ends, be it by an error. It travels in
the run's own copy of ``transformer_options``, so nothing outlives the run, nothing is global, and no
object that a MODEL holds is ever changed. Each of its parts has one job: `RunCache` keeps, `RunWarnings`
warns, `StepPlanner` plans.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .blocks import UNetLayout
from .patch import HiFiPatch
from .plan import CondBatch
from .planner import StepPlanner
from .run_cache import RunCache, RunWarnings


class RunState:
    """One sampling run of a MODEL with patches.

    Parameters
    ----------
    patches
        What was applied to the MODEL, in order.
    layout
        Of its UNet.
    guider
        The host's; knows the names of the conditionings' lists.
    """

    def __init__(self, patches: tuple[HiFiPatch, ...], layout: UNetLayout, guider: Any = None) -> None:
        self.guider = guider
        self.batch: CondBatch | None = None
        """What the host is about to compute in this step."""
        self.cache = RunCache()
        self.warnings = RunWarnings()
        self.planner = StepPlanner(patches, layout, self.cache, self.warnings)
        self._sigma: tuple[Tensor, float] | None = None

    def close(self) -> None:
        """Drop everything that the run made."""
        self.cache.clear()
        self._sigma = None
        self.batch = None
        self.guider = None

    def sigma(self, sigmas: Tensor) -> float:
        """Return the step's sigma; waits for the device once per step, not once per layer."""
        if self._sigma is None or self._sigma[0] is not sigmas:
            self._sigma = (sigmas, float(sigmas.flatten()[0]))
        return self._sigma[1]

"""What exists only while a picture is sampled.

A `SamplingRun` is created when sampling starts and emptied when it ends, be it by an error. It travels in
the run's own copy of ``transformer_options``, so nothing outlives the run, nothing is global, and no
object that a MODEL holds is ever changed. It has a `RunState` for each copy of the base that the host samples
with: one, or one on each device, in a thread each, so that threads share nothing that changes. Each part of
a state has one job: `RunCache` keeps, `StepPlanner` plans; `RunWarnings` warns, once for all copies.
"""

from __future__ import annotations

import threading
from typing import Any

from torch import Tensor

from .blocks import UNetLayout
from .host import percent_to_sigma
from .patch import HiFiPatch
from .plan import CondBatch
from .planner import StepPlanner
from .run_cache import RunCache, RunWarnings


class RunState:
    """What one copy of the base makes and keeps while a run samples; used by one thread."""

    def __init__(self, patches: tuple[HiFiPatch, ...], layout: UNetLayout, warnings: RunWarnings) -> None:
        self.cache = RunCache()
        self.planner = StepPlanner(patches, layout, self.cache, warnings)
        self._sigma: tuple[Tensor, float] | None = None

    def close(self) -> None:
        """Drop everything that the run made."""
        self.cache.clear()
        self._sigma = None

    def sigma(self, sigmas: Tensor) -> float:
        """Return the step's sigma; waits for the device once per step, not once per layer."""
        if self._sigma is None or self._sigma[0] is not sigmas:
            self._sigma = (sigmas, float(sigmas.flatten()[0]))
        return self._sigma[1]


class SamplingRun:
    """One sampling run of a MODEL with patches.

    Parameters
    ----------
    patches
        What was applied to the MODEL, in order.
    layout
        Of its UNet.
    guider
        The host's; knows the MODEL and the names of the conditionings' lists.
    """

    def __init__(self, patches: tuple[HiFiPatch, ...], layout: UNetLayout, guider: Any) -> None:
        self.guider = guider
        # Asked for before the host loads the MODEL: that is where schedules of other runs come in.
        self.percent_to_sigma = percent_to_sigma(guider.model_patcher)
        self.batch: CondBatch | None = None
        """What the host is about to compute in this step; put here before its threads start."""
        self.warnings = RunWarnings()
        self._of_run = (patches, layout, self.warnings)
        self._states: dict[int, RunState] = {}
        self._lock = threading.Lock()

    def state(self, model: Any) -> RunState:
        """Return the state of one copy of the base (the host's ``BaseModel``), made when first asked for."""
        with self._lock:
            # All copies live as long as the run: an id stands for one of them.
            if id(model) not in self._states:
                self._states[id(model)] = RunState(*self._of_run)
            return self._states[id(model)]

    def close(self) -> None:
        """Drop everything that the run made."""
        for state in self._states.values():
            state.close()
        self._states.clear()
        self.batch = None
        self.guider = None

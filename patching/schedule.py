"""When a patch acts: start, end and fades, in the host's sigmas."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

_STEPS = 200


@dataclass(frozen=True)
class Schedule:
    """Start, end and fades of one patch, translated to the sigmas of the model that is sampled.

    Switching on and off compares sigmas exactly as the host's own ControlNet does. Fades are linear in
    percent; the host offers percent to sigma only, so its inverse is a table made once per run.
    """

    start: float
    end: float
    fade_in: float
    fade_out: float
    sigma_start: float
    sigma_end: float
    table: tuple[float, ...]
    """Sigmas at evenly spaced percents from 1 down to 0, hence rising."""

    @classmethod
    def of(
        cls,
        start: float,
        end: float,
        fade_in: float,
        fade_out: float,
        percent_to_sigma: Callable[[float], float],
    ) -> Schedule:
        """Return the schedule for a model whose ``model_sampling.percent_to_sigma`` is given."""
        table: tuple[float, ...] = ()
        if fade_in > 0.0 or fade_out > 0.0:
            # The host answers exactly 0 and 1 with sigmas beyond all steps.
            percents = [min(max(1.0 - i / _STEPS, 1e-6), 1.0 - 1e-6) for i in range(_STEPS + 1)]
            table = tuple(float(percent_to_sigma(percent)) for percent in percents)
        sigma_start, sigma_end = float(percent_to_sigma(start)), float(percent_to_sigma(end))
        return cls(start, end, fade_in, fade_out, sigma_start, sigma_end, table)

    def percent(self, sigma: float) -> float:
        """Return how far the schedule has come at ``sigma``, 0 to 1; needs a fade to be set."""
        right = bisect_left(self.table, sigma)
        if right == 0:
            return 1.0
        if right == len(self.table):
            return 0.0
        low, high = self.table[right - 1], self.table[right]
        part = (sigma - low) / (high - low) if high > low else 0.0
        return 1.0 - (right - 1 + part) / _STEPS

    def gain(self, sigma: float) -> float:
        """Return the factor 0..1 at ``sigma``; exactly 0 outside of start and end."""
        if sigma > self.sigma_start or sigma < self.sigma_end:
            return 0.0
        if not self.table:
            return 1.0
        percent = self.percent(sigma)
        gain = 1.0
        if self.fade_in > 0.0:
            gain = min(gain, (percent - self.start) / self.fade_in)
        if self.fade_out > 0.0:
            gain = min(gain, (self.end - percent) / self.fade_out)
        return min(max(gain, 0.0), 1.0)

"""Artists' sliders: from words to ARKit coefficients, and the limits of anatomy.

The table itself is ``web/data/sliders.json``, read here and by the web widget. Names, gains and limits are
*ours*.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .model import FaceModel

DATA_FILE = Path(__file__).resolve().parent.parent / "web" / "data" / "sliders.json"
_NOTED = 0.02
"""Coefficients changed by less than this are limited without a note."""


@dataclass(frozen=True)
class Slider:
    """One slider of the table.

    Attributes
    ----------
    id, group, label, tooltip : str
        Stable snake_case name (also the node's input), its group and its texts.
    kind : str
        ``pose`` (degrees), ``placement`` or ``expression``.
    minimum, maximum, step, default : float
        Range.
    positive, negative : dict[str, float]
        ARKit names and gains above and below 0; empty unless ``kind`` is ``expression``.
    """

    id: str
    group: str
    label: str
    tooltip: str
    kind: str
    minimum: float
    maximum: float
    step: float
    default: float
    positive: dict[str, float]
    negative: dict[str, float]


@dataclass(frozen=True)
class Preset:
    """A named set of slider values; sliders that it does not name stay at their default."""

    id: str
    label: str
    values: dict[str, float]


@dataclass(frozen=True, eq=False)
class SliderTable:
    """The table: sliders, groups (id, label), presets and limits, in order."""

    sliders: tuple[Slider, ...]
    groups: tuple[tuple[str, str], ...]
    presets: tuple[Preset, ...]
    limits: tuple[dict[str, Any], ...]

    @staticmethod
    def load() -> SliderTable:
        """Read the table that ships with the pack (cached)."""
        return _load(str(DATA_FILE))

    @cached_property
    def by_id(self) -> dict[str, Slider]:
        """Sliders by name."""
        return {slider.id: slider for slider in self.sliders}

    def preset(self, name: str) -> Preset:
        """Look a preset up by id or label; unknown names raise ValueError with the known ones."""
        for preset in self.presets:
            if name.strip().lower() in (preset.id, preset.label.lower()):
                return preset
        raise ValueError(f"preset '{name}' is unknown; known: {', '.join(p.id for p in self.presets)}")

    def checked(self, values: Mapping[str, float]) -> dict[str, float]:
        """Fill in defaults; unknown names and values that are not numbers raise ValueError."""
        result = {slider.id: slider.default for slider in self.sliders}
        for name, value in values.items():
            if name not in result:
                raise ValueError(f"slider '{name}' is unknown; known: {', '.join(result)}")
            number = float(value)
            if not np.isfinite(number):
                raise ValueError(f"slider '{name}' is {number}; give a number")
            result[name] = number
        return result

    def expression(
        self, values: Mapping[str, float], model: FaceModel, base: np.ndarray | None = None
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Coefficients for slider values on top of a target's own expression.

        Parameters
        ----------
        values : Mapping[str, float]
            Slider id -> value; pose and placement sliders are ignored. Any size: the result is limited.
        model : FaceModel
            For the order of names.
        base : np.ndarray | None
            (52,) coefficients of a target photo or a reference; None is neutral.

        Returns
        -------
        coefficients : np.ndarray
            (52,) float64 in 0..1, within the limits of anatomy.
        notes : tuple[str, ...]
            What was limited.
        """
        start = np.zeros(len(model.expression_names)) if base is None else np.asarray(base, np.float64)
        taken, added = start.copy(), np.zeros_like(start)
        index = model.expression_index
        for slider in self.sliders:
            value = float(values.get(slider.id, 0.0)) if slider.kind == "expression" else 0.0
            if value > 0:
                for name, gain in slider.positive.items():
                    added[index[name]] += value * gain
            elif value < 0:
                used = max(start[index[name]] / gain for name, gain in slider.positive.items())
                for name, gain in slider.positive.items():
                    taken[index[name]] += value * gain
                for name, gain in slider.negative.items():
                    added[index[name]] += max(0.0, -value - used) * gain
        return limit_expression(np.maximum(taken, 0.0) + added, model, self)


def limit_expression(
    coefficients: np.ndarray, model: FaceModel, table: SliderTable | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Bring coefficients to what a face can do.

    Parameters
    ----------
    coefficients : np.ndarray
        (52,) of any size.
    model : FaceModel
        For the order of names.
    table : SliderTable | None
        Holder of the limits; the shipped table where None.

    Returns
    -------
    coefficients : np.ndarray
        (52,) in 0..1, within the table's limits.
    notes : tuple[str, ...]
        One sentence for each limit that changed something noticeably.
    """
    table = table or SliderTable.load()
    index = model.expression_index
    raw = np.asarray(coefficients, np.float64)
    if not np.isfinite(raw).all():
        raise ValueError("expression coefficients contain NaN or infinity")
    result = np.clip(raw, 0.0, 1.0)
    notes = []
    beyond = [model.expression_names[i] for i in np.nonzero(np.abs(raw - result) > _NOTED)[0]]
    if beyond:
        more = f" and {len(beyond) - 3} more" if len(beyond) > 3 else ""
        notes.append(f"Limited to 0..1: {', '.join(beyond[:3])}{more}")
    for rule in table.limits:
        before = result.copy()
        for a, b in rule["pairs"]:
            i, j = index[a], index[b]
            if rule["type"] == "opposites":
                common = min(result[i], result[j])
                result[i], result[j] = result[i] - common, result[j] - common
            elif rule["type"] == "sum":
                total = result[i] + result[j]
                if total > rule["max"]:
                    result[[i, j]] *= rule["max"] / total
            else:
                result[i] = min(result[i], result[j])
        if np.abs(result - before).max() > _NOTED:
            notes.append(rule["note"])
    return result, tuple(notes)


@lru_cache(maxsize=2)
def _load(path: str) -> SliderTable:
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    sliders = tuple(
        Slider(
            id=row["id"],
            group=row["group"],
            label=row["label"],
            tooltip=row["tooltip"],
            kind=row["kind"],
            minimum=float(row["min"]),
            maximum=float(row["max"]),
            step=float(row["step"]),
            default=float(row["default"]),
            positive=dict(row.get("positive", {})),
            negative=dict(row.get("negative", {})),
        )
        for row in data["sliders"]
    )
    return SliderTable(
        sliders=sliders,
        groups=tuple((group["id"], group["label"]) for group in data["groups"]),
        presets=tuple(Preset(row["id"], row["label"], dict(row["values"])) for row in data["presets"]),
        limits=tuple(data["limits"]),
    )

"""What an artist sets on one application of HiFi-Net, and what the values mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..boundary.text import echoed, printable

BLOCK_GROUPS = (
    "BASE",
    "IN1",
    "IN2",
    "IN3",
    "IN4",
    "MID",
    "OUT1",
    "OUT2",
    "OUT3",
    "OUT4",
    "OUT5",
    "OUT6",
)
"""The groups of UNet blocks that have a weight of their own, from the input to the output.

*Ours*, after the twelve-value block weights that LoRA tools use for SDXL: `BASE` are the blocks
without attention, `IN1`..`IN4` the input blocks with attention, `MID` the middle block,
`OUT1`..`OUT6` the output blocks with attention.
"""

BLOCK_PRESETS: Mapping[str, tuple[float, ...]] = {
    "all": (1.0,) * 12,
    "identity, less layout": (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "layout, less identity": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5),
    "coarse only": (0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0),
    "fine only": (1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0),
    "no middle": (1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
}
"""Named sets of block weights, in the order of `BLOCK_GROUPS` (*ours*)."""

LARGEST_FACTOR = 10.0
"""Of strengths and block weights: three is strong, and what half precision cannot hold is black."""
MOST_FEATHER = 4096
_LONGEST_NAME = 80

UNCONDITIONAL_CHOICES = ("nothing", "zero identity")
"""What the unconditional half sees.

``nothing`` leaves it unpatched, which halves the cost. ``zero identity`` runs the network on it with
the identity of a zero embedding, as InstantID does.
"""


def parse_block_weights(text: str) -> tuple[float, ...]:
    """Return the block weights that a preset's name or twelve numbers stand for.

    Parameters
    ----------
    text
        A name of `BLOCK_PRESETS`, or twelve numbers separated by commas in the order of `BLOCK_GROUPS`.

    Raises
    ------
    ValueError
        It is neither; the message names what is wrong.
    """
    if not isinstance(text, str):
        raise ValueError(f"block weights: {echoed(text)} is not a text")
    name = text.strip()
    if name in BLOCK_PRESETS:
        return BLOCK_PRESETS[name]
    parts = [part.strip() for part in name.split(",") if part.strip()]
    if len(parts) != len(BLOCK_GROUPS):
        raise ValueError(
            f"block weights: expected a preset ({', '.join(BLOCK_PRESETS)}) or {len(BLOCK_GROUPS)} numbers, "
            f"got {len(parts)} in {echoed(name)}"
        )
    values = []
    for part in parts:
        try:
            value = float(part)
        except ValueError:
            raise ValueError(f"block weights: {echoed(part)} is not a number") from None
        if not abs(value) <= LARGEST_FACTOR:  # NaN neither
            raise ValueError(
                f"block weights: {echoed(part)} does not lie between -{LARGEST_FACTOR:g} and "
                f"{LARGEST_FACTOR:g}"
            )
        values.append(value)
    return tuple(values)


@dataclass(frozen=True)
class PatchSettings:
    """How strongly, when and where one identity and its landmarks act.

    Parameters
    ----------
    identity_strength
        Factor on the identity attention in the base UNet; 0 switches it off.
    landmark_strength
        Factor on HiFi-Net's residuals; 0 switches HiFi-Net off.
    start_percent, end_percent
        Part of the noise schedule in which the patch acts, 0 (pure noise) to 1 (finished).
    fade_in, fade_out
        Length, in the same unit, of the ramps after the start and before the end.
    fusion_strength
        Factor on the fusion attention inside HiFi-Net; 0 leaves what InstantID computes.
    block_weights
        One factor for each of `BLOCK_GROUPS`.
    unconditional
        One of `UNCONDITIONAL_CHOICES`.
    identity_noise
        Height, 0..1, of the uniform noise that the zero identity is made of, as in InstantID's pack; 0: of
        zeros.
    mask_feather
        Width of the soft edge given to the mask, in pixels of the mask.
    name
        What to call this person in messages and in the preview.

    Raises
    ------
    ValueError
        A value is out of range.
    """

    identity_strength: float = 0.8
    landmark_strength: float = 0.8
    start_percent: float = 0.0
    end_percent: float = 1.0
    fade_in: float = 0.0
    fade_out: float = 0.0
    fusion_strength: float = 1.0
    block_weights: tuple[float, ...] = field(default=BLOCK_PRESETS["all"])
    unconditional: str = "nothing"
    identity_noise: float = 0.0
    mask_feather: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        for name in ("start_percent", "end_percent", "fade_in", "fade_out", "identity_noise"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must lie between 0 and 1, it is {value}")
        for name in ("identity_strength", "landmark_strength", "fusion_strength"):
            if not abs(getattr(self, name)) <= LARGEST_FACTOR:  # NaN neither
                raise ValueError(
                    f"{name} must be a finite number between -{LARGEST_FACTOR:g} and {LARGEST_FACTOR:g}, "
                    f"it is {echoed(getattr(self, name))}"
                )
        if self.start_percent > self.end_percent:
            raise ValueError(
                f"start_percent {self.start_percent} lies after end_percent {self.end_percent}; exchange them"
            )
        if len(self.block_weights) != len(BLOCK_GROUPS):
            raise ValueError(f"block_weights needs {len(BLOCK_GROUPS)} values, got {len(self.block_weights)}")
        if not all(abs(weight) <= LARGEST_FACTOR for weight in self.block_weights):
            raise ValueError(f"block_weights must lie between -{LARGEST_FACTOR:g} and {LARGEST_FACTOR:g}")
        if self.unconditional not in UNCONDITIONAL_CHOICES:
            raise ValueError(
                f"unconditional must be one of {UNCONDITIONAL_CHOICES}, it is {echoed(self.unconditional)}"
            )
        if not 0 <= self.mask_feather <= MOST_FEATHER:
            raise ValueError(
                f"mask_feather must lie between 0 and {MOST_FEATHER}, it is {echoed(self.mask_feather)}"
            )
        if self.name != printable(self.name, _LONGEST_NAME):
            # Frozen: the name of a person is shown in messages, pictures and metadata.
            object.__setattr__(self, "name", printable(self.name, _LONGEST_NAME))

"""What is attacked inside one process: each target makes hostile inputs of its kind and tries one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from . import files_attacked, values_attacked

Make = Callable[[Random], Any]
Try = Callable[[Any, Path], object]


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes
    ----------
    name : str
        As in the figures.
    make : Make
        Makes a hostile input; the same from the same random numbers.
    attempt : Try
        Gives it to the pack, as a node would; second: a scratch folder, the only place to write to.
    good : Callable
        Makes the inputs that have to be accepted.
    share : int
        How many inputs of 50,000.
    """

    name: str
    make: Make
    attempt: Try
    good: Callable[[], list[Any]]
    share: int

    def number(self, number: int) -> Any:
        """Return the input of this number, every time the same."""
        return self.make(Random(f"{self.name}/{number}"))


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        *(Target(*row) for row in files_attacked.rows()),
        *(Target(*row) for row in values_attacked.rows()),
    )
}
"""A new kind of file or text needs a row in ``files_attacked.py`` or ``values_attacked.py``, no more."""

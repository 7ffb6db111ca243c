"""What a stage is, and where and how long it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Log = Callable[[str], None]
DONE = "done.json"
"""Says that a stage is finished, and of what."""
BEGUN = "begun.json"
"""Says that a stage was begun, and of what."""


@dataclass(frozen=True)
class Stage:
    """One stage of a chain."""

    name: str
    kind: str
    needs: tuple[str, ...]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Work:
    """Where and how long a stage works."""

    folder: Path
    """Of the chain; a stage has the folder of its name in it."""
    face_models: Path
    """Folder of the face model files."""
    seconds: float
    """That are left."""
    device: str
    """``cpu`` or ``cuda``."""
    log: Log

    def of(self, stage: str) -> Path:
        """Folder of a stage."""
        return self.folder / stage


Kind = Callable[[Stage, Work], bool]
"""Does a stage, or goes on with it; false: it was out of time."""

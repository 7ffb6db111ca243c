"""Files that nodes keep: whether what a node saved is still there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from pathlib import Path

from ..boundary.files import stamp


class Kept:
    """The files that a saving node wrote, by its inputs.

    The host takes a node's result from its cache when nothing changed, and would report success where the
    file has been deleted since. A fingerprint that changes with every save would run all that follows again.
    """

    def __init__(self) -> None:
        self._files: dict[Hashable, tuple[Path, object]] = {}
        self._lost: Counter[Hashable] = Counter()

    def saved(self, key: Hashable, path: Path) -> None:
        """Remember the file that these inputs were saved to last."""
        self._files[key] = (path, version(path))

    def fingerprint(self, key: Hashable) -> str:
        """Return how often the file of these inputs was found to be gone, or another."""
        if key in self._files and version(self._files[key][0]) != self._files[key][1]:
            del self._files[key]
            self._lost[key] += 1
        return str(self._lost[key])


def version(path: Path) -> object:
    """Tell this version of a file from others; None where there is none."""
    try:
        return stamp(path)
    except OSError:
        return None

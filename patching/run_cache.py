"""What a sampling run keeps, and what it has warned of."""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

from torch import Tensor

T = TypeVar("T")

PREPARED_BYTES = 2**30
"""How much of HiFi-Net's constant part a run keeps beside what the current call needs.

A row takes about 100 MB with fusion on SDXL: enough for a batch and for most tiled pictures, and a bound on
memory for long videos in windows.
"""

_log = logging.getLogger(__name__)


class RunCache:
    """What is computed once in a sampling run, by what it depends on."""

    def __init__(self) -> None:
        self.kept: dict[tuple[Hashable, ...], Any] = {}
        self.bounded: OrderedDict[tuple[Hashable, ...], Any] = OrderedDict()
        """Most recently used last."""
        self.counts: Counter[str] = Counter()
        """How often something of each kind was made."""

    def once(self, kind: str, key: tuple[Hashable, ...], make: Callable[[], T]) -> T:
        """Return what belongs to ``kind`` and ``key``; made when it is asked for first, kept for the run."""
        whole = (kind, *key)
        if whole not in self.kept:
            self.counts[kind] += 1
            self.kept[whole] = make()
        return cast(T, self.kept[whole])

    def recent(self, kind: str, key: tuple[Hashable, ...], make: Callable[[], T]) -> T:
        """Return the same as `once`, of which no more than `PREPARED_BYTES` are kept beside the newest."""
        whole = (kind, *key)
        if whole in self.bounded:
            self.bounded.move_to_end(whole)
            return cast(T, self.bounded[whole])
        self.counts[kind] += 1
        made = self.bounded[whole] = make()
        while len(self.bounded) > 1 and tensor_bytes([*self.bounded.values()]) > PREPARED_BYTES:
            self.bounded.popitem(last=False)
        return made

    def clear(self) -> None:
        """Drop everything."""
        self.kept.clear()
        self.bounded.clear()


class RunWarnings:
    """Warnings of a run, each logged once; any thread may warn."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def once(self, text: str) -> None:
        """Log a warning, unless this run has logged it already."""
        with self._lock:
            new = text not in self._said
            self._said.add(text)
        if new:
            _log.warning(text)


def tensor_bytes(value: Any) -> int:
    """Return the memory of all tensors in nested dataclasses, tuples and lists, bytes."""
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    if is_dataclass(value):
        return sum(tensor_bytes(getattr(value, item.name)) for item in fields(value))
    return sum(map(tensor_bytes, value)) if isinstance(value, (tuple, list)) else 0

"""How much memory there is, so that what cannot fit is refused before it is begun."""

from __future__ import annotations

from pathlib import Path

_SHARE = 0.8
"""Of what is free; the host and the system need the rest."""
_GROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)
"""A container's limit and use, bytes; version 2 and version 1."""


def free_memory() -> int:
    """Return the main memory that can be had without swapping, bytes; a container's limit counts."""
    import psutil

    free = int(psutil.virtual_memory().available)
    for limit, used in _GROUPS:
        try:
            free = min(free, int(limit.read_text()) - int(used.read_text()))
        except (OSError, ValueError):  # no container, or one without a limit
            continue
    return max(free, 0)


def require_memory(needed: int, what: str, remedy: str) -> None:
    """Refuse what does not fit into the memory.

    Parameters
    ----------
    needed : int
        Bytes.
    what : str
        What needs it, such as "3600 drawings of 1024 x 1024 px".
    remedy : str
        What the artist can do.

    Raises
    ------
    ValueError
        One line with both.
    """
    free = free_memory()
    if needed > _SHARE * free:
        raise ValueError(f"{what} need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: {remedy}")

"""Analyzers by the name that the artist chooses."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from .analyzer import FaceAnalyzer
from .insight import KNOWN_PACKS, InsightFaceAnalyzer, find_packs
from .open_analyzer import OpenAnalyzer

OPEN = "open (YuNet + SFace)"

_loaded: dict[tuple[object, ...], FaceAnalyzer] = {}
_lock = threading.Lock()


def analyzer_names(insight_folders: Sequence[Path]) -> list[str]:
    """List the open analyzer, InsightFace's well-known packs, and every other pack that lies there."""
    return [OPEN, *dict.fromkeys([*KNOWN_PACKS, *sorted(find_packs(insight_folders))])]


def load_analyzer(
    name: str, provider: str, model_folders: Sequence[Path], insight_folders: Sequence[Path]
) -> FaceAnalyzer:
    """Load an analyzer once per name, provider and files.

    Parameters
    ----------
    name : str
        As from `analyzer_names`.
    provider : str
        One of `runtime.PROVIDER_CHOICES`.
    model_folders : sequence of Path
        Where the open analyzer's files are looked for.
    insight_folders : sequence of Path
        Folders ``models/insightface`` (each with packs under ``models``).

    Raises
    ------
    MissingModelFileError, MissingPackageError, ValueError
        As the analyzer's own class says.
    """
    key = (name, provider, tuple(model_folders), tuple(insight_folders))
    with _lock:
        if key not in _loaded:
            if name == OPEN:
                _loaded[key] = OpenAnalyzer(model_folders, provider)
            else:
                _loaded[key] = InsightFaceAnalyzer(name, insight_folders, provider, model_folders)
        return _loaded[key]

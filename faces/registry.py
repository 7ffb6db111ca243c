"""Analyzers by the name that the artist chooses."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path

from ..boundary.files import stamp
from .analyzer import FaceAnalyzer
from .face_alignment_points import FaceAlignmentPoints
from .files import MODEL_FILES, locate
from .insight import KNOWN_PACKS, InsightFaceAnalyzer, find_packs
from .open_analyzer import OpenAnalyzer

OPEN = "open (YuNet + SFace)"

LANDMARK_SOURCES = ("the analyzer's own", "face-alignment")
"""Where landmarks can come from; the second needs the package face-alignment."""

_loaded: dict[tuple[object, ...], FaceAnalyzer] = {}
_lock = threading.Lock()


def analyzer_names(insight_folders: Sequence[Path]) -> list[str]:
    """List the open analyzer, InsightFace's well-known packs, and every other pack that lies there."""
    return [OPEN, *dict.fromkeys([*KNOWN_PACKS, *sorted(find_packs(insight_folders))])]


def load_analyzer(
    name: str,
    provider: str,
    model_folders: Sequence[Path],
    insight_folders: Sequence[Path],
    landmarks: str = LANDMARK_SOURCES[0],
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
    landmarks : str
        One of `LANDMARK_SOURCES`.

    Raises
    ------
    MissingModelFileError, MissingPackageError, ValueError
        As the analyzer's own class says.
    """
    key = (name, provider, versions(name, model_folders, insight_folders))
    with _lock:
        # What was made of files that are no longer there is not kept.
        for old in [old for old in _loaded if old[:2] == key[:2] and old[2] != key[2]]:
            del _loaded[old]
        if key not in _loaded:
            if name == OPEN:
                _loaded[key] = OpenAnalyzer(model_folders, provider)
            else:
                _loaded[key] = InsightFaceAnalyzer(name, insight_folders, provider, model_folders)
        if landmarks == LANDMARK_SOURCES[0]:
            return _loaded[key]
        if (*key, landmarks) not in _loaded:
            device = "cuda" if _loaded[key].provider == "CUDA" else "cpu"
            _loaded[(*key, landmarks)] = FaceAlignmentPoints(_loaded[key], device)
        return _loaded[(*key, landmarks)]


def versions(
    name: str, model_folders: Sequence[Path], insight_folders: Sequence[Path]
) -> tuple[tuple[object, ...], ...]:
    """Tell the analyzer's files from others: a file that is new or replaced means loading again."""
    paths = list(locate(MODEL_FILES, model_folders).values())
    pack = find_packs(insight_folders).get(name)
    if pack is not None:
        paths += sorted(pack.glob("*.onnx"))
    return tuple(stamp(path) for path in paths)


def other_recognizer(recognizer: str, insight_folders: Sequence[Path]) -> str:
    """Name an analyzer with another recognizer than the given one, or with the same where there is no other.

    A model that was conditioned on one recognizer can please it without looking like the person; another
    tells.
    """
    if recognizer != OpenAnalyzer.recognizer:
        return OPEN
    packs = find_packs(insight_folders)
    if packs and importlib.util.find_spec("insightface") is not None:
        return next((name for name in KNOWN_PACKS if name in packs), sorted(packs)[0])
    return OPEN

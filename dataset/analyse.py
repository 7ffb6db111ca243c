"""The stages that look at one picture alone: decode, detect, filter; and what a process keeps for them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..boundary.text import reason
from ..faces.analyzer import FaceAnalyzer
from ..faces.registry import OPEN, load_analyzer
from ..landmarks.model import FaceModel
from .caption import Captioner, load_captioner
from .config import PipelineConfig
from .decode import decode, rejected
from .detect import detect
from .filter import rate, usable
from .record import PictureRecord


@dataclass(frozen=True)
class AnalyzerChoice:
    """Which analyzer, so that every process can load its own; fields as in ``faces/registry.py``."""

    folders: tuple[str, ...]
    """Of the open analyzer's model files."""
    name: str = OPEN
    provider: str = "auto"
    insight_folders: tuple[str, ...] = ()

    def load(self) -> FaceAnalyzer:
        """Load it; raises as `load_analyzer`."""
        return load_analyzer(
            self.name, self.provider, list(map(Path, self.folders)), list(map(Path, self.insight_folders))
        )


class Tools:
    """What a process needs for the stages, each loaded when first used.

    Parameters
    ----------
    config : PipelineConfig
        Settings.
    choice : AnalyzerChoice
        The analyzer.
    """

    def __init__(self, config: PipelineConfig, choice: AnalyzerChoice) -> None:
        self.config, self.choice = config, choice

    @cached_property
    def analyzer(self) -> FaceAnalyzer:
        """The analyzer."""
        return self.choice.load()

    @cached_property
    def face_model(self) -> FaceModel:
        """The 3D face."""
        return FaceModel.load()

    @cached_property
    def captioner(self) -> Captioner | None:
        """The user's captioner, if there is one."""
        return load_captioner(self.config.caption)


def analyse(record: PictureRecord, tools: Tools) -> PictureRecord:
    """Take one picture through decode, detect and filter; never raises for what a picture holds."""
    if record.rejected:
        return record
    config = tools.config
    analyzer = tools.analyzer
    try:
        record, pixels = decode(record, config.decode)
        if pixels is None:
            return record
        record, face = detect(record, pixels, analyzer, config.detect)
        if face is None:
            return record
        return usable(rate(record, pixels, face, analyzer), config.filter)
    except Exception as error:  # the picture is somebody else's, and one must not stop a million
        return rejected(
            record, "detect", "an error in the analysis", detail=f"{type(error).__name__}: {reason(error)}"
        )

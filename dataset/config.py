"""Every threshold of the data set pipeline, one group per stage, read from JSON or TOML.

The paper gives no numbers for its pipeline; the defaults are *ours*, and a file states only what differs:
``{"filter": {"smallest_face": 96}, "texture": {"per": "picture"}}``. ``null`` switches a limit off.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..boundary.settings import build_settings, read_settings
from .duplicates import DuplicatesConfig
from .purify import PurifyConfig

TEXTURES = ("none", "person", "picture", "both")
"""Of what UV textures are made: of all a person's pictures together, of each picture alone."""
CAPTIONERS = ("column", "tags")
"""``column`` takes the source's captions, ``tags`` describes pose and expression where there is none."""
PICTURE_KINDS = ("jpg", "png")


@dataclass(frozen=True)
class Source:
    """Where a table or a shard says what; null looks for the usual names."""

    path: str | None = None
    """Column of a table with the paths: ``path``, ``file``, ``file_name``, ``filename``, ``image``."""
    identity: str | None = None
    """Column, or key in a shard's JSON, with the person: ``identity``, ``person``, ``label``."""
    caption: str | None = None
    """The same for captions: ``caption``, ``text``."""
    labelled_folders: bool = True
    """Whether the first folder below a source folder is the person's label."""


@dataclass(frozen=True)
class Decode:
    """Which pictures are read at all, beside the limits of ``faces/picture_files.py``."""

    shortest_side: int = 64
    """px; smaller pictures are rejected."""
    most_megabytes: float = 256.0
    """Of one file."""
    animated: bool = False
    """Whether the first frame of an animation is taken."""
    longest_side: int = 2048
    """px; larger pictures are reduced before anything is looked for in them."""


@dataclass(frozen=True)
class Detect:
    """Which faces count, and how many a picture may have."""

    confidence: float = 0.7
    """Of the detector; faces below are not counted."""
    presence: float = 0.5
    """Of the landmark model."""
    beside: float = 0.35
    """A second face counts from this share of the largest one's side: smaller ones are passers-by."""
    most_faces: int = 1
    """Pictures with more are rejected."""


@dataclass(frozen=True)
class Filter:
    """What a usable face is; qualities are those of ``faces/quality.py``, 0..1."""

    smallest_face: float = 64.0
    """px, geometric mean of the box's sides."""
    sharpness: float = 0.2
    """Least fine detail."""
    exposure: float = 0.15
    """Least: neither clipped nor flat."""
    completeness: float = 0.45
    """Least share of the face that is shown and not covered."""
    largest_yaw: float | None = 75.0
    """Degrees to either side."""
    largest_pitch: float | None = 50.0
    """Degrees up or down."""
    largest_roll: float | None = None
    """Degrees to either side."""


@dataclass(frozen=True)
class People:
    """How many pictures a person must have."""

    fewest_pictures: int = 2
    """People with fewer are rejected: a picture can't be its own reference."""
    most_pictures: int | None = None
    """Of one person; the best are kept. null: all."""


@dataclass(frozen=True)
class Matte:
    """The person in the picture."""

    smallest_share: float = 0.02
    """Of the picture that the person must fill; less is a failed matte."""


@dataclass(frozen=True)
class Fit:
    """The 3D face fitted to all pictures of a person together."""

    largest_residual: float = 0.09
    """Interocular distances; pictures above are rejected: the landmarks are wrong."""
    most_pictures: int = 32
    """The identity is fitted on the best; the others take it as it is."""


@dataclass(frozen=True)
class Texture:
    """UV textures of the photographic head."""

    per: str = "none"
    """One of ``none``, ``person``, ``picture``, ``both``; a person's shows the target's picture too."""
    size: int = 512
    """px."""
    most_pictures: int = 8
    """The best of a person's, fused to its texture."""


@dataclass(frozen=True)
class Caption:
    """Texts."""

    captioner: str = "column"
    """``column``, ``tags``, or ``module:function``, called with (pixels, record) and returning a text."""
    longest: int = 400
    """Characters."""


@dataclass(frozen=True)
class Shards:
    """Files that are written."""

    pictures: int = 512
    """About how many pictures a shard holds; people are not divided unless they have more."""
    longest_side: int = 1024
    """px of pictures in shards; never enlarged."""
    kind: str = "jpg"
    """``jpg`` or ``png``."""
    quality: int = 95
    """Of JPEG."""
    chunk: int = 64
    """Pictures that are analysed between two entries of the journal."""


@dataclass(frozen=True)
class DataSheet:
    """What only the user knows; written into the data sheet, never checked."""

    name: str = "unnamed"
    """Of the data set."""
    source: str = "not stated"
    """Where the pictures come from."""
    licence: str = "not stated"
    """Under which they may be used."""
    consent: str = "not stated"
    """What the people shown agreed to, and where that is recorded."""
    contact: str = "not stated"
    """Whom to ask to be forgotten."""


@dataclass(frozen=True)
class PipelineConfig:
    """All settings of a build; equal ones on an equal source give equal bytes on one machine."""

    source: Source = field(default_factory=Source)
    """Columns and folders."""
    decode: Decode = field(default_factory=Decode)
    """Reading."""
    detect: Detect = field(default_factory=Detect)
    """Faces."""
    filter: Filter = field(default_factory=Filter)
    """Usable faces."""
    purify: PurifyConfig = field(default_factory=PurifyConfig)
    """Grouping (its group ``grouping``) and cleaning of people."""
    duplicates: DuplicatesConfig = field(default_factory=DuplicatesConfig)
    """Once only."""
    people: People = field(default_factory=People)
    """Pictures of a person."""
    matte: Matte = field(default_factory=Matte)
    """Persons in pictures."""
    fit: Fit = field(default_factory=Fit)
    """3D face."""
    texture: Texture = field(default_factory=Texture)
    """UV textures."""
    caption: Caption = field(default_factory=Caption)
    """Texts."""
    shards: Shards = field(default_factory=Shards)
    """Files."""
    sheet: DataSheet = field(default_factory=DataSheet)
    """Data sheet."""

    def __post_init__(self) -> None:
        """Refuse what no build can work with.

        Raises
        ------
        ValueError
            One line that names the group and the setting.
        """
        for name, value, known in (
            ("texture.per", self.texture.per, TEXTURES),
            ("shards.kind", self.shards.kind, PICTURE_KINDS),
        ):
            if value not in known:
                raise ValueError(f"data set settings: {name} is one of {', '.join(known)}, not {value!r}")
        captioner = self.caption.captioner
        if captioner not in CAPTIONERS and captioner.count(":") != 1:
            raise ValueError(
                f"data set settings: caption.captioner is {', '.join(CAPTIONERS)} or module:function"
            )
        for name, least, number in _NUMBERS:
            group, _, key = name.partition(".")
            value = getattr(getattr(self, group), key)
            if value is not None and not least <= value <= number:
                raise ValueError(f"data set settings: {name} must be {least:g} to {number:g}, not {value:g}")

    @classmethod
    def load(cls, path: Path | None) -> PipelineConfig:
        """Read settings; None gives the defaults.

        Raises
        ------
        ValueError
            One line that names the file and the key.
        """
        if path is None:
            return cls()
        config: PipelineConfig = build_settings(cls, read_settings(path), path.name)
        return config

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> PipelineConfig:
        """Make settings of what `to_dict` returned, or of a part of it."""
        config: PipelineConfig = build_settings(cls, content, "data set settings")
        return config

    def to_dict(self) -> dict[str, Any]:
        """Return all settings, as `load` reads them."""
        return asdict(self)

    def digest(self) -> str:
        """Return 16 hexadecimal digits that change with every setting."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


_NUMBERS: tuple[tuple[str, float, float], ...] = (
    ("decode.shortest_side", 16, 4096),
    ("decode.most_megabytes", 0.001, 1024),
    ("decode.longest_side", 256, 4096),
    ("detect.confidence", 0, 1),
    ("detect.presence", 0, 1),
    ("detect.beside", 0, 1),
    ("detect.most_faces", 1, 64),
    ("filter.smallest_face", 8, 4096),
    ("filter.sharpness", 0, 1),
    ("filter.exposure", 0, 1),
    ("filter.completeness", 0, 1),
    ("filter.largest_yaw", 0, 180),
    ("filter.largest_pitch", 0, 90),
    ("filter.largest_roll", 0, 180),
    ("people.fewest_pictures", 1, 1 << 20),
    ("people.most_pictures", 1, 1 << 20),
    ("purify.keep", -1, 2),
    ("purify.move", -1, 2),
    ("purify.margin", 0, 2),
    ("purify.merge", -1, 2),
    ("duplicates.bits", 0, 64),
    ("duplicates.certain_bits", 0, 64),
    ("duplicates.similarity", -1, 1),
    ("duplicates.correlation", -1, 1),
    ("duplicates.colour", 0, 255),
    ("duplicates.neighbours", 1, 1024),
    ("matte.smallest_share", 0, 1),
    ("fit.largest_residual", 0, 10),
    ("fit.most_pictures", 1, 256),
    ("texture.size", 256, 2048),
    ("texture.most_pictures", 1, 64),
    ("caption.longest", 0, 10000),
    ("shards.pictures", 1, 1 << 20),
    ("shards.longest_side", 64, 4096),
    ("shards.quality", 1, 100),
    ("shards.chunk", 1, 4096),
)
"""Least and most of each number."""

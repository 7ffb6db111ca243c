"""Everything that decides a training run, in one JSON file of named groups.

A recipe states only what differs from the defaults, or from the recipe that its key ``extends`` names:
``{"extends": "ablation", "network": {"texture_size": 0}}``. ``null`` means never.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..boundary.settings import build_settings, merge_settings
from ..models.config import HiFiNetConfig
from .upgrade import upgrade_recipe

RECIPES = Path(__file__).parent / "recipes"
EXTENDS = "extends"


@dataclass(frozen=True)
class Optimizer:
    """AdamW, and the exponential moving average of the weights."""

    learning_rate: float = 8e-4
    """Peak of the learning rate."""
    base_multiplier: float = 1.0
    """Learning-rate multiplier of the base UNet and the word embeddings."""
    refiner_multiplier: float = 1.0
    """Of the face refiner."""
    hifi_net_multiplier: float = 1.0
    """Of HiFi-Net, UV texture and fusion included."""
    attention_multiplier: float = 1.0
    """Of identity attention."""
    beta2: float = 0.98
    """Decay of AdamW's second moments."""
    weight_decay: float = 0.01
    """Of matrices and convolutions; biases and norms have none."""
    clip: float = 1.0
    """Largest norm of all gradients together."""
    ema: float = 0.998
    """Decay of the EMA weights, for each step; smaller at the start."""


@dataclass(frozen=True)
class Schedule:
    """Length of the run, course of the learning rate, and when files are written."""

    steps: int = 5000
    """Optimizer steps of the whole run."""
    warmup: int = 100
    """Steps in which the learning rate rises to its peak."""
    hold: float = 0.5
    """Share of the run up to which it stays there; then it falls along a cosine."""
    final: float = 0.02
    """Learning rate at the end, as a share of the peak."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    sheet_every: int | None = 800
    """Steps between sample sheets."""


@dataclass(frozen=True)
class Data:
    """What a batch is drawn like."""

    batch: int = 12
    """People in a batch, of one process and one step of accumulation."""
    resolution: int = 1024
    """Side of the pictures, px; the tiny model's is that of its data."""
    reference_counts: tuple[float, ...] = (0.3, 0.25, 0.2, 0.2, 0.05)
    """Odds of 1, 2, ... references."""
    word_dropout: float = 0.12
    """Chance of each concept, and of all at once, to be left out."""
    identity_dropout: float = 0.125
    """Share of a batch whose identity conditioning is left out: the base alone predicts it."""
    noise_power: float = 1.6
    """Above 1 noisy time steps are drawn more often: a step is ``1 - uniform ** noise_power`` of all."""
    alignment: bool = True
    """Whether canonical coordinates and UV textures are given; false is an ablation."""


@dataclass(frozen=True)
class Stage:
    """Which parts take part from which step on, and what they start with."""

    identity_from: int | None = 0
    """First step that trains the identity parts; before, the base is trained alone."""
    denoising_from: int | None = 0
    """First step that trains denoising; before, texture fusion and coarse x0 are trained alone."""
    freeze_base: bool = False
    """Whether the base stays as it is from ``identity_from`` on."""
    transfer: str = "all"
    """What is taken of the run that this one starts from: ``all``, or its ``base`` alone."""
    zero_layer_scale: float = 0.0
    """Layers that start at zero start at this fraction of the usual random start instead."""


@dataclass(frozen=True)
class Losses:
    """Weights of the losses; 0 leaves one out."""

    face_weight: float = 2.0
    """How much more the face weighs than the rest of the picture."""
    channel_power: float = 0.7
    """A latent channel weighs as its share in the picture to this power."""
    min_snr_gamma: float = 20.0
    """Time steps of a higher signal-to-noise ratio weigh less (Hang et al. 2023, Min-SNR)."""
    identity: float = 0.0
    """One minus SFace's identity similarity, on clean pictures predicted."""
    landmarks: float = 0.0
    """Distance of landmarks, on the same pictures."""
    picture_share: float = 0.25
    """Largest share of a batch that the losses on pictures act on."""
    picture_max_noise: float = 0.5
    """Largest sigma, 0..1, from which a clean picture is predicted for them."""
    pictures_from: int | None = 0
    """First step with losses on pictures."""
    pictures_ramp: int = 0
    """Steps in which the losses on pictures then rise to their weights."""
    picture_window: int = 64
    """SDXL: side of the part around the face that is decoded for them, latent pixels."""
    texture: float = 0.0
    """Error of the fused UV texture, sampled at the target."""
    coarse_x0: float = 0.0
    """Squared error of the coarse x0."""
    coarse_x0_people: int = 4
    """People of a batch that texture and coarse x0 losses act on, once denoising is trained."""
    coarse_x0_identities: int = 0
    """People of a batch whose coarse x0 has an identity loss, in steps without rollouts."""


@dataclass(frozen=True)
class Rollout:
    """Losses on pictures act on what the model predicts while it samples from noise alone."""

    people: int = 0
    """People of a batch that are sampled; 0: no rollouts."""
    every: int = 1
    """Every so many steps; in the others the losses act on single predictions."""
    cfg: float = 2.5
    """Guidance while sampling."""
    weight: float = 0.2
    """Factor on the losses there, where gradients are larger."""


@dataclass(frozen=True)
class Export:
    """What is set when the model is evaluated or exported, not in training."""

    x0_guidance: float = 1.0
    """Gain on the x0 guidance weight on the head."""


@dataclass(frozen=True)
class Base:
    """The model that is extended."""

    kind: str = "tiny"
    """``tiny``: our own small model, trained too; ``sdxl``: a checkpoint that stays as it is (the paper)."""
    checkpoint: str | None = None
    """SDXL: folder in diffusers' layout, or a single file."""
    config: str | None = None
    """For a single file: folder in diffusers' layout that gives its sizes and tokenizers."""
    warm_start: str = "base"
    """SDXL: what HiFi-Net starts from: ``base`` (its encoder), or a HiFi-Portrait checkpoint, such as
    InstantID's files become by ``hifi-portrait convert --extra-layers``."""


@dataclass(frozen=True)
class Hardware:
    """How a step is computed; no setting changes what is learned, beyond rounding."""

    mixed_precision: str = "no"
    """``no``, ``bf16`` or ``fp16``."""
    accumulation: int = 1
    """Batches for one optimizer step."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again in the backward pass, which saves memory."""
    compile: bool = False
    """Whether ``torch.compile`` is used."""
    workers: int = 0
    """Processes of each process that read data."""


@dataclass(frozen=True)
class Recipe:
    """A training run; equal recipes on equal data give equal weights on one machine."""

    name: str = "tiny"
    """For messages; a recipe file without it is called as the file."""
    seed: int = 0
    """Of weights, batches and noise."""
    base: Base = field(default_factory=Base)
    """What is extended."""
    hardware: Hardware = field(default_factory=Hardware)
    """How a step is computed."""
    optimizer: Optimizer = field(default_factory=Optimizer)
    """AdamW and EMA."""
    schedule: Schedule = field(default_factory=Schedule)
    """Length and learning rate."""
    data: Data = field(default_factory=Data)
    """Batches."""
    stage: Stage = field(default_factory=Stage)
    """Which parts are trained when."""
    losses: Losses = field(default_factory=Losses)
    """Weights of the losses."""
    rollout: Rollout = field(default_factory=Rollout)
    """Losses on the model's own samples."""
    export: Export = field(default_factory=Export)
    """Settings of the exported network."""
    network: tuple[tuple[str, Any], ...] = ()
    """Fields of `HiFiNetConfig` that differ from the tiny model's, or from what the base gives; an object in
    JSON."""

    def __post_init__(self) -> None:
        """Refuse values that contradict each other.

        Raises
        ------
        ValueError
            One line that names the recipe and the field.
        """
        if self.stage.transfer not in ("all", "base"):
            raise ValueError(
                f"recipe {self.name}: stage.transfer is {self.stage.transfer!r}, not 'all' or 'base'"
            )
        for name, value, choices in (
            ("base.kind", self.base.kind, ("tiny", "sdxl")),
            ("hardware.mixed_precision", self.hardware.mixed_precision, ("no", "bf16", "fp16")),
        ):
            if value not in choices:
                raise ValueError(f"recipe {self.name}: {name} is {value!r}, not {' or '.join(choices)}")
        if self.base.kind == "sdxl" and not self.base.checkpoint:
            raise ValueError(f"recipe {self.name}: base.checkpoint names the SDXL checkpoint to train on")
        known = {f.name for f in fields(HiFiNetConfig)}
        unknown = sorted(name for name, _ in self.network if name not in known)
        if unknown:
            raise ValueError(f"recipe {self.name}: unknown keys network.{', network.'.join(unknown)}")

    def trained_network(self) -> HiFiNetConfig:
        """Sizes of the network in training."""
        return replace(HiFiNetConfig.tiny(), **dict(self.network))

    def exported_network(self) -> HiFiNetConfig:
        """Sizes of the network that is evaluated or exported."""
        return replace(self.trained_network(), x0_guidance_gain=self.export.x0_guidance)

    def changed(self, **groups: Any) -> Recipe:
        """Return another recipe: ``recipe.changed(schedule={"steps": 3}, seed=1)``.

        Raises
        ------
        ValueError
            If a key is unknown.
        """
        return _build(merge_settings(self.to_dict(), groups), self.name)

    @classmethod
    def load(cls, path: Path | str, changes: dict[str, Any] | None = None) -> Recipe:
        """Read a recipe; a bare name is one of the recipes that come with the project.

        ``changes`` are merged into what it states, as with `changed`.

        Raises
        ------
        ValueError
            If a file is missing or no JSON object, has unknown keys or values of another type, or the
            recipes that it extends go round in a circle.
        """
        return _build(merge_settings(_read(str(path), None, ()), changes or {}), Path(path).name)

    def to_dict(self) -> dict[str, Any]:
        """Return what `load` reads, all of it."""
        return asdict(self) | {"network": dict(self.network)}

    def to_json(self) -> str:
        """JSON with sorted keys, readable by `load`."""
        return json.dumps(self.to_dict(), sort_keys=True, indent=2)


def _read(name: str, beside: Path | None, before: tuple[Path, ...]) -> dict[str, Any]:
    """Return a recipe file's content, merged with what it extends; ``beside`` is looked in first."""
    file = _find(name, beside)
    if file in before:
        raise ValueError(f"{before[0].name}: extends itself, by way of {name}")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{name}: not a recipe ({error}); recipes are in training/recipes") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file.name}: not a recipe, a recipe is a JSON object")
    content = upgrade_recipe(content)
    parent = content.pop(EXTENDS, None)
    if parent is not None:
        inherited = _read(str(parent), file.parent, (*before, file))
        inherited.pop("name", None)
        content = merge_settings(inherited, content)
    return {"name": file.stem} | content


def _find(name: str, beside: Path | None) -> Path:
    folders = ([] if beside is None else [beside]) + [RECIPES]
    candidates = [Path(name)] if beside is None else []
    candidates += [folder / f"{name}.json" for folder in folders]
    return next((path for path in candidates if path.is_file()), Path(name))


def _build(content: dict[str, Any], where: str) -> Recipe:
    return build_settings(Recipe, content, where, {"network": _network})


def _network(value: Any, where: str) -> tuple[tuple[str, Any], ...]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is an object of fields of HiFiNetConfig, not {value!r}")
    return tuple(sorted((k, tuple(v) if isinstance(v, list) else v) for k, v in value.items()))

"""MODEL in, MODEL out: the prediction of the clean latents is drawn towards a picture of a head.

x0 guidance (*ours*): in every step, after classifier-free guidance, the model's prediction x0 is moved
towards the latents of a render, in two frequency bands and weighted by the render's confidence at each
place. It works on x0, so that it is the same for models that predict noise, v or a flow, and for every
sampler. The render is encoded once, when the node runs; nothing is encoded or decoded while sampling.

A post-CFG function sees the whole picture, whatever is computed in tiles, areas or context windows below it.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from comfy.patcher_extension import WrappersMP
from kornia.filters import gaussian_blur2d
from torch import Tensor

from .encode_render import EncodedRender, fit_render
from .host import noise_share, percent_to_sigma
from .masks import fit_mask, prepare_mask
from .run_cache import RunCache
from .schedule import Schedule

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

KEY = "hifi_portrait_head_guidance"
"""Key of what this patch registers with a MODEL, and of its run's cache in ``transformer_options``."""

COLOUR_CHOICES = ("colours too", "shape only")
"""What of the render guides: everything, or what remains without its hues and its overall brightness."""

_log = logging.getLogger(__name__)
_COVERED = 1e-3


@dataclass(frozen=True)
class GuideSettings:
    """How strongly, when and with what of it a render guides.

    Parameters
    ----------
    strength
        Share, 0..1, of the way to the render that x0 goes in each step where the render's confidence is 1.
    start_percent, end_percent
        Part of the noise schedule in which it acts, 0 (pure noise) to 1 (finished).
    falloff
        Exponent on the share of noise in the latents: 0 acts evenly, 1 and more fades as the noise goes.
    low_band, high_band
        Factors 0..1 on form and light, and on lines and texture.
    band_px
        Size of what divides the bands, in pixels of the picture.
    colours
        One of `COLOUR_CHOICES`.
    mask_feather
        Width of the soft edge given to the mask, in pixels of the mask.

    Raises
    ------
    ValueError
        A value is out of range.
    """

    strength: float = 0.5
    start_percent: float = 0.0
    end_percent: float = 0.8
    falloff: float = 1.0
    low_band: float = 1.0
    high_band: float = 1.0
    band_px: float = 32.0
    colours: str = COLOUR_CHOICES[0]
    mask_feather: int = 0

    def __post_init__(self) -> None:
        for name in ("strength", "start_percent", "end_percent", "low_band", "high_band"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must lie between 0 and 1, it is {value}")
        if self.start_percent > self.end_percent:
            raise ValueError(
                f"start_percent {self.start_percent} lies after end_percent {self.end_percent}; exchange them"
            )
        for name in ("falloff", "band_px", "mask_feather"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0.0:
                raise ValueError(f"{name} must be a number of at least 0, it is {value}")
        if self.colours not in COLOUR_CHOICES:
            raise ValueError(f"colours must be one of {COLOUR_CHOICES}, it is {self.colours!r}")


class GuideRun(NamedTuple):
    """What the guides of a MODEL have while it is sampled."""

    cache: RunCache
    percent_to_sigma: Callable[[float], float]
    """The MODEL's schedule."""


@dataclass(frozen=True, eq=False)
class HeadGuide:
    """One application of Guide with Head: a post-CFG function that is never changed after its creation."""

    render: EncodedRender
    settings: GuideSettings
    mask: Tensor | None
    """``(B, H, W)`` on the CPU, or None for the whole picture."""
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Names what this guide keeps within a run."""

    def __copy__(self) -> HeadGuide:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> HeadGuide:
        return self

    @property
    def does_nothing(self) -> bool:
        """Whether the model computes the same without this guide, so that it can be left out."""
        settings = self.settings
        return (
            settings.strength == 0.0
            or (settings.low_band == 0.0 and settings.high_band == 0.0)
            or not bool(self.render.confidence.any())
            or (self.mask is not None and not bool(self.mask.any()))
        )

    def __call__(self, args: dict[str, Any]) -> Tensor:
        """Return the host's ``denoised``, drawn towards the render; the host calls it once in a step."""
        denoised: Tensor = args["denoised"]
        model = args["model"]
        sampling = model.model_sampling
        run: GuideRun | None = args["model_options"].get("transformer_options", {}).get(KEY)
        if run is None:  # called by a sampler of its own, without the host's
            run = GuideRun(RunCache(), sampling.percent_to_sigma)
        schedule = run.cache.once("schedule", (self.uid,), partial(self._schedule, run.percent_to_sigma))
        sigma = float(args["sigma"].flatten()[0])
        gain = schedule.gain(sigma) * self.settings.strength
        if gain == 0.0:
            return denoised
        gain *= noise_share(sampling, sigma) ** self.settings.falloff
        frames = denoised.movedim(2, 1).flatten(0, 1) if denoised.ndim == 5 else denoised
        if frames.ndim != 4:
            raise ValueError(
                f"Guide with Head: latents of shape {tuple(denoised.shape)} are no pictures; "
                "connect a MODEL that makes pictures or video"
            )
        key = (self.uid, denoised.shape, denoised.device)
        aim = run.cache.once("aim", key, partial(self._aim, model, denoised))
        drawn: Tensor = frames.float() + aim.delta(frames.float(), gain, self.settings)
        if denoised.ndim == 5:
            drawn = drawn.reshape(denoised.shape[0], denoised.shape[2], *drawn.shape[1:]).movedim(1, 2)
        return drawn.to(denoised.dtype)

    def _schedule(self, percent_to_sigma: Callable[[float], float]) -> Schedule:
        return Schedule.of(self.settings.start_percent, self.settings.end_percent, 0.0, 0.0, percent_to_sigma)

    def _aim(self, model: Any, like: Tensor) -> _Aim:
        """Return what is constant over a run of latents of this shape, on their device."""
        render, size = self.render, tuple(like.shape[-2:])
        if tuple(render.latents.shape[-2:]) != size:
            height, width = (side * render.pixels for side in render.latents.shape[-2:])
            _log.warning(
                f"Guide with Head: the render is {width} x {height}, the picture "
                f"{size[1] * render.pixels} x {size[0] * render.pixels}; it is fitted without stretching, "
                "which blurs it: render the head at the picture's size"
            )
        latents, confidence = fit_render(render.latents, render.confidence, *size)
        enter = partial(_process_in, model, video=like.ndim == 5)
        latents = enter(latents.to(like.device))
        # Pictures of a batch, or frames of a video, have a render each; at their end the renders start again.
        per_latent = like.shape[2] if like.ndim == 5 and like.shape[2] > 1 else 1
        order = torch.arange(like.shape[0] * per_latent)
        rows = (order % per_latent if per_latent > 1 else order) % len(latents)
        mask = None
        if self.mask is not None:
            fitted = fit_mask(self.mask, *size)
            mask = fitted[(order // per_latent) % len(fitted)][:, None].to(like.device)
        spread = max(self.settings.band_px / (2.0 * render.pixels), 0.3)
        chroma = None
        if self.settings.colours != COLOUR_CHOICES[0] and render.chroma is not None:
            # Directions in the model's own space: its scale may differ from channel to channel.
            ends = torch.cat([render.chroma.T, torch.zeros(1, len(render.chroma))]).to(like.device)
            moved = enter(ends[:, :, None, None])[:, :, 0, 0]
            chroma = torch.linalg.qr((moved[:2] - moved[2]).T)[0]
        rows = rows.to(like.device)
        return _Aim.of(latents[rows], confidence.to(like.device)[rows], mask, chroma, spread)


@dataclass(frozen=True)
class _Aim:
    """The render as a run's latents see it; all on one device, one row for each picture."""

    latents: Tensor
    confidence: Tensor
    mask: Tensor | None
    chroma: Tensor | None
    spread: float
    blurred_confidence: Tensor

    @classmethod
    def of(
        cls, latents: Tensor, confidence: Tensor, mask: Tensor | None, chroma: Tensor | None, spread: float
    ) -> _Aim:
        return cls(latents, confidence, mask, chroma, spread, _blur(confidence, spread).clamp(min=_COVERED))

    def delta(self, x0: Tensor, gain: float, settings: GuideSettings) -> Tensor:
        """Return what to add to ``x0``; exactly 0 where confidence is 0 or the mask is black."""
        towards = self.latents - x0
        if self.chroma is not None:
            towards = self._without_colour(towards, self.chroma)
        if settings.low_band == settings.high_band:
            towards = towards * settings.low_band
        else:
            # The average is weighted by confidence: the surroundings must not bleed over the head's outline.
            low = _blur(towards * self.confidence, self.spread) / self.blurred_confidence
            towards = low * settings.low_band + (towards - low) * settings.high_band
        towards = towards * (self.confidence * gain)
        return towards if self.mask is None else towards * self.mask

    def _without_colour(self, towards: Tensor, chroma: Tensor) -> Tensor:
        within = self.confidence / self.confidence.sum((-2, -1), keepdim=True).clamp(min=_COVERED)
        towards = towards - (towards * within).sum((-2, -1), keepdim=True)
        along = torch.einsum("bchw,ck->bkhw", towards, chroma)
        return towards - torch.einsum("bkhw,ck->bchw", along, chroma)


def _process_in(model: Any, latents: Tensor, video: bool) -> Tensor:
    """Return latents as the MODEL samples them; formats of video models want a dimension for time."""
    entered: Tensor = (
        model.process_latent_in(latents.unsqueeze(2))[:, :, 0] if video else model.process_latent_in(latents)
    )
    return entered


def _blur(x: Tensor, sigma: float) -> Tensor:
    radius = min(math.ceil(3.0 * sigma), min(x.shape[-2:]) - 1)
    if radius < 1:
        return x
    return gaussian_blur2d(x, 2 * radius + 1, (sigma, sigma), border_type="replicate")


def guide_with_head(
    model: ModelPatcher,
    render: EncodedRender,
    settings: GuideSettings | None = None,
    mask: Tensor | None = None,
) -> ModelPatcher:
    """Return a clone of ``model`` whose prediction is drawn towards a render.

    Applied again to its own result, it adds another render; they act one after the other.

    Parameters
    ----------
    model
        The host's MODEL of any kind that makes pictures; not changed.
    render
        From `encode_render`, encoded by this MODEL's VAE.
    settings
        Strength, bands and schedule.
    mask
        ``(H, W)`` or ``(B, H, W)`` in 0..1: where in the picture it acts; None for everywhere.

    Raises
    ------
    ValueError
        The VAE belongs to another kind of MODEL.
    """
    settings = settings or GuideSettings()
    if settings.colours != COLOUR_CHOICES[0] and render.chroma is None:
        raise ValueError(
            "Guide with Head: for 'shape only' the render must be encoded with its hues (chroma)"
        )
    ours, theirs = render.latents.shape[1], model.get_model_object("latent_format").latent_channels
    if ours != theirs:
        raise ValueError(
            f"Guide with Head: the VAE gives {ours} latent channels, the MODEL "
            f"({type(model.model).__name__}) samples {theirs}; connect the VAE of the MODEL's checkpoint"
        )
    guide = HeadGuide(render, settings, prepare_mask(mask, settings.mask_feather))
    guided = model.clone()
    if guide.does_nothing:
        return guided
    guided.set_model_sampler_post_cfg_function(guide)
    # One wrapper serves all guides of a MODEL.
    guided.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, KEY)
    guided.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, outer_sample)
    return guided


def applied_guides(model: ModelPatcher) -> tuple[HeadGuide, ...]:
    """Return the guides of a MODEL, in the order in which they act."""
    functions = model.model_options.get("sampler_post_cfg_function", ())
    return tuple(function for function in functions if isinstance(function, HeadGuide))


def outer_sample(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """Give the run a cache of its own, and drop it at the end, be it by an error."""
    guider = executor.class_obj
    options = guider.model_options["transformer_options"]
    # The schedule is asked for before the host loads the MODEL: that is where those of other runs come in.
    run = GuideRun(RunCache(), percent_to_sigma(guider.model_patcher))
    options[KEY] = run
    try:
        return executor(*args, **kwargs)
    finally:
        options.pop(KEY, None)
        run.cache.clear()

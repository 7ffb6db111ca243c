"""What this host can do and how it says so: every feature of ComfyUI that is detected is detected here.

Nothing is inferred from version numbers or names of classes where the host itself can be asked. Each function
says what it does where the host is older than the feature.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import torch

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

F = TypeVar("F", bound=Callable[..., Any])

OLDEST_DOWNSCALE = 8
"""Pixels per latent pixel of every picture model on hosts whose latent formats do not tell."""


def managed(
    network: torch.nn.Module,
    load_device: torch.device,
    offload_device: torch.device,
    reload: tuple[Any, ...] | None = None,
    dynamic: bool = True,
) -> ModelPatcher:
    """Return a network in the host's care, in the kind of patcher that the host uses for its own models.

    Where the host streams weights to the device (dynamic VRAM), one model of the plain kind would be held
    there whole and push the others out. Which kind it is, ``main.py`` decides at its start; older hosts have
    only the plain one.

    Parameters
    ----------
    network
        Its layers cast their weights (``comfy.ops``).
    load_device, offload_device
        Where the host puts it to compute, and to rest.
    reload
        Function and arguments (and which of its results, if several) that give the patcher anew from its
        file, for hosts that copy models to other devices or out of dynamic VRAM; the function takes
        ``disable_dynamic``. None: the host leaves it where it is.
    dynamic
        False: the plain kind on every host.
    """
    import comfy.model_patcher

    plain: type[ModelPatcher] = comfy.model_patcher.ModelPatcher
    kind = getattr(comfy.model_patcher, "CoreModelPatcher", plain) if dynamic else plain
    made: ModelPatcher = kind(network, load_device=load_device, offload_device=offload_device)
    made.cached_patcher_init = reload  # older hosts never ask for it
    return made


def module_beside(model: Any, key: str, patcher: ModelPatcher) -> Any:
    """Return the copy of a patcher's module that the host keeps where ``model`` computes.

    Hosts that split the work among devices load every additional model once more for each of them. Elsewhere
    there is one copy, the patcher's own.

    Parameters
    ----------
    model
        The host's ``BaseModel`` that is being computed.
    key
        Under which the patcher was handed over (``set_additional_models``).
    patcher
        As it was handed over.
    """
    beside = getattr(model, "current_patcher", None)
    family = getattr(patcher, "clone_base_uuid", None)
    for other in () if beside is None or family is None else beside.get_additional_models_with_key(key):
        if other.clone_base_uuid == family:
            return other.model
    return patcher.model


def percent_to_sigma(patcher: ModelPatcher) -> Callable[[float], float]:
    """Return a MODEL's own schedule, as a copy that nothing changes any more.

    With dynamic VRAM the host can leave one run's schedule in the buffers of a MODEL that has none set (its
    issue 16490). There the schedule is made anew from the MODEL's configuration. One that a node has set is
    copied before the host loads the MODEL, which is where buffers are exchanged.

    Parameters
    ----------
    patcher
        The MODEL; not loaded yet in this run.
    """
    import comfy.model_base

    model, sampling = patcher.model, patcher.get_model_object("model_sampling")
    dynamic = getattr(patcher, "is_dynamic", None)
    if dynamic is not None and dynamic() and "model_sampling" not in patcher.object_patches:
        fresh = comfy.model_base.model_sampling(model.model_config, model.model_type)
        # Both are made of the same parts, each in a class of its own; other parts were put there on purpose.
        if type(fresh).__bases__ == type(sampling).__bases__:
            sampling = fresh
    schedule: Callable[[float], float] = copy.deepcopy(sampling).percent_to_sigma
    return schedule


def prediction_type(model_sampling: Any) -> str:
    """Return what the MODEL's network predicts, by what the host makes of it.

    The host's own conversion of a prediction to clean latents is linear in prediction and input; its
    coefficients are compared with those of noise prediction and of v prediction for latents of unit variance.

    Parameters
    ----------
    model_sampling
        The host's ``model_sampling``.

    Returns
    -------
    str
        ``v``, ``eps``, or ``other`` (flow matching, EDM, x0).
    """
    zero, one = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    fitting = {"eps", "v"}
    for sigma in (0.5, 2.0):
        at = torch.tensor([sigma])
        alpha = 1.0 / math.hypot(1.0, sigma)
        scale = float(model_sampling.calculate_input(at, one.clone()))
        of_input = float(model_sampling.calculate_denoised(at, zero, one))
        of_output = float(model_sampling.calculate_denoised(at, one, zero))
        wanted = {"eps": (alpha, 1.0, -sigma), "v": (alpha, alpha**2, -sigma * alpha)}
        found = (scale, of_input, of_output)
        fitting = {
            kind
            for kind in fitting
            if all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(found, wanted[kind], strict=True))
        }
    return next(iter(fitting), "other")


def noise_share(model_sampling: Any, sigma: float) -> float:
    """Return the share of noise in the latents at ``sigma``: 1 for pure noise, 0 for none.

    Flow matching mixes ``(1 - sigma)`` of the picture with ``sigma`` of noise; all others add ``sigma`` of
    noise to the picture, whose deviation is ``sigma_data`` (1 where the host does not tell).

    Parameters
    ----------
    model_sampling
        The host's ``model_sampling``; asked how it mixes noise and picture.
    sigma
        Of the step.
    """
    mix = getattr(model_sampling, "noise_scaling", None)
    if mix is not None and sigma > 0.0:
        zero, one = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
        picture = float(mix(torch.tensor([sigma]), zero, one))
        if math.isclose(picture, 1.0 - sigma, abs_tol=1e-5):
            return min(sigma, 1.0)
    return sigma / math.hypot(sigma, float(getattr(model_sampling, "sigma_data", 1.0)))


def latent_downscale(latent_format: Any) -> int:
    """Return the pixels of the picture per latent pixel, along each side.

    Parameters
    ----------
    latent_format
        The host's ``latent_format``. Hosts before 0.4 do not tell: there it is `OLDEST_DOWNSCALE`.
    """
    return int(getattr(latent_format, "spacial_downscale_ratio", OLDEST_DOWNSCALE))


def window_indices(options: Mapping[str, Any], count: int) -> list[int]:
    """Return which pictures of the whole batch the UNet sees: context windows show it a part.

    Parameters
    ----------
    options
        ``transformer_options`` of the call. Read are the host's own context windows (over the batch), which
        newer hosts start with the picture before the window, and AnimateDiff-Evolved's sliding windows.
    count
        How many pictures the UNet sees; windows of another length are ignored.
    """
    window = options.get("context_window")
    indices = getattr(window, "index_list", None)
    if getattr(window, "dim", 0) != 0:
        indices = None
    anchor = getattr(window, "causal_anchor_index", None)
    if indices is not None and anchor is not None and anchor >= 0:
        indices = [anchor, *indices]
    if indices is None:
        indices = (options.get("ad_params") or {}).get("sub_idxs")
    if indices is None or len(indices) != count:
        return list(range(count))
    return [int(index) for index in indices]


def advanced(widget: Any) -> Any:
    """Mark a node's input as advanced, so that front ends that can fold such inputs do.

    Hosts whose inputs have no such property pass on what they do not know to the front end.
    """
    if hasattr(widget, "advanced"):
        widget.advanced = True
    else:
        widget.extra_dict = {**widget.extra_dict, "advanced": True}
    return widget


def compute_dtype(model: Any) -> torch.dtype:
    """Return the type that the host's MODEL computes in (a ``BaseModel``)."""
    dtype: torch.dtype = model.manual_cast_dtype or model.get_dtype()
    return dtype


def layer_size(extra_options: Mapping[str, Any], length: int) -> tuple[int, int]:
    """Return height and width of the layer whose queries number ``length``.

    Hosts that do not tell, and layers whose tokens another pack merged or tiled, get the factors of
    ``length`` that are nearest to the picture's aspect.
    """
    shape = extra_options.get("activations_shape")
    if shape is not None and shape[-2] * shape[-1] == length:
        return int(shape[-2]), int(shape[-1])
    height, width = extra_options["original_shape"][-2:]
    rows = max(1, round((length * height / width) ** 0.5))
    while length % rows:
        rows -= 1
    return rows, length // rows


def growing_inputs(io: Any) -> Any | None:
    """Return the host's kind of input whose sockets grow with their links; None on hosts without it.

    Parameters
    ----------
    io
        The host's ``comfy_api.latest.io``.
    """
    autogrow = getattr(io, "Autogrow", None)
    return autogrow if hasattr(autogrow, "TemplatePrefix") else None


def schema_fields(schema: Any) -> frozenset[str]:
    """Return what the host's schema of a node can hold, such as ``search_aliases`` on newer hosts.

    Parameters
    ----------
    schema
        The host's ``io.Schema``, a dataclass.
    """
    return frozenset(field.name for field in dataclasses.fields(schema))


def outside_of_compilation(function: F) -> F:
    """Return a function that ``torch.compile`` calls and never looks into.

    ``torch._dynamo`` takes seconds to import, so it is asked only where something else has imported it; the
    result is one and the same object then, so that nothing is compiled anew in the next run.
    """
    return _uncompiled(function) if "torch._dynamo" in sys.modules else function


@cache
def _uncompiled(function: F) -> F:
    disable: Callable[[F], F] = torch.compiler.disable
    return disable(function)

"""MODEL in, MODEL out: one identity and its landmarks applied to a diffusion model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy.patcher_extension import CallbacksMP, WrappersMP
from torch import Tensor

from .attention import IdentityAttention, give_clone_its_own
from .blocks import UNetLayout, unet_layout
from .host import latent_downscale
from .masks import prepare_mask
from .memory import PrepareSampling
from .patch import HiFiPatch
from .plan import KEY
from .settings import PatchSettings
from .wrappers import OuterSample, apply_model, calc_cond_batch, diffusion_model

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

    from ..identity.identity import Identity
    from ..landmarks.landmarks import FaceLandmarks3D
    from .loading import HiFiNetPatcher


def apply_hifi_net(
    model: ModelPatcher,
    hifi_net: HiFiNetPatcher,
    identity: Identity,
    landmarks: FaceLandmarks3D | None,
    settings: PatchSettings | None = None,
    mask: Tensor | None = None,
) -> ModelPatcher:
    """Return a clone of ``model`` that draws this person with these landmarks.

    Applied again to its own result, it adds another person: each application keeps its own identity,
    landmarks, mask and settings.

    Parameters
    ----------
    model
        The host's MODEL; not changed.
    hifi_net
        From `load_hifi_net`.
    identity
        Made with the same checkpoint.
    landmarks
        One for the whole batch, or one for each latent (repeated when there are more latents). None leaves
        HiFi-Net out and keeps the identity attention.
    settings
        Strengths, schedule and what else an artist sets.
    mask
        ``(H, W)`` or ``(B, H, W)`` in 0..1: where in the picture the person is; None for everywhere.

    Raises
    ------
    ValueError
        Checkpoint and MODEL, or checkpoint and identity, do not belong together; one line names both.
    """
    settings = settings or PatchSettings()
    layout = check_fit(model, hifi_net)
    check_identity(identity, hifi_net)
    patch = HiFiPatch(hifi_net, identity, landmarks, settings, prepare_mask(mask, settings.mask_feather))
    patched = model.clone()
    if patch.does_nothing:
        return patched

    # One wrapper of each kind serves all applications on a MODEL.
    patches = (*applied_patches(model), patch)
    wrappers = {
        WrappersMP.OUTER_SAMPLE: OuterSample(patches, layout),
        WrappersMP.PREPARE_SAMPLING: PrepareSampling(patches, layout),
        WrappersMP.CALC_COND_BATCH: calc_cond_batch,
        WrappersMP.APPLY_MODEL: apply_model,
        WrappersMP.DIFFUSION_MODEL: diffusion_model,
    }
    for kind, wrapper in wrappers.items():
        patched.remove_wrappers_with_key(kind, KEY)
        patched.add_wrapper_with_key(kind, KEY, wrapper)
    patched.remove_callbacks_with_key(CallbacksMP.ON_CLONE, KEY)
    patched.add_callback_with_key(CallbacksMP.ON_CLONE, KEY, give_clone_its_own)
    networks = {id(p.hifi_net.patcher.model): p.hifi_net.patcher for p in patches}
    patched.set_additional_models(KEY, list(networks.values()))
    if patch.attention_wanted:
        _patch_attention(patched, patch, layout)
    return patched


def applied_patches(model: ModelPatcher) -> tuple[HiFiPatch, ...]:
    """Return what was applied to a MODEL so far, in order."""
    wrappers = model.wrappers.get(WrappersMP.OUTER_SAMPLE, {}).get(KEY, ())
    return wrappers[0].patches if wrappers else ()


def _patch_attention(model: ModelPatcher, patch: HiFiPatch, layout: UNetLayout) -> None:
    options = model.model_options["transformer_options"]
    existing = options.get("patches_replace", {}).get("attn2", {})
    for layer in layout.layers:
        if patch.settings.block_weights[layer.group] == 0.0:
            continue
        # Registered for each layer and not for the block: that is where IP-Adapter and InstantID look for
        # something to chain onto, and the host prefers it to a replacement of the whole block.
        key = (layer.block, layer.number, layer.depth)
        previous = existing.get(key)
        if isinstance(previous, IdentityAttention):
            replacement = previous.with_patch(patch.uid)
        else:
            replacement = IdentityAttention(key, (patch.uid,), previous)
        model.set_model_attn2_replace(replacement, *key)


def check_fit(model: ModelPatcher, hifi_net: HiFiNetPatcher) -> UNetLayout:
    """Return the MODEL's layout, when the checkpoint fits it.

    Raises
    ------
    ValueError
        It does not; one line names both and the difference.
    """
    names = f"HiFi-Net '{hifi_net.name}' does not fit this MODEL ({_model_name(model)})"
    try:
        layout = unet_layout(model.get_model_object("diffusion_model"))
    except TypeError as error:
        raise ValueError(f"{names}: {error}; load an SDXL checkpoint") from None
    latent_format = model.get_model_object("latent_format")
    config = hifi_net.config
    ours = [(layer.block, layer.number, layer.depth) for layer in config.identity_layers()]
    theirs = [(layer.block, layer.number, layer.depth) for layer in layout.layers]
    remedy = "choose the HiFi-Net that was made for this MODEL, or another MODEL"
    differences = [
        ("latent channels", config.latent_channels, latent_format.latent_channels),
        ("pixels per latent pixel", config.latent_downscale, latent_downscale(latent_format)),
        ("length of text tokens", config.context_dim, layout.layers[0].context_dim),
        ("length of pooled conditioning", config.vector_dim, getattr(model.model, "adm_channels", 0)),
        ("number of cross-attention layers", len(ours), len(theirs)),
        ("place of cross-attention layers", ours, theirs),
        (
            "width of cross-attention layers",
            [layer.channels for layer in config.identity_layers()],
            [layer.width for layer in layout.layers],
        ),
    ]
    for what, expected, found in differences:
        if expected != found:
            raise ValueError(f"{names}: {what} {_short(expected)} against {_short(found)}; {remedy}")
    return layout


def check_identity(identity: Identity, hifi_net: HiFiNetPatcher) -> None:
    """Raise ValueError when an identity was made with another recognizer or another checkpoint."""
    if identity.recognizer != hifi_net.config.recognizer:
        raise ValueError(
            f"the identity was made with face recognizer '{identity.recognizer}', HiFi-Net '{hifi_net.name}' "
            f"reads '{hifi_net.config.recognizer}'; load the faces with an analyzer of that recognizer"
        )
    if identity.checkpoint != hifi_net.checkpoint_id:
        raise ValueError(
            f"the identity was refined with checkpoint '{identity.checkpoint}', this is HiFi-Net "
            f"'{hifi_net.name}' ({hifi_net.checkpoint_id}); run Refine Faces with this HiFi-Net"
        )


def _model_name(model: ModelPatcher) -> str:
    return type(model.model).__name__


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

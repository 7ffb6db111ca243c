"""Identity attention in the base UNet: one object for each patched attn2 layer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .host import layer_size
from .plan import CALL_KEY, Call, Injection, LayerEntry, LayerKey


@dataclass(frozen=True)
class AddedCallback:
    """A function that another pack chained onto our layer."""

    function: Callable[..., Tensor]
    options: dict[str, Any]

    def active(self, sigma: float) -> bool:
        """Return whether ``sigma`` lies within the callback's own range, if it has one."""
        start, end = self.options.get("sigma_start", float("inf")), self.options.get("sigma_end", 0.0)
        return bool(end <= sigma <= start)


class IdentityAttention:
    """Replaces one attn2 layer: the attention that was there, plus decoupled attention to identities.

    ``out = attention(q, k, v) + sum of strength * attention(q, k_id, v_id)``, InstantID's and
    IP-Adapter's decoupled cross-attention. The object holds no weights: keys and values come from the
    run's state, and without a run it passes through what was there.

    The base attention is, in this order: the replacement that was registered for this very layer before
    us, one that is registered for the whole block at the time of sampling (the host would skip it, since
    ours is the more specific), or the host's own attention.

    Only `add` changes the object, for packs written against IP-Adapter's and InstantID's patch class. A
    clone of the MODEL gets objects of its own (see `give_clone_its_own`), so what is added to one branch
    of a graph reaches no other branch.
    """

    def __init__(
        self,
        key: LayerKey,
        contributions: tuple[str | AddedCallback, ...],
        previous: Callable[..., Tensor] | None = None,
    ) -> None:
        self.key = key
        self.contributions = contributions
        """In the order of registration: uids of our patches, and callbacks of other packs."""
        self.previous = previous

    def with_patch(self, uid: str) -> IdentityAttention:
        """Return a new object that also injects the patch ``uid``."""
        return IdentityAttention(self.key, (*self.contributions, uid), self.previous)

    def branch(self) -> IdentityAttention:
        """Return a copy for another branch of the graph; what it refers to is shared."""
        return IdentityAttention(self.key, self.contributions, self.previous)

    def __deepcopy__(self, memo: dict[int, Any]) -> IdentityAttention:
        # Hosts that clone deeply expect that of other packs' objects too; they decide for themselves.
        contributions = tuple(
            item if isinstance(item, str) else AddedCallback(item.function, copy.deepcopy(item.options, memo))
            for item in self.contributions
        )
        return IdentityAttention(self.key, contributions, copy.deepcopy(self.previous, memo))

    def add(self, callback: Callable[..., Tensor], **options: Any) -> None:
        """Chain ``callback(out, q, k, v, extra_options, **options)``, whose result is added to the output.

        The signature of ``Attn2Replace.add`` in IP-Adapter's and InstantID's packs. ``sigma_start`` and
        ``sigma_end`` among the options limit when it runs.
        """
        self.contributions = (*self.contributions, AddedCallback(callback, options))

    def to(self, *args: Any, **kwargs: Any) -> IdentityAttention:
        """Move what was registered before us, which the host no longer sees; ours follows the run."""
        move = getattr(self.previous, "to", None)
        return (
            self if move is None else IdentityAttention(self.key, self.contributions, move(*args, **kwargs))
        )

    def models(self) -> list[Any]:
        """Return the host's models of what was registered before us; ours are additional models."""
        models = getattr(self.previous, "models", None)
        return [] if models is None else models()

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any]) -> Tensor:
        """Return the layer's attention, ``(B, L, width)`` as ``q``."""
        call: Call | None = extra_options.get(CALL_KEY)
        base = self.previous
        if base is None and call is not None:
            base = call.block_replacements.get(self.key[:2])
        out = (base or host_attention)(q, k, v, extra_options)
        ours = base is None
        for item in self.contributions:
            if isinstance(item, AddedCallback):
                sigma = call.sigma if call is not None else float(extra_options["sigmas"].max())
                if item.active(sigma):
                    out = out + item.function(out, q, k, v, extra_options, **item.options)
                    ours = True
                continue
            injection = call.injections.get(item) if call is not None else None
            if injection is None:
                continue
            entry = injection.layers.get(self.key)
            if entry is None:
                continue
            delta = _decoupled(q, entry, injection, extra_options)
            if injection.rows is None:
                out = out + delta
            else:
                # What another pack returned may be its own tensor, even q or v.
                out = out if ours else out.clone()
                out[injection.rows] += delta
            ours = True
        return out.to(q.dtype)


def host_attention(
    q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any], mask: Tensor | None = None
) -> Tensor:
    """Return the host's attention, called exactly as its unpatched layer calls it.

    ``mask (B or 1, L, M)`` is added to the logits.
    """
    # Looked up at each call: packs exchange the function in the host's module.
    from comfy.ldm.modules import attention

    out: Tensor = attention.optimized_attention(
        q,
        k,
        v,
        extra_options["n_heads"],
        mask=mask,
        attn_precision=extra_options.get("attn_precision"),
        transformer_options=extra_options,
    )
    return out


def _decoupled(q: Tensor, entry: LayerEntry, injection: Injection, extra_options: dict[str, Any]) -> Tensor:
    q = q if injection.rows is None else q[injection.rows]
    mask = None if entry.bias is None else entry.bias.to(q.dtype)[:, None].expand(-1, q.shape[1], -1)
    keys, values = entry.keys.to(q.dtype), entry.values.to(q.dtype)
    out = host_attention(q, keys, values, extra_options, mask) * entry.gain
    if injection.masks is None:
        return out
    height, width = layer_size(extra_options, q.shape[1])
    mask = injection.masks.at(height, width).to(q.dtype)
    return out * mask.flatten(2).transpose(1, 2)


def give_clone_its_own(_: Any, clone: Any) -> None:
    """Give a cloned MODEL patch objects of its own; registered as the host's ``on_clone`` callback.

    Hosts that share the leaves of ``model_options`` between clones would otherwise let an `add` in one
    branch of a graph reach the others. With hosts that copy deeply it changes nothing.
    """
    options = clone.model_options["transformer_options"]
    replacements = options.get("patches_replace", {}).get("attn2", {})
    own = {
        key: obj.branch() if isinstance(obj, IdentityAttention) else obj for key, obj in replacements.items()
    }
    if own:
        clone.model_options["transformer_options"] = {
            **options,
            "patches_replace": {**options["patches_replace"], "attn2": own},
        }

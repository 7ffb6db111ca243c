"""Between two people, or away from one: identities mixed and subtracted (*ours*)."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..boundary.licences import merged
from ..boundary.text import echoed
from ..models.tokens import DetailTokens
from .identity import Identity

BETWEEN, AWAY = "between a and b", "b, away from a"
HOW = (BETWEEN, AWAY)


def mix_identities(a: Identity, b: Identity, amount: float, how: str = BETWEEN) -> Identity:
    """Return a person between two, or one who is more like ``b`` and less like ``a``.

    Tokens, embedding, 3D shape and expression are interpolated (or extrapolated); tokens keep the length
    that they have in the two, because their mean is shorter than what the network was trained with. Detail
    tokens are those of both with the share as a bias on the attention's logits; away from ``a`` they are
    those of ``b``.

    Parameters
    ----------
    a, b : Identity
        Of one checkpoint, with as many tokens each.
    amount : float
        0..1. Between: the share of ``b``. Away: how far, in units of the distance from ``a`` to ``b``.
    how : str
        One of `HOW`.

    Returns
    -------
    Identity
        Without a textured head: that is a photograph of one person.

    Raises
    ------
    ValueError
        They do not belong together, or a value is out of range; one line with the remedy.
    """
    _check(a, b, amount, how)
    share = amount if how == BETWEEN else 1.0 + amount

    def line(x: Tensor, y: Tensor) -> Tensor:
        return x + (y - x) * share

    length = a.tokens.norm(dim=-1, keepdim=True), b.tokens.norm(dim=-1, keepdim=True)
    kept = line(*length) if how == BETWEEN else length[1]
    key = repr((a.fingerprint, b.fingerprint, round(amount, 6), how)).encode()
    shares = (1.0 - amount, amount) if how == BETWEEN else (0.0, 1.0)
    return Identity(
        tokens=F.normalize(line(a.tokens, b.tokens), dim=-1) * kept,
        detail=_detail(a.detail, b.detail, *shares),
        embedding=F.normalize(line(a.embedding, b.embedding), dim=0),
        shape=(a.shape + (b.shape - a.shape) * np.float32(share)).astype(np.float32),
        recognizer=a.recognizer,
        checkpoint=a.checkpoint,
        sources=a.sources + b.sources,
        weights=(*_scaled(a.weights, shares[0]), *_scaled(b.weights, shares[1])),
        fingerprint=hashlib.sha256(key).hexdigest()[:32],
        expression=(a.expression + (b.expression - a.expression) * np.float32(share)).clip(0, 1),
        licences=merged(a.licences, b.licences),
        consent="; ".join(dict.fromkeys(note for note in (a.consent, b.consent) if note)),
        token_bias=_bias(a, b, shares[1]),
    )


def _check(a: Identity, b: Identity, amount: float, how: str) -> None:
    if how not in HOW:
        raise ValueError(f"how must be one of {', '.join(HOW)}, it is {echoed(how)}")
    if not 0.0 <= amount <= 1.0:
        raise ValueError(f"amount must lie between 0 and 1, it is {echoed(amount)}")
    if a.checkpoint != b.checkpoint or a.recognizer != b.recognizer:
        raise ValueError(
            "the two identities were made with different HiFi-Net checkpoints; refine both with the same one"
        )
    if a.tokens.shape != b.tokens.shape:
        raise ValueError(
            f"the two identities have {a.tokens.shape[1]} and {b.tokens.shape[1]} tokens; refine both with "
            "the same merge, or with as many references for concat"
        )


def _scaled(weights: tuple[float, ...], share: float) -> tuple[float, ...]:
    total = sum(weights)
    return tuple(share * weight / total for weight in weights)


def _bias(a: Identity, b: Identity, share: float) -> Tensor | None:
    if a.token_bias is None and b.token_bias is None:
        return None
    one, other = (torch.zeros(1, x.tokens.shape[1]) if x.token_bias is None else x.token_bias for x in (a, b))
    return one + (other - one) * share


def _detail(a: DetailTokens, b: DetailTokens, share_a: float, share_b: float) -> DetailTokens:
    if not share_a or not share_b:
        return a if share_a else b
    texture = None
    if a.texture is not None and b.texture is not None:
        texture = a.texture * share_a + b.texture * share_b
    shares = (share_a, share_b)
    return DetailTokens(
        torch.cat([a.tokens, b.tokens], 1),
        torch.cat([a.coords, b.coords], 1),
        torch.cat([x.bias + float(np.log(share)) for x, share in zip((a, b), shares, strict=True)], 1),
        texture,
    )

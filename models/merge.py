"""How several references become the identity tokens of one person, without retraining anything."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..boundary.text import echoed
from .tokens import FaceBatch

MEAN, NORM, CONCAT, BEST = "weighted mean", "norm", "concat", "best of each token"
MERGES = (MEAN, NORM, CONCAT, BEST)
"""Ways to merge references.

``weighted mean``: of the embeddings, then projected; what InstantID's pack calls *average*.
``norm``: each embedding is first brought to one length, so that no photo counts more for its length alone.
``concat``: each reference is projected by itself, and the attention sees the tokens of all side by side;
weights are a bias on its logits. ``best of each token`` (*ours*): projected one by one; of each token the one
that agrees best with those of the other references, so that a photo that is far off is left out token by
token.
"""


def check_merge(merge: str) -> str:
    """Return ``merge``.

    Raises
    ------
    ValueError
        It is none of `MERGES`.
    """
    if merge not in MERGES:
        raise ValueError(f"merge must be one of {', '.join(MERGES)}, it is {echoed(merge)}")
    return merge


def merged_tokens(faces: FaceBatch, merge: str, scale: float, project: Callable[[Tensor], Tensor]) -> Tensor:
    """Return identity tokens ``(B, K, D)``, or ``(B, N * K, D)`` for ``concat``.

    Parameters
    ----------
    faces : FaceBatch
        Batched: ``(B, N, ...)``.
    merge : str
        One of `MERGES`.
    scale : float
        Factor on embeddings.
    project : callable
        From embeddings ``(B, E)`` to tokens ``(B, K, D)``.

    Raises
    ------
    ValueError
        ``merge`` is none of `MERGES`.
    """
    if check_merge(merge) in (MEAN, NORM):
        return project(_mean(faces, merge == NORM) * scale)
    each = project(faces.embeddings.flatten(0, 1) * scale)
    each = each.reshape(*faces.weights.shape, *each.shape[1:])
    return each.flatten(1, 2) if merge == CONCAT else _medoids(each, faces.weights)


def token_bias(weights: Tensor, tokens: int) -> Tensor | None:
    """Return what is added to the logits of ``concat``'s tokens, ``(1, N * K)`` float32.

    None where all weights are equal: softmax would take the same constant out again.

    Parameters
    ----------
    weights : Tensor
        ``(N,)`` > 0.
    tokens : int
        K, tokens of one reference.
    """
    if bool((weights == weights[0]).all()):
        return None
    return torch.log(weights.float() / weights.float().mean()).repeat_interleave(tokens)[None]


def _mean(faces: FaceBatch, one_length: bool) -> Tensor:
    share = (faces.weights / faces.weights.sum(1, keepdim=True))[..., None].to(faces.embeddings)
    if not one_length:
        return (faces.embeddings * share).sum(1)
    lengths = faces.embeddings.norm(dim=-1, keepdim=True)
    # Back to the usual length: the projection was trained with it.
    mean = (F.normalize(faces.embeddings, dim=-1) * share).sum(1)
    scaled: Tensor = mean * (lengths * share).sum(1)
    return scaled


def _medoids(tokens: Tensor, weights: Tensor) -> Tensor:
    """``(B, N, K, D)`` to ``(B, K, D)``: of each token the reference with the highest mean cosine to all."""
    unit = F.normalize(tokens.float(), dim=-1)
    mean = torch.einsum("bnkd,bn->bkd", unit, weights.float())
    agreement = torch.einsum("bnkd,bkd->bnk", unit, mean)
    # A reference of weight 0 has no say and is not chosen.
    agreement = agreement.masked_fill(weights[..., None] <= 0, -torch.inf)
    chosen = agreement.argmax(1)[:, None, :, None].expand(-1, 1, -1, tokens.shape[-1])
    best: Tensor = tokens.gather(1, chosen)[:, 0]
    return best

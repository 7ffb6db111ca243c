"""`Identity`: a person, ready for HiFi-Net."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from ..boundary.licences import FileLicence, summary
from ..boundary.text import printable
from ..head.records import Head
from ..models.tokens import DetailTokens

EXPRESSIONS = 52
"""Number of ARKit expression coefficients."""


@dataclass(frozen=True, eq=False)
class Identity:
    """What the face refiner made of the references of one person.

    Attributes
    ----------
    tokens : Tensor
        (1, K, context_dim) identity tokens.
    detail : DetailTokens
        Of all references of weight > 0, batch 1; no tokens when the checkpoint has no fusion.
    embedding : Tensor
        (E,) of length one: the weighted mean of the references' embeddings.
    shape : np.ndarray
        (K,) float32 identity coefficients of the 3D face, fitted to all references together.
    recognizer : str
        Id of the face recognizer.
    checkpoint : str
        Id of the checkpoint whose refiner made the tokens.
    sources : tuple of str
        Names of the references' pictures.
    weights : tuple of float
        Weight of each reference.
    fingerprint : str
        Changes with everything that the tokens depend on.
    expression : np.ndarray
        (52,) float32 in 0..1: weighted mean expression of the references (ARKit).
    licences : tuple of FileLicence
        What the files that made it may be used for: the analyzer's, and the checkpoint.
    consent : str
        The artist's note on the person's consent; may be empty.
    head : Head or None
        The person's textured head, where the artist put it in: a photograph.
    token_bias : Tensor or None
        (1, K) float32, added to the logits of the identity tokens; None: nothing.
    """

    tokens: Tensor
    detail: DetailTokens
    embedding: Tensor
    shape: np.ndarray
    recognizer: str
    checkpoint: str
    sources: tuple[str, ...]
    weights: tuple[float, ...]
    fingerprint: str
    expression: np.ndarray = field(default_factory=lambda: np.zeros(EXPRESSIONS, np.float32))
    licences: tuple[FileLicence, ...] = ()
    consent: str = ""
    head: Head | None = None
    token_bias: Tensor | None = None

    def describe(self) -> str:
        """Return a few lines for the artist."""
        used = [(s, w) for s, w in zip(self.sources, self.weights, strict=True) if w > 0]
        total = sum(w for _, w in used)
        count = self.detail.tokens.shape[1]
        lines = [f"{len(used)} references, {count} detail tokens, recognizer {self.recognizer}"]
        lines += [f"{source}: {100 * weight / total:.0f} %" for source, weight in used]
        lines.append(summary(self.licences))
        if self.head is not None:
            lines.append("with the textured head: a photograph of the person")
        if self.consent:
            lines.append(f"consent: {printable(self.consent, 200)}")
        return "\n".join(lines)

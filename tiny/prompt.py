"""What the tiny model understands of a prompt: a few words for background, clothes and light.

The tiny base is not conditioned on language but on *concepts* such as "blue background". This module reads
them out of a prompt and embeds them. *Ours*; the paper uses SDXL's two text encoders.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

COLOURS = (
    "white", "grey", "black", "red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "brown",
)  # fmt: skip
LIGHTS = ("left", "right", "above", "front", "soft", "hard", "warm", "cool", "bright", "dim")
CONCEPTS: tuple[str, ...] = (
    *(f"background {c}" for c in COLOURS),
    *(f"clothes {c}" for c in COLOURS),
    *(f"light {w}" for w in LIGHTS),
)
LENGTH = 8
PADDING = len(CONCEPTS)

_COLOUR_WORDS = {c: c for c in COLOURS} | {
    "gray": "grey", "silver": "grey", "turquoise": "teal", "cyan": "teal", "violet": "purple",
    "magenta": "pink", "golden": "yellow", "beige": "brown",
}  # fmt: skip
_BACKGROUND_WORDS = frozenset({"background", "backdrop", "wall", "studio"})
_CLOTHES_WORDS = frozenset(
    {
        "clothes",
        "clothing",
        "shirt",
        "t-shirt",
        "tshirt",
        "jacket",
        "dress",
        "sweater",
        "suit",
        "top",
        "blouse",
    }
)
_LIGHT_WORDS = frozenset({"light", "lighting", "lit", "lights", "sunlight"})
_LIGHT_CONCEPTS = {w: w for w in LIGHTS} | {
    "top": "above", "overhead": "above", "frontal": "front", "diffuse": "soft", "harsh": "hard",
    "cold": "cool", "dark": "dim", "low": "dim",
}  # fmt: skip


def parse_prompt(text: str) -> list[str]:
    """Read the concepts named in a prompt.

    Parameters
    ----------
    text : str
        Any prompt. Phrases are separated by commas, full stops, "and", "with"; brackets and weights are
        ignored.

    Returns
    -------
    list of str
        Members of `CONCEPTS` without repetition, at most `LENGTH`, in the order of the prompt.

    Notes
    -----
    Unknown words are skipped: "portrait of a woman, blue wall, soft light from the left" gives
    ``["background blue", "light soft", "light left"]``. Hair, age and the like are identity and come from
    references.
    """
    found: list[str] = []
    for phrase in re.split(r"[,.;\n]|\band\b|\bwith\b", text.lower()):
        words = re.findall(r"[a-z]+(?:-[a-z]+)*", phrase)
        lit = any(w in _LIGHT_WORDS for w in words)
        colour: str | None = None
        for word in words:
            if word in _COLOUR_WORDS:
                colour = _COLOUR_WORDS[word]
            elif word in _BACKGROUND_WORDS and colour:
                found.append(f"background {colour}")
            elif lit and word in _LIGHT_CONCEPTS:
                found.append(f"light {_LIGHT_CONCEPTS[word]}")
            elif word in _CLOTHES_WORDS and colour:
                found.append(f"clothes {colour}")
    return list(dict.fromkeys(found))[:LENGTH]


def concept_ids(concepts: list[str]) -> list[int]:
    """Numbers of the concepts, padded to `LENGTH` with `PADDING`.

    Raises
    ------
    ValueError
        If a name is no concept.
    """
    try:
        ids = [CONCEPTS.index(c) for c in concepts[:LENGTH]]
    except ValueError as error:
        raise ValueError(
            f"The tiny model knows no concept like one of {concepts}; it knows {CONCEPTS}."
        ) from error
    return ids + [PADDING] * (LENGTH - len(ids))


class WordEncoder(nn.Module):
    """Embeds concept numbers: one context token each, and a pooled vector.

    Parameters
    ----------
    context_dim, pooled_dim : int
        Channels of the tokens and of the pooled vector.
    """

    def __init__(self, context_dim: int = 64, pooled_dim: int = 64) -> None:
        super().__init__()
        self.tokens = nn.Embedding(len(CONCEPTS) + 1, context_dim)
        self.pooled = nn.Embedding(len(CONCEPTS) + 1, pooled_dim, padding_idx=PADDING)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Embed.

        Parameters
        ----------
        ids : Tensor
            (B, L) integers in 0..`PADDING`.

        Returns
        -------
        tuple of Tensor
            Context (B, L, context_dim) and pooled (B, pooled_dim).
        """
        return self.tokens(ids), self.pooled(ids).sum(1)


class TinyWords:
    """The tiny model's text side, with the methods of ComfyUI's CLIP object that text encode nodes call."""

    def __init__(self, encoder: WordEncoder) -> None:
        self.cond_stage_model = encoder.train(False).requires_grad_(False)

    def clone(self) -> TinyWords:
        """Another handle on the same, constant weights."""
        return TinyWords(self.cond_stage_model)

    def clip_layer(self, layer_idx: int) -> None:
        """Return accepted for CLIP Set Last Layer; there is only one layer."""

    def tokenize(self, text: str, return_word_ids: bool = False, **_: object) -> dict[str, list[int]]:
        """Concept numbers of a prompt, under the key ``"concepts"``."""
        return {"concepts": concept_ids(parse_prompt(text))}

    def encode_from_tokens(
        self, tokens: dict[str, list[int]], return_pooled: bool | str = False, return_dict: bool = False
    ) -> Tensor | tuple[Tensor, Tensor] | dict[str, Tensor]:
        """Embed what `tokenize` gave, in the three forms that ComfyUI's CLIP returns."""
        with torch.no_grad():
            context, pooled = self.cond_stage_model(torch.tensor([tokens["concepts"]]))
        if return_dict:
            return {"cond": context, "pooled_output": pooled}
        return (context, pooled) if return_pooled else context

    def encode_from_tokens_scheduled(
        self,
        tokens: dict[str, list[int]],
        unprojected: bool = False,
        add_dict: dict[str, object] | None = None,
        show_pbar: bool = True,
    ) -> list[list[object]]:
        """Return the CONDITIONING list that CLIP Text Encode passes on."""
        with torch.no_grad():
            context, pooled = self.cond_stage_model(torch.tensor([tokens["concepts"]]))
        return [[context, {"pooled_output": pooled, **(add_dict or {})}]]

"""Stage caption: the source's text, one made of pose and expression, or a function of the user's."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ..boundary.text import printable
from ..landmarks.fit_result import FaceFit
from ..landmarks.model import FaceModel
from .config import Caption
from .record import PictureRecord

Captioner: TypeAlias = Callable[[np.ndarray, PictureRecord], str]


def load_captioner(config: Caption) -> Captioner | None:
    """Return the user's function ``module:function``; None where the captioner is one of ours.

    Raises
    ------
    ValueError
        There is no such module or function.
    """
    module, _, function = config.captioner.partition(":")
    if not function:
        return None
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"caption.captioner {printable(config.captioner, 80)}: {error}") from None
    captioner: Captioner = found
    return captioner


def caption(
    record: PictureRecord,
    pixels: np.ndarray,
    fit: FaceFit,
    model: FaceModel,
    config: Caption,
    captioner: Captioner | None,
) -> str:
    """Caption one picture: one line, at most ``caption.longest`` characters, "" where nothing is known."""
    if captioner is not None:
        text = captioner(pixels, record)
    elif record.caption or config.captioner == "column":
        text = record.caption
    else:
        text = tags(fit, model)
    return printable(text, config.longest).strip()


def tags(fit: FaceFit, model: FaceModel) -> str:
    """Describe what the fit tells and nothing else: no age, no sex, no race."""
    yaw, pitch, _ = fit.pose
    if abs(yaw) < 12:
        words = ["portrait of a person", "facing the camera"]
    else:
        side = "right" if yaw > 0 else "left"
        words = ["portrait of a person", f"{'profile' if abs(yaw) > 55 else 'head turned'} to the {side}"]
    if abs(pitch) > 15:
        words.append("looking up" if pitch > 0 else "looking down")
    index = model.expression_index

    def level(*names: str) -> float:
        return float(np.mean([fit.expression[index[name]] for name in names]))

    if level("mouthSmileLeft", "mouthSmileRight") > 0.35:
        words.append("smiling")
    if level("jawOpen") > 0.3:
        words.append("mouth open")
    if level("eyeBlinkLeft", "eyeBlinkRight") > 0.6:
        words.append("eyes closed")
    return ", ".join(words)

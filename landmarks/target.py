"""The target of the landmark generator: sliders, a photo, or a photo plus slider offsets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .generate import DEFAULT_CENTRE, DEFAULT_SCALE, generate
from .landmarks import FaceLandmarks3D
from .model import FaceModel
from .sliders import SliderTable, limit_expression


@dataclass(frozen=True, eq=False)
class Target:
    """What a target photo, a capture or another set of landmarks asks for.

    Attributes
    ----------
    pose : np.ndarray
        (B, 3) yaw, pitch, roll in degrees.
    expression : np.ndarray
        (B, 52) ARKit coefficients.
    position : np.ndarray | None
        (B, 2) midpoint of the eyes' centres as fractions of the canvas; None is the default place.
    scale : np.ndarray | None
        (B,) interocular distance as a fraction of the canvas's shorter side; None is the default size.
    """

    pose: np.ndarray
    expression: np.ndarray
    position: np.ndarray | None = None
    scale: np.ndarray | None = None

    def __getitem__(self, rows: slice) -> Target:
        """Return some of the frames."""
        return Target(
            self.pose[rows],
            self.expression[rows],
            None if self.position is None else self.position[rows],
            None if self.scale is None else self.scale[rows],
        )


def generate_for(
    model: FaceModel,
    values: Mapping[str, float],
    width: int,
    height: int,
    shape: np.ndarray | None = None,
    target: Target | None = None,
    own_expression: np.ndarray | None = None,
    keep_expression: float = 0.0,
    raw_expression: Mapping[str, float] | None = None,
) -> FaceLandmarks3D:
    """Landmarks from everything that an artist may give; see the node Generate Landmarks.

    Sliders are offsets: degrees and shifts add to the target's, the size multiplies it, expressions add to
    it.

    Parameters
    ----------
    model : FaceModel
        The 3D face.
    values : Mapping[str, float]
        Slider id -> value; missing ones are at their default.
    width, height : int
        Canvas, px.
    shape : np.ndarray | None
        (K,) identity shape of the references.
    target : Target | None
        Pose, expression and place of a target; None is a frontal neutral face in the default place.
    own_expression : np.ndarray | None
        (52,) expression of the references themselves.
    keep_expression : float
        0..1: how much of ``own_expression`` is added.
    raw_expression : Mapping[str, float] | None
        ARKit name -> coefficient; replaces what sliders and target give for the named ones.

    Returns
    -------
    FaceLandmarks3D
        As many faces as the target has.
    """
    table = SliderTable.load()
    values = table.checked(values)
    neutral = np.zeros(len(model.expression_names))
    if target is None:
        target = Target(pose=np.zeros((1, 3)), expression=neutral[None])
    count = len(target.pose)
    short = min(width, height)
    position = np.broadcast_to(DEFAULT_CENTRE, (count, 2)) if target.position is None else target.position
    scale = np.full(count, DEFAULT_SCALE) if target.scale is None else target.scale
    shift = np.array([values["position_x"] / 2, -values["position_y"] / 2])
    position = (position + shift) * [width, height]
    scale = np.maximum(scale * max(values["scale"], 0.01), 1e-3) * short

    notes: list[str] = []
    rows = []
    for below in target.expression:
        base = below
        if own_expression is not None and keep_expression > 0:
            base = np.maximum(below, float(np.clip(keep_expression, 0, 1)) * np.asarray(own_expression))
        row, row_notes = table.expression(values, model, base)
        if raw_expression:
            named = model.coefficients(dict(raw_expression))
            given = np.isin(model.expression_names, list(raw_expression))
            row, raw_notes = limit_expression(np.where(given, named, row), model, table)
            row_notes += raw_notes
        rows.append(row)
        notes += row_notes
    pose = target.pose + np.array([values["yaw"], values["pitch"], values["roll"]])
    return generate(
        model, shape, pose, np.array(rows), width, height, position, scale, notes=tuple(dict.fromkeys(notes))
    )

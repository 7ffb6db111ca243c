"""What differs between pictures of one person: pose, expression, gaze, light, camera, background, clothes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

PALETTE: dict[str, tuple[int, int, int]] = {
    "white": (232, 232, 228), "grey": (134, 136, 140), "black": (34, 34, 38), "red": (176, 44, 44),
    "orange": (222, 132, 52), "yellow": (226, 200, 88), "green": (70, 130, 72), "teal": (52, 136, 140),
    "blue": (62, 96, 176), "purple": (114, 74, 150), "pink": (222, 142, 168), "brown": (124, 88, 62),
}  # fmt: skip
"""Colours that prompts can name; must be the names that the tiny model's words know."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture's circumstances.

    ``yaw, pitch, roll`` in degrees as in ``docs/architecture.md``; ``expression`` (52,) ARKit coefficients
    with gaze; ``scale`` px of a 128 px picture per interocular distance; ``centre`` of the eyes' midpoint as
    a fraction of the picture; ``light`` unit vector to the key light in view space; ``softness`` 0 hard to 1
    soft; ``warmth``
    -1 cool to 1 warm; ``exposure`` about 1; ``words`` are the prompt concepts that describe it.
    """

    yaw: float
    pitch: float
    roll: float
    expression: np.ndarray
    scale: float
    centre: tuple[float, float]
    light: np.ndarray
    softness: float
    warmth: float
    exposure: float
    background: np.ndarray
    clothes: np.ndarray
    words: tuple[str, ...]
    noise_seed: int

    def neutral(self) -> Scene:
        """Return the same scene, looking straight ahead without expression."""
        return replace(self, yaw=0.0, pitch=0.0, roll=0.0, expression=np.zeros_like(self.expression))


def draw_expression(names: list[str], rng: np.random.Generator) -> np.ndarray:
    """(52,) coefficients: one of six moods or a random mix, a blink now and then, and a gaze."""
    values = np.zeros(len(names))
    position = {n: i for i, n in enumerate(names)}

    def both(name: str, value: float) -> None:
        for side in ("Left", "Right"):
            values[position[name + side]] = np.clip(value + rng.normal() * 0.05 * (value > 0), 0, 1)

    mood = rng.choice(7, p=[0.2, 0.24, 0.14, 0.1, 0.08, 0.14, 0.1])
    if mood == 1:
        both("mouthSmile", rng.uniform(0.25, 1))
        both("cheekSquint", rng.uniform(0, 0.6))
        values[position["jawOpen"]] = rng.uniform(0, 0.3)
    elif mood == 2:
        values[position["jawOpen"]] = rng.uniform(0.15, 0.7)
        both("browOuterUp", rng.uniform(0, 0.8))
        values[position["browInnerUp"]] = rng.uniform(0, 0.8)
        both("eyeWide", rng.uniform(0, 0.7))
    elif mood == 3:
        both("browDown", rng.uniform(0.3, 1))
        both("mouthFrown", rng.uniform(0.1, 0.8))
        both("noseSneer", rng.uniform(0, 0.4))
    elif mood == 4:
        values[position["mouthPucker"]] = rng.uniform(0.2, 0.8)
        values[position["mouthFunnel"]] = rng.uniform(0, 0.3)
    elif mood == 5:
        both("mouthSmile", rng.uniform(0.1, 0.5))
        values[position["browInnerUp"]] = rng.uniform(0, 0.6)
    elif mood == 6:
        allowed = [i for i, n in enumerate(names) if not n.startswith(("eyeLook", "tongue", "mouthClose"))]
        values[rng.choice(allowed, 4, replace=False)] = rng.uniform(0, 0.6, 4)
    both("eyeBlink", float(rng.choice([0, 0, 0, 0.15, 0.35])))
    across, up = rng.normal(size=2) * [0.25, 0.15]
    values[position["eyeLookOutLeft" if across > 0 else "eyeLookInLeft"]] = min(abs(across), 0.7)
    values[position["eyeLookInRight" if across > 0 else "eyeLookOutRight"]] = min(abs(across), 0.7)
    for side in ("Left", "Right"):
        values[position[("eyeLookUp" if up > 0 else "eyeLookDown") + side]] = min(abs(up), 0.5)
    return values


def draw_scene(names: list[str], rng: np.random.Generator, yaw: float = 38.0, pitch: float = 14.0) -> Scene:
    """Draw a random scene.

    Parameters
    ----------
    names : list of str
        The 52 ARKit names.
    rng : np.random.Generator
        Randomness.
    yaw, pitch : float
        Limits in degrees; angles near 0 are likelier than those at the limits.
    """
    azimuth, elevation = rng.uniform(-75, 75), rng.uniform(-5, 65)
    a, e = np.deg2rad([azimuth, elevation])
    light = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    softness, warmth, exposure = rng.uniform(0, 1), rng.uniform(-1, 1), float(np.exp(rng.normal() * 0.13))
    colours = list(PALETTE)
    behind, worn = colours[rng.integers(len(colours))], colours[rng.integers(len(colours))]
    words = [f"background {behind}", f"clothes {worn}"]
    direction = (
        "above" if elevation > 45 else "right" if azimuth > 25 else "left" if azimuth < -25 else "front"
    )
    words += [f"light {direction}", f"light {'soft' if softness > 0.5 else 'hard'}"]
    if abs(warmth) > 0.35:
        words.append(f"light {'warm' if warmth > 0 else 'cool'}")
    if abs(np.log(exposure)) > 0.12:
        words.append(f"light {'bright' if exposure > 1 else 'dim'}")
    return Scene(
        yaw=float(np.clip(rng.normal() * yaw * 0.55, -yaw, yaw)),
        pitch=float(np.clip(rng.normal() * pitch * 0.55, -pitch, pitch)),
        roll=float(np.clip(rng.normal() * 5, -12, 12)),
        expression=draw_expression(names, rng),
        scale=float(rng.uniform(31.5, 38.5)),
        centre=(0.5 + float(rng.uniform(-0.05, 0.05)), 0.475 + float(rng.uniform(-0.035, 0.035))),
        light=light.astype(np.float32),
        softness=float(softness),
        warmth=float(warmth),
        exposure=exposure,
        background=np.clip(np.array(PALETTE[behind]) + rng.normal(size=3) * 7, 12, 245).astype(np.float32),
        clothes=np.clip(np.array(PALETTE[worn]) + rng.normal(size=3) * 7, 12, 245).astype(np.float32),
        words=tuple(words),
        noise_seed=int(rng.integers(1 << 31)),
    )

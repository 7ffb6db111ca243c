"""Random people: every attribute is drawn on its own, so that no one of them gives another away.

Ancestry shapes the skull only; skin, hair, eyes and age are independent of it and of each other. *Ours*.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....landmarks.names import interocular_distance
from .mesh import HeadMesh

HAIR_STYLES = ("bald", "buzz", "short", "full", "afro", "bob", "long")
BEARDS = ("none", "stubble", "full", "moustache", "goatee")
HAIR_COLOURS = np.array(
    [[24, 20, 18], [48, 32, 22], [82, 54, 32], [122, 84, 50], [196, 158, 102], [150, 70, 34], [176, 174, 172],
     [225, 205, 160]], np.float32,
)  # fmt: skip
IRIS_COLOURS = np.array(
    [[62, 40, 24], [98, 66, 36], [64, 100, 136], [92, 116, 74], [110, 118, 124]], np.float32
)
_OPPOSITES = (
    ("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"),
    ("concave", "convex"), ("compress", "uncompress"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Person:
    """What stays the same in all pictures of one person.

    Colours are sRGB 0..255. ``neutral`` (V, 3) are the vertices of the neutral face, decimetres.
    """

    neutral: np.ndarray
    sex: float
    age: float
    skin: np.ndarray
    ruddiness: float
    lips: np.ndarray
    iris: np.ndarray
    hair: np.ndarray
    hair_style: str
    hair_thickness: float
    hair_length: float
    hair_wave: float
    fringe: float
    parting: float
    recession: float
    beard: str
    beard_density: float
    brow_thickness: float
    brow_height: float
    brow_arch: float
    brow_darkness: float
    lashes: float
    freckles: float
    marks: np.ndarray
    glasses: tuple[float, float, float] | None
    glasses_colour: np.ndarray
    wrinkles: float
    seed: int

    def unit(self, mesh: HeadMesh) -> float:
        """Interocular distance (of the eyes' contours' centres), decimetres."""
        points = mesh.landmarks(self.neutral)
        return interocular_distance(points)


def _thirds(x: float) -> np.ndarray:
    return np.array([max(0.0, 1 - 2 * x), 1 - abs(2 * x - 1), max(0.0, 2 * x - 1)])


def _local_weights(names: list[str], rng: np.random.Generator, sigma: float, asymmetry: float) -> np.ndarray:
    """(L,) weights of local targets: of two opposites one is 0, and both sides of the face nearly agree."""
    position = {n: i for i, n in enumerate(names)}
    weights = np.zeros(len(names))
    shared: dict[str, float] = {}
    used: set[str] = set()
    for name in names:
        if name in used:
            continue
        if name.startswith("asym"):
            weights[position[name]] = max(0.0, rng.normal() * asymmetry)
            continue
        for low, high in _OPPOSITES:
            if name.endswith("-" + low) and name[: -len(low)] + high in position:
                other = name[: -len(low)] + high
                used |= {name, other}
                stem = name[: -len(low) - 1]
                sided = stem[:2] in ("l-", "r-")
                value = shared.setdefault(stem[2:] if sided else stem, rng.normal() * sigma)
                value = float(np.clip(value + (rng.normal() * sigma * 0.1 if sided else 0.0), -1, 1))
                if "ear" in stem.split("-"):
                    value *= 0.6
                weights[position[other] if value > 0 else position[name]] = abs(value)
                break
    singles = [n for n in names if n not in used and not n.startswith("asym")]
    for name in singles:
        key = name[2:] if name[:2] in ("l-", "r-") else name
        weights[position[name]] = (
            0.0 if "ear" in key else max(0.0, shared.setdefault(key, rng.normal() * sigma) - 0.2)
        )
    return weights


def draw_shape(
    mesh: HeadMesh,
    rng: np.random.Generator,
    sex: float,
    age: float,
    sigma: float = 0.22,
    asymmetry: float = 0.08,
) -> np.ndarray:
    """Neutral vertices of a random adult head.

    Parameters
    ----------
    mesh : HeadMesh
        The head.
    rng : np.random.Generator
        Randomness.
    sex, age : float
        0 female to 1 male; years from 18.
    sigma, asymmetry : float
        Standard deviations of the local targets' weights; above .25 faces turn into caricatures.

    Returns
    -------
    np.ndarray
        (V, 3) float32, decimetres.
    """
    sexes = np.array([1 - sex, sex])
    ages = np.array([0.0, np.interp(age, [12, 25], [1, 0]), np.interp(age, [12, 25, 80], [0, 1, 0]),
                     np.interp(age, [25, 80], [0, 1])])  # fmt: skip
    vertices = mesh.base.astype(np.float64)
    build = np.einsum("s,a,m,w->samw", sexes, ages, _thirds(rng.beta(4, 4)), _thirds(rng.beta(2.5, 2.5)))
    origin = np.einsum("r,s,a->rsa", rng.dirichlet([0.6] * 3), sexes, ages)
    for weights, targets in ((build, mesh.universal), (origin, mesh.ancestry)):
        for index in np.argwhere(weights > 1e-4):
            vertices = vertices + weights[tuple(index)] * targets[tuple(index)]
    names = [str(n) for n in mesh.local_names]
    weights = _local_weights(names, rng, sigma, asymmetry)
    active = np.nonzero(weights)[0]
    return (vertices + np.tensordot(weights[active], mesh.local[active], 1)).astype(np.float32)


def _draw_skin(rng: np.random.Generator) -> np.ndarray:
    """(3,) sRGB 0..255."""
    tone = float(rng.beta(1.1, 1.3))  # light to dark, independent of everything else
    scale = np.array(
        [[240, 206, 186], [224, 178, 150], [196, 144, 110], [142, 96, 68], [86, 58, 44]], np.float32
    )
    skin = np.array([np.interp(tone, np.linspace(0, 1, 5), scale[:, c]) for c in range(3)])
    return np.clip(skin * (1 + rng.normal(size=3) * [0.02, 0.025, 0.04]), 25, 250)


def _draw_hair_colour(rng: np.random.Generator, age: float) -> np.ndarray:
    """(3,) sRGB; grey more often with age."""
    grey = np.clip((age - 45) / 25, 0, 1) * 0.75
    hair = HAIR_COLOURS[rng.choice(len(HAIR_COLOURS), p=[0.2, 0.17, 0.15, 0.13, 0.12, 0.12, 0.03, 0.08])]
    if rng.random() < grey:
        hair = HAIR_COLOURS[6]
    return hair * rng.uniform(0.8, 1.2)


def _draw_glasses(rng: np.random.Generator) -> tuple[float, float, float] | None:
    """Half width and half height, decimetres, and power of the lenses' outline; most people have none."""
    if rng.random() >= 0.2:
        return None
    return (
        float(rng.uniform(0.2, 0.27)),
        float(rng.uniform(0.14, 0.21)),
        float(rng.choice([2.0, 3.0, 6.0])),
    )


def draw_person(mesh: HeadMesh, seed: int) -> Person:
    """Draw a random adult; the same seed gives the same person."""
    rng = np.random.default_rng([seed, 0])
    sex = float(np.clip(rng.choice([0.08, 0.92]) + rng.normal() * 0.08, 0, 1))
    male = sex > 0.5
    age = float(rng.uniform(18, 75))
    neutral = draw_shape(mesh, rng, sex, age)
    skin, hair = _draw_skin(rng), _draw_hair_colour(rng, age)
    style = str(rng.choice(HAIR_STYLES, p=[0.1, 0.12, 0.3, 0.26, 0.08, 0.08, 0.06] if male else
                           [0.01, 0.04, 0.11, 0.17, 0.1, 0.27, 0.3]))  # fmt: skip
    beard = str(rng.choice(BEARDS, p=[0.38, 0.2, 0.2, 0.1, 0.12])) if male else "none"
    glasses = _draw_glasses(rng)
    marks = rng.uniform(-1, 1, (int(rng.choice([0, 0, 1, 2])), 3))
    lip = skin * np.array([0.86, 0.62, 0.62]) + np.array([6, 0, 2])
    if not male and rng.random() < 0.4:
        lip = lip * 0.35 + 0.65 * np.array([(176, 34, 52), (150, 40, 84), (200, 84, 84)][rng.integers(3)])
    return Person(
        neutral=neutral,
        sex=sex,
        age=age,
        skin=skin.astype(np.float32),
        ruddiness=float(rng.uniform(0.2, 1.1)),
        lips=lip.astype(np.float32),
        iris=(IRIS_COLOURS[rng.integers(len(IRIS_COLOURS))] * rng.uniform(0.85, 1.15)).astype(np.float32),
        hair=np.clip(hair, 8, 245).astype(np.float32),
        hair_style=style,
        hair_thickness=float(
            {
                "buzz": 0.03,
                "short": rng.uniform(0.07, 0.14),
                "full": rng.uniform(0.15, 0.28),
                "afro": rng.uniform(0.3, 0.5),
            }.get(style, rng.uniform(0.08, 0.16))
        ),
        hair_length=float(rng.uniform(1.35, 1.9) if style == "bob" else rng.uniform(2.2, 3.3)),
        hair_wave=float(rng.uniform(0, 1)),
        fringe=float(max(0.0, rng.normal() * 0.13) + (0.1 if not male and rng.random() < 0.35 else 0)),
        parting=float(rng.uniform(-0.35, 0.35)),
        recession=float(max(0.0, rng.normal() * 0.3) * (age > 30)) if male else 0.0,
        beard=beard,
        beard_density=float(rng.uniform(0.25, 0.5) if beard == "stubble" else rng.uniform(0.65, 0.95)),
        brow_thickness=float(rng.uniform(0.026, 0.062) * (1.1 if male else 0.85)),
        brow_height=float(rng.normal() * 0.016),
        brow_arch=float(rng.uniform(0.2, 1.6)),
        brow_darkness=float(rng.uniform(0.5, 0.98)),
        lashes=float(rng.uniform(0.2, 0.5) if male else rng.uniform(0.45, 1.0)),
        freckles=float(rng.uniform(0.4, 1.0)) if rng.random() < 0.12 else 0.0,
        marks=marks,
        glasses=glasses,
        glasses_colour=np.array(
            [(22, 20, 20), (92, 56, 30), (130, 24, 34), (40, 52, 100)][rng.integers(4)], np.float32
        ),
        wrinkles=float(np.clip((age - 38) / 35, 0, 1)),
        seed=seed,
    )

"""Smooth displacement fields on the head's surface: what few points ask for, spread over all of it.

Method: the field minimises its bi-Laplacian energy (cotangent weights of the mean head; Botsch and
Kobbelt 2004) plus what the points ask for, weighted, plus a little tension and pull to zero that keep
the skull in place where no point says anything. Eyeballs, teeth and tongue, which the surface does not
reach, follow what lies around them. The combination is *ours*.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu

from ..landmarks import names
from .model import REGIONS, HeadModel

STIFFNESS = 1.0
"""Weight of the bi-Laplacian energy: against points known to .02 interocular distances it lets pass
what is wider than about a third of one."""
TENSION = 1.0
"""Weight of the Laplacian energy: beyond the last point a field fades and does not go on straight."""
DAMPING = 0.3
"""Pull to zero: what no point asks for fades over about 1.5 interocular distances."""
NECK_DAMPING = 40.0
"""The same at the collar, where no detector says anything."""
_EYE_SCALE = (0.92, 1.1)
"""Limits within which an eyeball grows with its lids."""
_FOLLOW = 0.25
"""Reach within which teeth and tongue follow the lips, interocular distances."""


@dataclass(frozen=True, eq=False)
class Surface:
    """What the solver needs of a head model; see `surface_of`.

    Attributes
    ----------
    skin : np.ndarray
        (S,) rows of the G places that the surface connects.
    factor : SuperLU
        Factorised (S, S) energy: bending, tension and damping.
    inner : np.ndarray
        (N,) places of teeth and tongue.
    follow : np.ndarray
        (N, S) weights with which they follow the skin.
    """

    skin: np.ndarray
    factor: SuperLU
    inner: np.ndarray
    follow: np.ndarray


@dataclass(frozen=True, eq=False)
class Points:
    """Points on the skin, and how the surface answers when one of them is pulled.

    Attributes
    ----------
    places, shares : np.ndarray
        (P, C) rows of the G places and weights of each point.
    response : np.ndarray
        (S, P) displacement of the skin for a unit force at each point.
    gram : np.ndarray
        (P, P) the same at the points.
    """

    places: np.ndarray
    shares: np.ndarray
    response: np.ndarray
    gram: np.ndarray

    def read(self, geometry: np.ndarray) -> np.ndarray:
        """(P, D) values at the points of values (G, D)."""
        return (geometry[self.places] * self.shares[..., None]).sum(1)


def _cotangents(points: np.ndarray, triangles: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Laplacian (V, V), positive on the diagonal, and (V,) area around each vertex."""
    count, rows, columns, values = len(points), [], [], []
    area = np.zeros(count)
    for k in range(3):
        a, b, c = (triangles[:, (k + j) % 3] for j in range(3))
        u, v = points[b] - points[a], points[c] - points[a]
        twice = np.linalg.norm(np.cross(u, v), axis=1).clip(1e-9)
        weight = ((u * v).sum(1) / twice / 2).clip(0.01, 20.0)
        rows += [b, c]
        columns += [c, b]
        values += [weight, weight]
        np.add.at(area, a, twice / 6)
    around = sparse.csr_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (count, count)
    )
    return sparse.diags(np.asarray(around.sum(1)).ravel()) - around, area.clip(1e-6)


@lru_cache(maxsize=2)
def surface_of(model: HeadModel) -> Surface:
    """Return the solver's matrices for a head model (cached)."""
    region = model.geometry_region
    apart = ("right_eye", "left_eye", "upper_teeth", "lower_teeth", "tongue")
    on_skin = ~np.isin(region, [REGIONS.index(name) for name in apart])
    skin = np.nonzero(on_skin)[0]
    number = np.full(len(region), -1)
    number[skin] = np.arange(len(skin))
    triangles = number[model.geometry_triangles]
    triangles = triangles[(triangles >= 0).all(1)]
    points = model.mean[skin].astype(float)
    laplacian, area = _cotangents(points, triangles)
    bending = laplacian @ sparse.diags(1 / area) @ laplacian
    low = np.clip((-1.75 - points[:, 1] + 0.35 * np.minimum(points[:, 2], 0.2)) / 0.8, 0, 1)
    hold = DAMPING + NECK_DAMPING * low**2
    energy = STIFFNESS * bending + TENSION * laplacian + sparse.diags(hold * area)
    inner = np.nonzero(np.isin(region, [REGIONS.index(name) for name in apart[2:]]))[0]
    lips = region[skin] == REGIONS.index("lips")
    distance = np.linalg.norm(model.mean[inner][:, None] - points[None], axis=2)
    follow = np.exp(-((distance / _FOLLOW) ** 2)) * lips + 1e-9 * lips
    factor = splu(energy.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return Surface(skin, factor, inner, follow / follow.sum(1, keepdims=True))


def _layout(model: HeadModel, layout: str) -> tuple[np.ndarray, np.ndarray]:
    if layout == "facemesh":
        return np.pad(model.facemesh_vertices, ((0, 0), (0, 1))), np.pad(
            model.facemesh_weights, ((0, 0), (0, 1))
        )
    use = (
        np.arange(68)
        if layout == "68"
        else np.setdiff1d(np.arange(72), [names.RIGHT_PUPIL, names.LEFT_PUPIL])
    )
    return model.landmark_vertices[use], model.landmark_weights[use]


@lru_cache(maxsize=6)
def points_of(model: HeadModel, *layouts: str) -> Points:
    """Return the points of detectors' layouts, one after another (cached).

    Parameters
    ----------
    model : HeadModel
        The head.
    layouts : str
        "facemesh" (468), "68" (iBUG), or "70" (ours without the pupils).
    """
    surface = surface_of(model)
    places, shares = (
        np.concatenate(parts) for parts in zip(*(_layout(model, n) for n in layouts), strict=True)
    )
    number = np.full(len(model.mean), -1)
    number[surface.skin] = np.arange(len(surface.skin))
    rows = np.repeat(np.arange(len(places)), places.shape[1])
    used = shares.ravel() != 0
    read = sparse.csr_matrix(
        (shares.ravel()[used], (rows[used], number[places.ravel()[used]])), (len(places), len(surface.skin))
    )
    response = surface.factor.solve(read.T.toarray())
    gram = read @ response
    return Points(places, shares, response, (gram + gram.T) / 2)


def spread(
    model: HeadModel, points: Points, asked: np.ndarray, certainty: np.ndarray, stiffness: float = 1.0
) -> np.ndarray:
    """Spread displacements of points on the skin over the whole head.

    Parameters
    ----------
    model : HeadModel
        The head.
    points : Points
        Its points, from `points_of`.
    asked : np.ndarray
        (P, D) displacement that each point asks for, interocular distances.
    certainty : np.ndarray
        (P,) >= 0, 1 / variance of each.
    stiffness : float
        Factor on the surface's stiffness.

    Returns
    -------
    np.ndarray
        (G, D) float32.
    """
    surface = surface_of(model)
    give = np.diag(stiffness / np.maximum(certainty, 1e-6))
    force = np.linalg.solve(points.gram + give, asked)
    field = np.zeros((len(model.mean), asked.shape[1]), np.float32)
    field[surface.skin] = points.response @ force
    field[surface.inner] = surface.follow @ field[surface.skin]
    for name, side in (("right_eye", -1), ("left_eye", 1)):
        _carry_eye(model, field, REGIONS.index(name), side)
    return field


def _carry_eye(model: HeadModel, field: np.ndarray, region: int, side: int) -> None:
    """Move an eyeball with its lids, and let it grow with them; changes `field` in place."""
    ball = np.nonzero(model.geometry_region == region)[0]
    lids = (model.geometry_region == REGIONS.index("lids")) & (np.sign(model.mean[:, 0]) == side)
    centre = model.mean[ball].mean(0)
    near = np.nonzero(lids)[0]
    away = model.mean[near] - centre
    moved = field[near]
    mean_away, mean_moved = away.mean(0), moved.mean(0)
    dimensions = min(3, field.shape[1])
    spread_away = (away - mean_away)[:, :dimensions]
    growth = ((moved - mean_moved)[:, :dimensions] * spread_away).sum() / (spread_away**2).sum()
    growth = float(np.clip(1 + growth, *_EYE_SCALE)) - 1
    offset = mean_moved - growth * mean_away[: field.shape[1]]
    field[ball] = offset + growth * (model.mean[ball] - centre)[:, : field.shape[1]]

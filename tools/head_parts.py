"""Parts of the head mesh: what is cut from the base mesh, and the eyeballs that are modelled anew.

A part is a set of triangles whose vertices are weighted sums of the base mesh's vertices, so that any target
or expression of the base mesh moves them. *Ours*.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from ..training.data.synthetic.makehuman import read_object

RINGS, SEGMENTS = 12, 28
"""Of an eyeball: rings from the pupil to the equator and beyond, vertices of each."""
CORNEA = 0.12
"""How far the cornea rises above the eyeball's sphere, in radii."""
_FRONT = np.deg2rad(115.0)
"""How far around an eyeball reaches, from the pupil."""


class Base(NamedTuple):
    """The base mesh as its file has it: (N, 3) decimetres, (Q, 4) quads, (Q,) group, group names."""

    points: np.ndarray
    texture: np.ndarray
    quads: np.ndarray
    group: np.ndarray
    names: list[str]

    @staticmethod
    def read(data: Path) -> Base:
        """Read ``mpfb2/3dobjs/base.obj`` below `data`."""
        return Base(*read_object(data / "mpfb2" / "3dobjs" / "base.obj"))

    def of(self, *groups: str) -> np.ndarray:
        """Return the (K, 4) quads of these groups."""
        return self.quads[np.isin(self.group, [self.names.index(name) for name in groups])]


class Part(NamedTuple):
    """Triangles (T, 3), counter-clockwise from outside, and (V, N) weights of the base mesh's vertices."""

    triangles: np.ndarray
    weights: sparse.csr_matrix


def _split(quads: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Triangles along the shorter diagonals, in doubt the one with the highest corner: left mirrors right."""
    corners = points[quads].astype(float)
    first, second = (np.linalg.norm(corners[:, k] - corners[:, k + 2], axis=1) for k in (0, 1))
    highest = corners[..., 1].argmax(1) % 2 == 1
    turned = np.where(np.abs(first - second) < 1e-4, highest, second < first)
    turned &= quads[:, 2] != quads[:, 3]
    quads = np.where(turned[:, None], np.roll(quads, -1, 1), quads)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return triangles[triangles[:, 1] != triangles[:, 2]]


def taken(quads: np.ndarray, points: np.ndarray) -> Part:
    """Return quads of the base mesh as they are; `points` (N, 3) are all its vertices."""
    triangles, count = _split(quads, points), len(points)
    keep = np.unique(triangles)
    number = np.zeros(count, int)
    number[keep] = np.arange(len(keep))
    rows = sparse.csr_matrix((np.ones(len(keep)), (np.arange(len(keep)), keep)), (len(keep), count))
    return Part(number[triangles], rows)


def _above_collar(points: np.ndarray) -> np.ndarray:
    """(N,) decimetres above the collar: a slanted plane, rounded off over the shoulders."""
    height = points[:, 1] - 0.22 * (0.3 - points[:, 2]) - 5.60
    return height - 1.1 * np.maximum(np.abs(points[:, 0]) - 0.55, 0.0) ** 2


def clip(part: Part, values: np.ndarray) -> Part:
    """Return what of a part has positive `values` (V,), cut straight through triangles."""
    triangles, rows = part
    values = values.copy()
    a, b = triangles[:, [0, 1, 2]].ravel(), triangles[:, [1, 2, 0]].ravel()
    # A cut very near to a vertex goes through the vertex: no slivers.
    share = np.abs(values[a]) / np.maximum(np.abs(values[a] - values[b]), 1e-12)
    values[a[(values[a] * values[b] < 0) & (share < 0.25)]] = 0.0
    added: dict[tuple[int, int], int] = {}
    extra: list[tuple[int, int, float]] = []
    count = rows.shape[0]

    def crossing(i: int, j: int) -> int:
        key = (min(i, j), max(i, j))
        if key not in added:
            added[key] = count + len(extra)
            extra.append((*key, float(values[key[0]] / (values[key[0]] - values[key[1]]))))
        return added[key]

    kept = []
    for corners in triangles.tolist():
        if all(values[c] <= 0 for c in corners):
            continue
        outline = []
        for i, j in zip(corners, corners[1:] + corners[:1], strict=True):
            if values[i] >= 0:
                outline.append(i)
            if values[i] * values[j] < 0:
                outline.append(crossing(i, j))
        kept += [[outline[0], outline[k], outline[k + 1]] for k in range(1, len(outline) - 1)]
    new = [(1 - t) * rows[i] + t * rows[j] for i, j, t in extra]
    rows = sparse.vstack([rows, *new]).tocsr()
    used, number = np.unique(np.array(kept), return_inverse=True)
    return Part(number.reshape(-1, 3), rows[used])


def skin(base: Base) -> Part:
    """Return skin down to the collar, with the mouth's inside and without the sockets' depths."""
    quads = base.of("body")
    centre = base.points[quads].mean(1)
    keep = centre[:, 1] > 5.0
    quads, centre = quads[keep], centre[keep]
    hidden = np.zeros(len(quads), bool)
    for side in ("helper-l-eye", "helper-r-eye"):
        eye = base.points[np.unique(base.of(side))]
        middle, radius = (eye.max(0) + eye.min(0)) / 2, np.ptp(eye[:, 0]) / 2
        away = centre - middle
        hidden |= (np.linalg.norm(away, axis=1) < 1.6 * radius) & (away[:, 2] < -0.35 * radius)
    part = taken(quads[~hidden], base.points)
    part = clip(part, _above_collar(part.weights @ base.points.astype(float)))
    # The left half is the mirror image of the right one, to the last diagonal.
    points = part.weights @ base.points.astype(float)
    mirror = cKDTree(points).query(points * [-1.0, 1.0, 1.0])[1]
    half = part.triangles[points[part.triangles].mean(1)[:, 0] > 0]
    return Part(np.concatenate([half, mirror[half][:, [0, 2, 1]]]), part.weights)


def eyeball(base: Base, side: str) -> Part:
    """Return a round eyeball with a cornea; `side` is "l" or "r" (the subject's)."""
    used = np.unique(base.of(f"helper-{side}-eye"))
    points = base.points[used].astype(float)
    centre = points.mean(0)
    away = points - centre
    middle = (points.max(0) + points.min(0)) / 2
    radius = np.ptp(points[:, 0]) / 2
    middle[2] = points[:, 2].min() + radius
    around = 2 * np.pi * np.arange(SEGMENTS) / SEGMENTS
    ball = [[0.0, 0.0, 1 + CORNEA]]
    for theta in _FRONT * (np.arange(1, RINGS + 1) / RINGS) ** 1.15:
        rise = 1 + CORNEA * np.clip(1 - (theta / np.deg2rad(38)) ** 2, 0, 1) ** 1.5
        ball += [
            [rise * np.sin(theta) * np.cos(a), rise * np.sin(theta) * np.sin(a), rise * np.cos(theta)]
            for a in around
        ]
    place = middle + radius * np.array(ball)
    # The affine map that moves the base mesh's eyeball moves this one: x -> mean + (x - centre) A.
    lift = np.linalg.pinv(away)  # (3, K): A = lift @ (points - mean)
    share = np.full((len(ball), len(used)), 1 / len(used)) + (place - centre) @ lift
    share -= ((place - centre) @ lift).sum(1, keepdims=True) / len(used)
    # pinv of centred rows already sums to 0 over the columns; the line above only removes round-off.
    rows = sparse.lil_matrix((len(ball), len(base.points)))
    rows[:, used] = share
    ring = 1 + np.arange(SEGMENTS)
    triangles = [np.stack([np.zeros(SEGMENTS, int), ring, 1 + np.arange(1, SEGMENTS + 1) % SEGMENTS], 1)]
    for number in range(RINGS - 1):
        inner = 1 + number * SEGMENTS + np.arange(SEGMENTS)
        following = 1 + number * SEGMENTS + np.arange(1, SEGMENTS + 1) % SEGMENTS
        triangles += [
            np.stack([inner, inner + SEGMENTS, following + SEGMENTS], 1),
            np.stack([inner, following + SEGMENTS, following], 1),
        ]
    return Part(np.concatenate(triangles), rows.tocsr())


def eyeball_uv() -> np.ndarray:
    """(V, 2) place of an eyeball's vertices on a disc of radius 1, the pupil at its middle (y up)."""
    around = 2 * np.pi * np.arange(SEGMENTS) / SEGMENTS
    radii = (np.arange(1, RINGS + 1) / RINGS) ** 1.15
    rings = radii[:, None, None] * np.stack([np.cos(around), np.sin(around)], -1)
    return np.concatenate([[[0.0, 0.0]], rings.reshape(-1, 2)])

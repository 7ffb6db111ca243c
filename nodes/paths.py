"""Where the user's model files lie: the folder ``hifi_portrait`` of ComfyUI's models, registered once."""

from __future__ import annotations

from pathlib import Path

import folder_paths

FOLDER = "hifi_portrait"

folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))


def model_folders() -> list[Path]:
    """Return every folder that holds the user's HiFi-Portrait files, the preferred one first.

    More than one when ``extra_model_paths.yaml`` names some.
    """
    return [Path(path) for path in folder_paths.get_folder_paths(FOLDER)]


def folders_of(name: str) -> list[Path]:
    """Return the folders of another kind of model; none when no pack registered it."""
    if name not in folder_paths.folder_names_and_paths:
        return [path for path in [Path(folder_paths.models_dir) / name] if path.is_dir()]
    return [Path(path) for path in folder_paths.get_folder_paths(name)]

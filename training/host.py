"""Find ComfyUI, whose UNet class the tiny base model is made of."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def add_comfyui_to_path(cpu: bool = True) -> Path:
    """Make ``import comfy`` work.

    Parameters
    ----------
    cpu : bool
        Tell the host to compute on the CPU; must be decided before its first import.

    Returns
    -------
    Path
        The ComfyUI folder: ``COMFYUI_PATH``, or the development copy in ``.dev/host/ComfyUI``, or the folder
        two levels up when the pack lies in ``custom_nodes``.

    Raises
    ------
    FileNotFoundError
        If none of these holds a ComfyUI.
    """
    places: list[str | Path] = [
        os.environ.get("COMFYUI_PATH", ""),
        _ROOT / ".dev" / "host" / "ComfyUI",
        _ROOT.parent.parent,
    ]
    for place in places:
        folder = Path(place)
        if place and (folder / "comfy" / "model_base.py").is_file():
            if str(folder) not in sys.path:
                sys.path.insert(0, str(folder))
            if "comfy.cli_args" not in sys.modules:
                arguments, sys.argv = sys.argv, sys.argv[:1]
                try:
                    import comfy.cli_args
                finally:
                    sys.argv = arguments
                comfy.cli_args.args.cpu = cpu
            return folder
    raise FileNotFoundError("No ComfyUI found: set COMFYUI_PATH to its folder.")

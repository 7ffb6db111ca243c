"""Lay out what tests, demo and benchmarks need beside packages: a ComfyUI, face model files, photos."""

from __future__ import annotations

import sys

from hifi_portrait.cli import main

from . import DEV
from .host import host_path
from .packages import photos

if __name__ == "__main__":
    host_path()
    photos()
    sys.exit(main(["models", "--to", str(DEV / "models" / "hifi_portrait"), "--quiet"]))

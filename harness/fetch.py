"""Fetch what tests and the demo need beside packages: face model files and photos."""

from __future__ import annotations

import sys

from hifi_portrait.cli import main

from . import DEV
from .packages import photos

if __name__ == "__main__":
    photos()
    sys.exit(main(["models", "--to", str(DEV / "models" / "hifi_portrait"), "--quiet"]))

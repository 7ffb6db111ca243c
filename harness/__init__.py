"""Development only: a real ComfyUI without a screen, a real browser, and real photos."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEV = Path(os.environ.get("HIFI_PORTRAIT_DEV", ROOT / ".dev"))
"""Everything that development needs and git ignores: environment, host, downloads, artifacts."""

ARTIFACTS = DEV / "artifacts"
"""Pictures and screenshots that tests and benchmarks leave to be looked at."""

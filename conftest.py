"""Put the repository root on the path, so that tests find `harness` wherever pytest starts."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

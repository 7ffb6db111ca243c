"""HiFi-Net checkpoints by the names that Load HiFi-Net shows."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ..models.checkpoint import read_metadata
from ..patching.loading import HiFiNetPatcher, load_hifi_net
from . import paths

SHIPPED = "tiny (shipped)"
WARM_START = "InstantID (warm start)"
NONE_FOUND = "none found"
WARM_START_FILE = "instantid_warm_start.safetensors"

_SHIPPED_FILE = Path(__file__).resolve().parent.parent / "assets" / "tiny" / "hifi_net.safetensors"


def names() -> list[str]:
    """Return what Load HiFi-Net offers."""
    found = [SHIPPED] if _SHIPPED_FILE.is_file() else []
    if instantid_files() is not None:
        found.append(WARM_START)
    found += sorted(_user_files())
    return found or [NONE_FOUND]


def problem(name: str) -> str | None:
    """Return what keeps a name from being loaded, in one line; None when nothing does."""
    if name == NONE_FOUND:
        return f"no HiFi-Net checkpoint in {paths.model_folders()[0]}; put one there"
    try:
        _path(name)
    except (OSError, ValueError) as error:
        return str(error)
    return None


def fingerprint(name: str) -> str:
    """Return a text that changes when the files behind a name change."""
    files = [_path(name)] if name != WARM_START else list(instantid_files() or ())
    return repr(
        [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.exists()]
    )


def load(name: str) -> HiFiNetPatcher:
    """Return the checkpoint of that name; InstantID's files are converted when they are first used."""
    return load_hifi_net(_converted() if name == WARM_START else _path(name), name)


def _path(name: str) -> Path:
    if name == SHIPPED:
        if not _SHIPPED_FILE.is_file():
            raise FileNotFoundError(f"{_SHIPPED_FILE} is missing; reinstall the pack")
        return _SHIPPED_FILE
    if name == WARM_START:
        files = instantid_files()
        if files is None:
            raise FileNotFoundError(
                "InstantID's files are missing: put ip-adapter.bin into models/instantid and IdentityNet's "
                "diffusion_pytorch_model.safetensors into models/controlnet/instantid"
            )
        return files[0]
    found = _user_files().get(name)
    if found is None:
        folders = paths.model_folders()
        for folder in folders:
            file = (folder / name).resolve()
            if file.is_file() and file.is_relative_to(folder.resolve()):
                read_metadata(file)  # says why it is not offered
        raise FileNotFoundError(
            f"checkpoint '{name}' is in none of {', '.join(str(folder) for folder in folders)}; put it there"
        )
    return found


def _user_files() -> dict[str, Path]:
    """Return the HiFi-Net checkpoints in the user's folders by name; the first folder wins."""
    found: dict[str, Path] = {}
    for name, file in paths.files_of(paths.FOLDER, ".safetensors"):
        if file.name == WARM_START_FILE or name in found:
            continue
        # A link to nowhere is not there.
        if file.exists() and _is_checkpoint(str(file), file.stat().st_mtime_ns):
            found[name] = file
    return found


@lru_cache(maxsize=512)
def _is_checkpoint(path: str, _changed: int) -> bool:
    # Saved identities and other files share the folder; only the header is read.
    try:
        read_metadata(path)
    except (ValueError, OSError):
        return False
    return True


def instantid_files() -> tuple[Path, Path] | None:
    """Return IdentityNet's and the adapter's file where other packs keep them, or None.

    IdentityNet's published name says nothing, so its path has to name InstantID.
    """
    adapters = [
        path for name, path in paths.files_of("instantid", ".bin") if Path(name).name.startswith("ip-adapter")
    ]
    networks = [
        path
        for name, path in paths.files_of("instantid", ".safetensors")
        if not Path(name).name.startswith("ip-adapter")
    ]
    for name, path in paths.files_of("controlnet", ".safetensors"):
        if "instantid" in name.lower().replace("_", "").replace("-", ""):
            networks.append(path)
    return (networks[0], adapters[0]) if adapters and networks else None


def _converted() -> Path:
    from ..models.warm_start import convert_instantid

    _path(WARM_START)  # says what is missing
    files = instantid_files()
    assert files is not None
    target = paths.model_folders()[0] / WARM_START_FILE
    newest = max(file.stat().st_mtime_ns for file in files)
    if not target.is_file() or target.stat().st_mtime_ns < newest:
        target.parent.mkdir(parents=True, exist_ok=True)
        convert_instantid(*files, target)
    return target

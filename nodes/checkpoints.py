"""HiFi-Net checkpoints by the names that Load HiFi-Net shows."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ..boundary.files import inside, stamp
from ..boundary.licences import FileLicence
from ..boundary.text import echoed, printable
from ..models.checkpoint import CheckpointError, read_metadata
from ..patching.loading import DEFAULT_DTYPE, HiFiNetPatcher, load_hifi_net
from ..tiny.base_file import HIFI_NET_FILE
from . import paths

SHIPPED = "tiny (shipped)"
WARM_START = "InstantID (warm start)"
NONE_FOUND = "none found"
WARM_START_FILE = "instantid_warm_start.safetensors"


def names() -> list[str]:
    """Return what Load HiFi-Net offers."""
    found = [SHIPPED] if HIFI_NET_FILE.is_file() else []
    if instantid_files() is not None:
        found.append(WARM_START)
    found += sorted(_user_files())
    return found or [NONE_FOUND]


def problem(name: str) -> str | None:
    """Return what keeps a name from being loaded, in one line; None when nothing does."""
    if name == NONE_FOUND:
        return f"no HiFi-Net checkpoint in {printable(paths.model_folders()[0], 160)}; put one there"
    try:
        _path(name)
    except (OSError, ValueError) as error:
        return str(error)
    return None


def fingerprint(name: str) -> str:
    """Return a text that changes when the files behind a name change."""
    files = [_path(name)] if name != WARM_START else list(instantid_files() or ())
    return repr([stamp(file) for file in files if file.exists()])


def load(name: str, weight_dtype: str = DEFAULT_DTYPE) -> HiFiNetPatcher:
    """Return the checkpoint of that name; InstantID's files are converted when they are first used.

    Parameters
    ----------
    name
        One of `names`.
    weight_dtype
        One of `WEIGHT_DTYPES`.
    """
    return load_hifi_net(_converted() if name == WARM_START else _path(name), name, weight_dtype)


def licences(name: str) -> tuple[FileLicence, ...]:
    """Return what the files behind a name may be used for, without loading them."""
    if name == WARM_START:
        return (FileLicence.of("InstantID (IdentityNet, ip-adapter)", "Apache-2.0"),)
    return read_metadata(_path(name)).licences


def _path(name: str) -> Path:
    if name == SHIPPED:
        if not HIFI_NET_FILE.is_file():
            raise FileNotFoundError(f"{HIFI_NET_FILE} is missing; reinstall the pack")
        return HIFI_NET_FILE
    if name == WARM_START:
        return _instantid()[0]
    found = _user_files().get(name)
    if found is None:
        folders = paths.model_folders()
        for folder in folders:
            try:
                file = inside(folder, name)
            except ValueError as error:
                raise ValueError(f"checkpoint {echoed(name)} {error}") from None
            if file is not None and file.is_file():
                read_metadata(file)  # says why it is not offered
        places = printable(", ".join(map(str, folders)), 160)
        raise FileNotFoundError(f"checkpoint {echoed(name)} is in none of {places}; put it there")
    return found


def _user_files() -> dict[str, Path]:
    """Return the HiFi-Net checkpoints in the user's folders by name; the first folder wins."""
    found: dict[str, Path] = {}
    for name, file in paths.files_of(paths.FOLDER, ".safetensors"):
        if file.name == WARM_START_FILE or name in found:
            continue
        try:
            status = file.stat()
        except OSError:  # a link to nowhere, or removed meanwhile
            continue
        version = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        if _is_checkpoint(str(file), version):
            found[name] = file
    return found


@lru_cache(maxsize=512)
def _is_checkpoint(path: str, _version: tuple[int, ...]) -> bool:
    # Saved identities and other files share the folder; only the header is read.
    try:
        read_metadata(path)
    except CheckpointError:
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


def _instantid() -> tuple[Path, Path]:
    files = instantid_files()
    if files is None:
        raise FileNotFoundError(
            "InstantID's files are missing: put ip-adapter.bin into models/instantid and IdentityNet's "
            "diffusion_pytorch_model.safetensors into models/controlnet/instantid"
        )
    return files


def _converted() -> Path:
    from ..models.warm_start import convert_instantid

    files = _instantid()
    target = paths.model_folders()[0] / WARM_START_FILE
    newest = max(file.stat().st_mtime_ns for file in files)
    if not target.is_file() or target.stat().st_mtime_ns < newest:
        target.parent.mkdir(parents=True, exist_ok=True)
        convert_instantid(*files, target)
    return target

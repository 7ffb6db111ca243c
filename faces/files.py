"""The face model files: what they are, where they lie, and how they arrive.

At first use in a node, where the artist has chosen *automatic*, ``torch.hub`` downloads them from upstream,
each address pinned to a revision, with a progress bar. (Developers take them out of packages:
``cli/packages.py``.) Every file is checked against its SHA-256 and put in place atomically, and checked again
before a model is made of it: LiteRT ends the whole process on a file that was damaged in the wrong place.

Why ``torch.hub``: every ComfyUI has it, it takes any address, and a file gets its name only when its hash is
right. ``huggingface_hub`` resumes and has time limits, but takes addresses of the Hub only and checks no
hash of ours; these files' upstream projects publish them elsewhere.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..boundary.files import scratch_folder, stamp, written
from ..boundary.text import name as shown
from ..boundary.text import printable, reason

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all); what it raises ends the download."""

_LOOKS = 0.1
"""Seconds between two looks at how much of a download has arrived."""


@dataclass(frozen=True)
class ModelFile:
    """One model file of the open analyzer.

    Attributes
    ----------
    name : str
        File name in ``models/hifi_portrait``.
    role : str
        What it does, for messages.
    sha256 : str
        Of the file, wherever it comes from.
    size : int
        Bytes.
    licence : str
        SPDX id of the weights' licence.
    url : str
        Where the upstream project has it, in one revision for good.
    directory : str
        Of ComfyUI's models folder, where it belongs.
    """

    name: str
    role: str
    sha256: str
    size: int
    licence: str
    url: str
    directory: str = "hifi_portrait"


_ZOO = "https://github.com/opencv/opencv_zoo/raw/966be4cb6eefc2a4f586ed0581bf4bbaa2533070/models"
_MEDIAPIPE = "https://storage.googleapis.com/mediapipe-assets"

DETECTOR = ModelFile(
    "face_detection_yunet_2023mar_int8bq.onnx",
    "face detector (YuNet)",
    "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    122489,
    "MIT",
    f"{_ZOO}/face_detection_yunet/face_detection_yunet_2023mar_int8bq.onnx",
)
RECOGNIZER = ModelFile(
    "face_recognition_sface_2021dec_int8bq.onnx",
    "face recognizer (SFace)",
    "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
    10667852,
    "Apache-2.0",
    f"{_ZOO}/face_recognition_sface/face_recognition_sface_2021dec_int8bq.onnx",
)
FACE_MESH = ModelFile(
    "face_landmark.tflite",
    "face landmarks (MediaPipe Face Mesh)",
    "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    1242398,
    "Apache-2.0",
    f"{_MEDIAPIPE}/face_landmark.tflite?generation=1676316347980492",
)
PERSON_MASK = ModelFile(
    "selfie_segmentation.tflite",
    "person mask (MediaPipe Selfie Segmentation)",
    "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    249505,
    "Apache-2.0",
    f"{_MEDIAPIPE}/selfie_segmentation.tflite?generation=1683332563830600",
)
MODEL_FILES = (DETECTOR, RECOGNIZER, FACE_MESH, PERSON_MASK)


class MissingModelFileError(FileNotFoundError):
    """Model files that are needed and not there; the message says how to get them."""


class WrongModelFileError(ValueError):
    """A model file that is not the pinned one; one line that names it and says how to get the right one."""


def user_folder() -> Path:
    """Return the user's own data folder for model files, whichever ComfyUI uses them."""
    try:
        from platformdirs import user_data_path
    except ImportError:
        return Path.home() / ".hifi-portrait" / "models"
    return user_data_path("hifi-portrait", appauthor=False) / "models"


def locate(files: Iterable[ModelFile], folders: Sequence[Path]) -> dict[ModelFile, Path]:
    """Find model files in the given folders; those that are nowhere are left out."""
    found: dict[ModelFile, Path] = {}
    for file in files:
        for folder in folders:
            if (folder / file.name).is_file():
                found[file] = folder / file.name
                break
    return found


def require(files: Sequence[ModelFile], folders: Sequence[Path]) -> dict[ModelFile, Path]:
    """Find model files, all of them, and check that they are the pinned ones.

    Raises
    ------
    MissingModelFileError
        Some are missing: the message lists file, size, licence, source, folders searched, and the command.
    WrongModelFileError
        One is damaged, or another version.
    """
    found = locate(files, folders)
    missing = [file for file in files if file not in found]
    if missing:
        raise MissingModelFileError(missing_message(missing, folders))
    for file, path in found.items():
        check(path, file)
    return found


def check(path: Path, file: ModelFile) -> None:
    """Raise WrongModelFileError where a file on disk is not exactly the pinned one."""
    if not is_pinned(path, file):
        raise WrongModelFileError(
            f"{file.name} in {printable(path.parent, 120)} is damaged or not the pinned version; "
            "delete it and set missing_files to automatic in Load Face Analyzer"
        )


def read_pinned(path: Path) -> bytes:
    """Read the pinned model file of that name.

    Raises
    ------
    WrongModelFileError
        The file is not the pinned one, or none of that name is pinned.
    OSError
        The file cannot be read.
    """
    file = next((file for file in MODEL_FILES if file.name == path.name), None)
    if file is None:
        raise WrongModelFileError(f"{shown(path.name)} is none of the model files that this pack knows")
    data = path.read_bytes() if path.stat().st_size == file.size else b""
    if hashlib.sha256(data).hexdigest() != file.sha256:
        check(path, file)
    return data


_pinned: dict[tuple[object, ...], bool] = {}


def is_pinned(path: Path, file: ModelFile) -> bool:
    """`verify`, once for each version of a file on disk."""
    try:
        key = (*stamp(path), file.sha256)
    except OSError:
        return False
    if key not in _pinned:
        _pinned[key] = verify(path, file)
    return _pinned[key]


def missing_message(files: Sequence[ModelFile], folders: Sequence[Path]) -> str:
    """Say which files are missing, where they were looked for, and every way to get them."""
    target = folders[0] if folders else Path("models/hifi_portrait")
    listed = "; ".join(f"{f.name} ({f.role}, {_megabytes(f.size)}, {f.licence}, {f.url})" for f in files)
    looked = ", ".join(str(folder) for folder in folders) or "no folder is registered"
    return (
        f"missing face model file{'s' if len(files) > 1 else ''}: {listed}. Looked in: {looked}. "
        f"Set missing_files to automatic in Load Face Analyzer, or put the files into {target} yourself"
    )


def verify(path: Path, file: ModelFile) -> bool:
    """Whether a file on disk is exactly the pinned one."""
    return path.is_file() and path.stat().st_size == file.size and sha256_of(path) == file.sha256


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def fetch(
    files: Sequence[ModelFile],
    folder: Path,
    progress: Progress | None = None,
    timeout: float = 60.0,
) -> list[Path]:
    """Download model files from their upstream projects; files already right are left alone.

    Parameters
    ----------
    timeout : float
        Seconds without a byte after which a download is given up.

    Raises
    ------
    MissingModelFileError
        The project cannot be reached or serves another file: which, why, and the other ways to get it.
    SaveError
        The file cannot be written.
    """
    wanted = [file for file in files if not verify(folder / file.name, file)]
    total, before = sum(file.size for file in wanted), 0
    for file in wanted:
        try:
            with written(folder / file.name) as part, scratch_folder(folder) as scratch:
                _download(file, scratch, _later(progress, before, total), timeout)
                shutil.move(scratch / file.name, part)
        except _DownloadError as error:
            raise MissingModelFileError(
                f"cannot download {file.name}: {error}. " + missing_message([file], [folder])
            ) from None
        before += file.size
    return [folder / file.name for file in files]


class _DownloadError(Exception):
    """Half a line; no OSError, which would tell of the disk."""


def _later(progress: Progress | None, before: int, total: int) -> Callable[[int], None]:
    """Return what tells of one file's bytes as part of all."""
    return lambda size: None if progress is None else progress(before + size, total)


def _download(file: ModelFile, folder: Path, arrived: Callable[[int], None], timeout: float) -> None:
    """Download into an empty folder with ``torch.hub``, which checks the SHA-256.

    ``torch.hub`` knows neither progress nor a time limit, so that it works in a thread, and the folder's
    size tells how far it is.
    """
    import torch.hub

    target = folder / file.name
    errors: list[Exception] = []

    def work() -> None:
        try:
            torch.hub.download_url_to_file(file.url, str(target), file.sha256, progress=False)
        except Exception as error:  # whatever the network and its library raise
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    size, moved = 0, time.monotonic()
    while thread.is_alive():
        thread.join(_LOOKS)
        now = _size(folder)
        if now > size:
            size, moved = now, time.monotonic()
            arrived(min(size, file.size))
        if size > file.size:
            raise _DownloadError("it is not the pinned file (it is longer)")
        if time.monotonic() - moved > timeout:
            raise _DownloadError(f"nothing came for {timeout:g} s")
    if errors:
        if isinstance(errors[0], RuntimeError) and "hash" in str(errors[0]):
            raise _DownloadError("it is not the pinned file (its SHA-256 differs)")
        raise _DownloadError(reason(errors[0]))
    arrived(file.size)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # renamed meanwhile
            continue
    return total


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"

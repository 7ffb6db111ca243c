"""Files that lie inside published packages: photos for tests and the demo, front ends."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from . import DEV


@dataclass(frozen=True)
class PackageFile:
    """One file inside one release of a package, and what it must hash to."""

    package: str
    member: str
    sha256: str
    source: bool = False
    """Take the source distribution rather than the wheel."""

    @property
    def name(self) -> str:
        """Return the file's own name."""
        return Path(self.member).name


_TEST_IMAGES = "face_recognition-1.3.0/tests/test_images"
PHOTOS = {
    Path(item.member).stem: item
    for item in [
        PackageFile("face_recognition==1.3.0", f"{_TEST_IMAGES}/{name}.jpg", sha256, source=True)
        for name, sha256 in {
            "obama": "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6",
            "obama2": "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6",
            "obama3": "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3",
            "obama_partial_face": "c2d1f09e7ef3042352b41e41286e6eb0522f64f88308be13886991b95db52117",
            "obama_partial_face2": "9a812347f97633542b8cd9992de22def11b74f79d82056bc3ee830f13878e028",
            "biden": "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c",
        }.items()
    ]
    + [
        PackageFile(
            "insightface==2.1",
            "insightface/data/images/t1.jpg",
            "47f682e945b659f93a9e490b9c9c4a2a864abe64dace9e1a2893845ddfd69489",
        )
    ]
}
"""One person five times (``obama*``), another (``biden``), and six people in one picture (``t1``)."""


def photos(folder: Path = DEV / "photos") -> dict[str, Path]:
    """Return the photos by name, fetched into ``folder`` where they are missing."""
    missing = [item for item in PHOTOS.values() if not (folder / item.name).is_file()]
    for package in sorted({item.package for item in missing}):
        fetch([item for item in missing if item.package == package], folder)
    return {name: folder / item.name for name, item in PHOTOS.items()}


def fetch(items: list[PackageFile], folder: Path) -> None:
    """Take files of one release out of its archive, check them, and put them into ``folder``.

    Raises
    ------
    OSError
        The release cannot be downloaded, or a file is not the one that was pinned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        kind = ["--no-binary", ":all:", "--no-build-isolation"] if items[0].source else []
        archive = _download(items[0].package, Path(scratch), *kind)
        for item in items:
            data = _read(archive, item.member)
            if hashlib.sha256(data).hexdigest() != item.sha256:
                raise OSError(f"{item.member} of {item.package} is not the file that was pinned")
            temporary = folder / f"{item.name}.tmp"
            temporary.write_bytes(data)
            temporary.replace(folder / item.name)


def front_end(version: str, folder: Path = DEV / "front_ends") -> Path:
    """Return the web root of one version of ComfyUI's front end, fetched into ``folder`` where it is missing.

    Raises
    ------
    OSError
        The package index has no such version.
    """
    target = folder / version
    if not target.is_dir():
        with tempfile.TemporaryDirectory() as scratch:
            archive = _download(f"comfyui-frontend-package=={version}", Path(scratch))
            unfinished = target.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(unfinished)
            unfinished.rename(target)
    return target / "comfyui_frontend_package" / "static"


def _download(package: str, folder: Path, *options: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *options, "-d", str(folder)]
    done = subprocess.run([*command, package], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"cannot download {package}: {done.stderr.strip().splitlines()[-1]}")
    return next(folder.iterdir())


def _read(archive: Path, member: str) -> bytes:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            return opened.read(member)
    with tarfile.open(archive) as opened:
        file = opened.extractfile(member)
        if file is None:
            raise OSError(f"{archive.name} holds no file {member}")
        return file.read()

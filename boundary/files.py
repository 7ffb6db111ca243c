"""Files: what tells one version from another, and writing so that a crash leaves the old one or the new."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from .text import name as shown
from .text import reason

LONGEST_NAME = 255
"""Bytes of a file's name that every common file system takes."""
_LONGEST_PATH = 4000
SHARED = 0o644
PRIVATE = 0o600
"""Modes of files: everybody reads models, only their owner reads biometric data (POSIX; on Windows the folder
decides)."""

_ENDS = 1 << 18
_PART = re.compile(r"\.hifi-portrait-(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}\.part")
_FORMER_PART = re.compile(r"tmp[a-z0-9_]{8}\.part|.+\.(onnx|tflite)\.[a-z0-9_]{8}\.tmp")
"""What versions before this one left behind."""
_DAY = 24 * 3600
_HOST = hashlib.blake2b(platform.node().encode(errors="replace"), digest_size=4).hexdigest()
_open_parts: set[str] = set()

_REASONS = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "your quota is used up; make room",
    errno.EACCES: "it may not be written; change the folder's permissions or choose another folder",
    errno.EPERM: "it may not be written; change the folder's permissions or choose another folder",
    errno.EROFS: "the disk can only be read; choose another folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOTDIR: "a part of its path is a file, not a folder; remove that file or choose another folder",
    errno.EEXIST: "its folder is a file or a link to nowhere; remove that or choose another folder",
    errno.EISDIR: "a folder of that name is in the way; remove it or choose another name",
    errno.ELOOP: "its path is a link that leads to itself; remove the link",
}


class SaveError(ValueError):
    """A file that cannot be written; one line that names it and the remedy."""


def stamp(path: Path) -> tuple[object, ...]:
    """Return what tells this version of a file from any other, without reading all of it.

    Size and times, the file's number on its disk, and a hash of its first and last 256 kB: a file that was
    replaced by one of equal size and time is another one.

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    """
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        digest = hashlib.blake2b(file.read(_ENDS), digest_size=8)
        if found.st_size > _ENDS:
            file.seek(max(_ENDS, found.st_size - _ENDS))
            digest.update(file.read(_ENDS))
    # On Windows ctime is when the file was made; elsewhere when anything of it changed.
    return (
        str(path),
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_ino,
        digest.hexdigest(),
    )


def inside(folder: Path, text: str) -> Path | None:
    """Return what a relative path out of a workflow names inside a folder; None where it leaves the folder.

    Lexical: links inside the folder are the user's own and are followed.

    Parameters
    ----------
    text : str
        Relative path, with slashes of either kind.

    Raises
    ------
    ValueError
        No file can have that name: it holds a NUL or a lone surrogate, or is too long. Half a line.
    """
    root = os.path.abspath(folder)  # noqa: PTH100 - lexical: links stay links
    path = os.path.normpath(os.path.join(root, text.strip().strip('"').replace("\\", "/")))  # noqa: PTH118
    try:
        raw = os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError("holds a character that no file name has") from None
    if b"\0" in raw:
        raise ValueError("holds a character that no file name has")
    if max(map(len, raw.split(os.fsencode(os.sep)))) > LONGEST_NAME or len(raw) > _LONGEST_PATH:
        raise ValueError("is longer than a file name can be")
    return Path(path) if path == root or path.startswith(root.rstrip(os.sep) + os.sep) else None


@contextlib.contextmanager
def written(path: Path, mode: int = SHARED) -> Iterator[Path]:
    """Write a file under another name beside it, and rename it when it is complete.

    ``with written(path) as part: save(part)``: after an error or a crash the old file is still there, and
    `remove_debris` takes what a crash left.

    Parameters
    ----------
    path : Path
        The file; its folder is made when missing.
    mode : int
        `SHARED` or `PRIVATE`.

    Raises
    ------
    SaveError
        In place of an OSError, or of an error of the safetensors library that tells of one.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In a folder of its own: safetensors writes to a file of another name first, which a crash leaves.
        with scratch_folder(path.parent) as folder:
            part = folder / path.name
            # Made with its mode, so that nobody else reads it while it is being written.
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
            yield part
            part.chmod(mode)
            part.replace(path)
    except OSError as error:
        raise _cannot_save(path, error) from None
    except Exception as error:
        if "os error" in str(error):  # safetensors wraps the system's error into its own
            raise _cannot_save(path, error) from None
        raise


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Give a folder for files on the way, which is removed afterwards, by `remove_debris` after a crash."""
    part = parent / f".hifi-portrait-{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.part"
    _open_parts.add(part.name)
    try:
        part.mkdir(parents=True)
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        _open_parts.discard(part.name)


def remove_debris(folder: Path) -> list[str]:
    """Remove what processes that were killed while writing left in a folder.

    Files of processes that run are left alone; those of another machine, on a shared disk, for a day.

    Returns
    -------
    list of str
        Names of what was removed. Never raises: what cannot be removed stays.
    """
    removed = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if _is_debris(entry.name, entry.stat(follow_symlinks=False).st_mtime):
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path, ignore_errors=True)
                    else:
                        Path(entry.path).unlink()
                    removed.append(entry.name)
    return removed


def _is_debris(name: str, changed: float) -> bool:
    match = _PART.fullmatch(name)
    if match is None:
        return _FORMER_PART.fullmatch(name) is not None and time.time() - changed > _DAY
    if match["host"] != _HOST:
        return time.time() - changed > _DAY
    if int(match["pid"]) == os.getpid():
        # In a container every start may get the same number.
        return name not in _open_parts
    return not _runs_since(int(match["pid"]), changed)


def _runs_since(pid: int, changed: float) -> bool:
    """Whether the process that wrote a file then still runs."""
    try:
        import psutil
    except ImportError:  # outside of ComfyUI, which brings it
        return time.time() - changed < _DAY
    try:
        # Another process may have got the number since.
        return bool(psutil.Process(pid).create_time() <= changed + 1.0)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _cannot_save(path: Path, error: Exception) -> SaveError:
    number = getattr(error, "errno", None)
    if number is None:  # "... (os error 28)"
        match = re.search(r"os error (\d+)", str(error))
        number = int(match[1]) if match else None
    why = _REASONS.get(number or 0, getattr(error, "strerror", None) or reason(error))
    return SaveError(f"cannot save {shown(path.name)} in {shown(path.parent)}: {why}")

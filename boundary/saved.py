"""What artists keep as files of their own, one safetensors file each: names, places, and reading them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from . import text
from .contents import Expected, read_expected
from .files import LONGEST_NAME
from .tensors import BadTensorFileError, read_header

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"
_NAME = re.compile(r"[\w][\w .()\-]{0,99}", re.UNICODE)
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
Made = TypeVar("Made")


def check_name(name: str, what: str) -> str:
    """Return a name without blanks around and without ``.safetensors``.

    Parameters
    ----------
    what : str
        What it is to name, for the message: "an identity".

    Raises
    ------
    ValueError
        It is empty, too long, not allowed on some systems, or would leave the folder.
    """
    clean = name.strip().removesuffix(SUFFIX).strip()
    if not _NAME.fullmatch(clean) or clean.endswith(".") or _RESERVED.fullmatch(clean):
        raise ValueError(
            f"{text.echoed(name)} cannot name {what}; use up to 100 letters, digits, blanks, - _ ( ) and ."
        )
    if len(f"{clean}{SUFFIX}".encode()) > LONGEST_NAME:
        raise ValueError(
            f"{text.echoed(name)} cannot name {what}: it has {len(clean.encode())} bytes, a file's name "
            f"at most {LONGEST_NAME - len(SUFFIX)}; use up to 100 letters of Latin, 80 of other scripts"
        )
    return clean


def path_of(folder: str | Path, name: str, what: str, overwrite: bool = True) -> Path:
    """Return the file of a name; never outside of ``folder``.

    Parameters
    ----------
    name, what : str
        See `check_name`.
    overwrite : bool
        False: where there is such a file already, the name gets a number.

    Raises
    ------
    ValueError
        See `check_name`.
    """
    path = Path(folder) / f"{check_name(name, what)}{SUFFIX}"
    number = 2
    while not overwrite and path.exists():
        path = path_of(folder, f"{check_name(name, what)} {number}", what)
        number += 1
    return path


def names_in(folder: str | Path) -> list[str]:
    """Return the names of the files in a folder, sorted; what has another ending is left out."""
    folder = Path(folder)
    return (
        sorted((path.stem for path in folder.glob(f"*{SUFFIX}") if path.is_file()), key=str.casefold)
        if folder.is_dir()
        else []
    )


@dataclass(frozen=True)
class SavedKind:
    """One kind of file that artists keep.

    Attributes
    ----------
    word : str
        What messages call it: "identity".
    node : str
        Title of the node that saves it.
    format, version : str, int
        What the file's metadata have to say.
    tensors, lengths : mapping
        See `boundary.contents.read_expected`.
    """

    word: str
    node: str
    format: str
    version: int
    tensors: Mapping[str, Expected]
    lengths: Mapping[str, tuple[int, int]]

    def stamp(self) -> dict[str, str]:
        """Return the metadata that tell this kind of file from others."""
        return {"format": self.format, "format_version": str(self.version)}

    def read(self, path: str | Path, make: Callable[[Mapping[str, str], dict[str, Tensor]], Made]) -> Made:
        """Read a file.

        Parameters
        ----------
        path : str or Path
            The file.
        make : callable
            Makes the result of the metadata and the checked tensors; may raise `BadTensorFileError`.

        Raises
        ------
        ValueError
            The file is missing, damaged, or of another kind; one line names it and the remedy.
        """
        path = Path(path)
        shown = text.name(path.name)
        if not path.is_file():
            raise ValueError(
                f"{shown}: there is no such {self.word} (looked for {text.printable(path, 160)})"
            )
        try:
            texts = read_header(path).metadata
            if texts.get("format") != self.format:
                raise ValueError(f"{shown}: not a saved {self.word}; save one with {self.node}")
            if texts.get("format_version") != str(self.version):
                raise ValueError(
                    f"{shown}: saved in format {text.echoed(texts.get('format_version'))}, this version "
                    f"reads {self.version}; update the pack, or save the {self.word} again"
                )
            header, tensors = read_expected(path, self.tensors, self.lengths)
            return make(header.metadata, tensors)
        except BadTensorFileError as error:
            raise ValueError(f"{shown}: damaged ({error}); save the {self.word} again") from None

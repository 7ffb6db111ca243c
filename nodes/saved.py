"""What the nodes that save and load heads and identities have in common: names, folders and refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..boundary.saved import SUFFIX, check_name, names_in
from ..boundary.text import echoed, printable
from . import paths
from .kept import Kept, version

_NONE_SAVED = "none saved"


@dataclass(frozen=True)
class SavedFiles:
    """The files of one kind, in a folder of their own below every folder of models.

    Attributes
    ----------
    word, what : str
        What messages call one of them: "head", "a head".
    node : str
        Title of the node that saves them.
    folder : str
        Below a folder of models.
    kept : Kept
        What the saving node wrote.
    """

    word: str
    what: str
    node: str
    folder: str
    kept: Kept = field(default_factory=Kept)

    def folders(self) -> list[Path]:
        """Return the folders, the preferred one first."""
        return [folder / self.folder for folder in paths.model_folders()]

    def found(self) -> dict[str, Path]:
        """Return the saved files by name; the first folder wins."""
        found: dict[str, Path] = {}
        for folder in self.folders():
            for name in names_in(folder):
                found.setdefault(name, folder / f"{name}{SUFFIX}")
        return found

    def options(self) -> list[str]:
        """Return the names to choose from; one that says so where there are none."""
        return sorted(self.found(), key=str.casefold) or [_NONE_SAVED]

    def check_new(self, name: str | None) -> bool | str:
        """Refuse a name that nothing can be saved under; the host gives None for a linked input."""
        if name is None:
            return True
        try:
            check_name(name, self.what)
        except ValueError as error:
            return str(error)
        return True

    def problem(self, name: str | None) -> bool | str:
        """Say what is missing before anything runs; the host gives None for a linked input."""
        if name is None or name in self.found():
            return True
        if name == _NONE_SAVED:
            return f"no {self.word} in {printable(self.folders()[0], 120)}; save one with {self.node}"
        return self._missing(name)

    def fingerprint(self, name: str) -> str:
        """Return another text when the file of a name changed."""
        path = self.found().get(name)
        return "" if path is None else repr(version(path))

    def path(self, name: str) -> Path:
        """Return the file of a name.

        Raises
        ------
        ValueError
            There is none.
        """
        path = self.found().get(name)
        if path is None:
            raise ValueError(self._missing(name))
        return path

    def _missing(self, name: str) -> str:
        place = printable(self.folders()[0], 120)
        return (
            f"there is no {self.word} {echoed(name)} in {place}; save it with {self.node}, or choose another"
        )


HEADS = SavedFiles("head", "a head", "Save Head", "heads")
IDENTITIES = SavedFiles("identity", "an identity", "Save Identity", "identities")

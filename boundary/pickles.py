"""The one reader of PyTorch's pickled weights: plain tensors, checked before anything is unpickled."""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .text import name, reason

if TYPE_CHECKING:
    from torch import Tensor

SAFE_TORCH = (2, 6)
"""PyTorch's restricted unpickler could be made to run code before this version (CVE-2025-32434)."""
_LONGEST_PICKLE = 4 << 20
_PICKLES_BEFORE = 5
"""Magic number, protocol, system, weights, and the order of the numbers that follow."""
_ALLOWED = frozenset(
    {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"}
    | {f"torch {kind}Storage" for kind in ("Half", "Float", "BFloat16", "Double")}
)
"""What plain floating-point weights name; everything else is refused before it is looked up."""


class BadPickleError(ValueError):
    """A file that holds more, or less, than plain weights; half a line, without the file's name."""


def read_weights(path: str | Path, parts: tuple[str, ...]) -> tuple[dict[str, Tensor], ...]:
    """Read named dictionaries of floating-point tensors out of a file that ``torch.save`` wrote.

    Parameters
    ----------
    path : str or Path
        The file: a ZIP archive, as PyTorch has written since 1.6, or several pickles and the numbers after
        them, as it did before.
    parts : tuple of str
        Keys of the outer dictionary.

    Returns
    -------
    tuple of dict
        The tensors of each part by name, mapped to the file.

    Raises
    ------
    BadPickleError
        PyTorch is older than `SAFE_TORCH`; the file is damaged, compressed, names anything but tensors,
        or a part is missing; a tensor is not real, has no data of its own, or names are not texts.
        Nothing else is ever raised.
    """
    import torch

    if torch.__version__ < SAFE_TORCH:  # type: ignore[operator]  # it compares with tuples
        raise BadPickleError(
            f"PyTorch {name(torch.__version__)} cannot read pickled weights safely; "
            "update PyTorch to 2.6 or newer"
        )
    path = Path(path)
    try:
        size = path.stat().st_size
        archive = zipfile.is_zipfile(path)
        named = _named_in_archive(path, size) if archive else _named_before(path)
    except BadPickleError:
        raise
    except Exception as error:  # whatever zipfile and pickletools raise: the file is somebody else's
        raise BadPickleError(f"damaged, or more than plain weights ({reason(error)})") from None
    if named is not None:
        raise BadPickleError(f"damaged, or more than plain weights (it names {name(named)})")
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except Exception as error:  # whatever PyTorch raises: the file is somebody else's
        raise BadPickleError(f"damaged, or more than plain weights ({reason(error)})") from None
    found = tuple(_part(state, part) for part in parts)
    used = sum(tensor.numel() * tensor.element_size() for part in found for tensor in part.values())
    if used > size:
        raise BadPickleError("its tensors share their data")
    return found


def _named_in_archive(path: Path, size: int) -> str | None:
    """Check the archive's directory; return what its pickle names beside tensors."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise BadPickleError("it is compressed; PyTorch writes plain archives")
        if sum(member.file_size for member in members) > size:
            raise BadPickleError("it says that it holds more than it has")
        pickles = [member for member in members if member.filename.endswith("/data.pkl")]
        if len(pickles) != 1 or pickles[0].file_size > _LONGEST_PICKLE:
            raise BadPickleError("it has no pickle of weights")
        return _named(io.BytesIO(archive.read(pickles[0])))


def _named_before(path: Path) -> str | None:
    """Return what the pickles of a file from before the archives name beside tensors."""
    with path.open("rb") as file:
        for _ in range(_PICKLES_BEFORE):
            named = _named(file)
            if named is not None:
                return named
    return None


def _named(pickle: IO[bytes]) -> str | None:
    """Return the first thing that a pickle names and that is no tensor."""
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name == "GLOBAL" and argument not in _ALLOWED:
            return str(argument)
        # Names put together while unpickling, extensions and buffers are never in weights.
        if opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4", "PERSID", "NEXT_BUFFER"):
            return opcode.name
    return None


def _part(state: Any, part: str) -> dict[str, Tensor]:
    import torch

    weights = state.get(part) if isinstance(state, dict) else None
    if not isinstance(weights, dict):
        raise BadPickleError(f"has no {part}")
    for key, tensor in weights.items():
        if not isinstance(key, str) or key != name(key):
            raise BadPickleError(f"{part} has a weight named {name(repr(key))}")
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
            raise BadPickleError(f"{part} holds something else than real numbers as {key}")
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or not tensor.is_contiguous():
            raise BadPickleError(f"{part} holds {key} without data of its own")
    return {key: tensor.detach() for key, tensor in weights.items()}

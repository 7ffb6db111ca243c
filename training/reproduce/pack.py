"""A chain's folder in a few megabytes, to go on elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...boundary.files import written
from ..checkpoints import CHECKPOINT, MOMENTS
from .work import BEGUN, DONE, Stage

LARGEST_PACK = 60 * 1024 * 1024


def pack(stages: list[Stage], folder: Path, out: Path, largest: int = LARGEST_PACK) -> int:
    """Copy what another machine needs to go on; returns bytes.

    Rendered people are left out: they are made again, the same to the bit. Of finished stages that others
    still need the results go along, of runs the EMA weights in half precision. Of the run at work go weights
    in full, and averages and moments in bfloat16: going on in place is exact to the bit, going on elsewhere
    up to this rounding.

    Raises
    ------
    ValueError
        It would be larger than ``largest`` bytes.
    """
    if out.exists():
        shutil.rmtree(out)
    needed = _needed(stages, folder)
    for stage in stages:
        place, target = folder / stage.name, out / stage.name
        if stage.kind == "people" or not (place / BEGUN).is_file():
            continue
        target.mkdir(parents=True)
        finished = (place / DONE).is_file()
        for file in sorted(f for f in place.iterdir() if f.is_file()):
            wanted = stage.name in needed if finished else file.name == CHECKPOINT
            if file.suffix == ".safetensors" and not wanted:
                continue
            if file.name == CHECKPOINT:
                _pack_checkpoint(file, target / file.name, finished)
            else:
                shutil.copyfile(file, target / file.name)
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    if size > largest:
        raise ValueError(f"{out}: {size / 2**20:.0f} MB, above {largest / 2**20:.0f}; finish a stage first")
    return size


def _needed(stages: list[Stage], folder: Path) -> set[str]:
    """Return the finished stages whose results are still read."""
    needed: set[str] = set()
    for stage in stages:
        if not (folder / stage.name / DONE).is_file():
            begun = (folder / stage.name / CHECKPOINT).is_file()
            needed |= {n for n in stage.needs if not (begun and n == stage.settings.get("start"))}
    return needed


def _pack_checkpoint(source: Path, target: Path, finished: bool) -> None:
    with safe_open(source, "pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(source)
    kept: dict[str, Tensor] = {}
    for name, value in tensors.items():
        part, _, rest = name.partition("/")
        if part == "ema":
            # Half precision holds what differs from the weights far better than the weights themselves.
            kept[name] = (value - tensors[f"weight/{rest}"]).bfloat16() if not finished else value.half()
        elif part in MOMENTS and not finished:
            kept[name] = value if value.ndim == 0 else value.bfloat16()
        elif part == "codec" or (part == "weight" and not finished):
            kept[name] = value
    save_file({k: v.contiguous() for k, v in kept.items()}, target, {**metadata, "packed": "1"})


def unpack(packed: Path, folder: Path) -> None:
    """Put what `pack` wrote into a chain's folder; what is there already stays."""
    for place in sorted(p for p in packed.iterdir() if p.is_dir()):
        target = folder / place.name
        if (target / DONE).is_file():
            continue
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(place.iterdir()):
            if file.name != CHECKPOINT:
                shutil.copyfile(file, target / file.name)
                continue
            with safe_open(file, "pt") as opened:
                metadata = opened.metadata()
            found = {k: v.float() for k, v in load_file(file).items()}
            for name in [k for k in found if k.startswith("ema/")]:
                weight = found.get(f"weight/{name[4:]}")
                found[name] = found[name] if weight is None else found[name] + weight
            with written(target / file.name) as part:
                save_file(found, part, {k: v for k, v in metadata.items() if k != "packed"})

"""Convert published weights to a HiFi-Portrait checkpoint.

``hifi-portrait convert instantid --controlnet FILE --adapter FILE --out FILE``
"""

from __future__ import annotations

import argparse
from pathlib import Path

_TYPES = ("float16", "bfloat16", "float32")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    sources = parser.add_subparsers(dest="source", required=True)
    instantid = sources.add_parser("instantid", help="InstantID's IdentityNet and adapter, for SDXL")
    instantid.add_argument(
        "--controlnet",
        type=Path,
        required=True,
        help="ControlNetModel/diffusion_pytorch_model.safetensors of InstantID",
    )
    instantid.add_argument("--adapter", type=Path, required=True, help="ip-adapter.bin of InstantID")
    instantid.add_argument("--out", type=Path, required=True, help="the checkpoint to write, .safetensors")
    instantid.add_argument("--dtype", choices=_TYPES, default="float16", help="number format in the file")
    instantid.add_argument(
        "--extra-layers",
        action="store_true",
        help="also write fusion and detail layers, untrained: a start for training",
    )
    instantid.add_argument("--seed", type=int, default=0, help="seed of the extra layers")


def run(args: argparse.Namespace) -> int:
    """Convert and say what was written."""
    import torch

    from ..models.warm_start import convert_instantid

    if args.out.suffix != ".safetensors":
        raise ValueError(f"--out {args.out}: the name must end in .safetensors")
    config = convert_instantid(
        args.controlnet,
        args.adapter,
        args.out,
        dtype=getattr(torch, args.dtype),
        extra_layers=args.extra_layers,
        seed=args.seed,
    )
    size = args.out.stat().st_size / 1e6
    print(
        f"{args.out}: {size:.0f} MB, {args.dtype}, {len(config.identity_layers())} attention layers, "
        f"recognizer {config.recognizer}, landmark style {config.landmark_style}"
    )
    return 0

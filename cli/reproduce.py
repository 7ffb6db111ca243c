"""Make a trained model from nothing: a named chain of stages, each skipped when nothing changed."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("chain", help="name of a chain of training/reproduce/chains, or a JSON file")
    parser.add_argument("folder", type=Path, help="folder of everything; a begun chain goes on there")
    parser.add_argument("--face-models", type=Path, required=True, help="folder of the face model files")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so many minutes")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to train")
    parser.add_argument("--from-pack", type=Path, metavar="PACK", help="first take over what --pack wrote")
    parser.add_argument("--pack", type=Path, help="afterwards write what another machine needs to go on")


def run(args: argparse.Namespace) -> int:
    """Do what is left."""
    import torch

    from ..training.reproduce.chain import read_chain, reproduce
    from ..training.reproduce.pack import pack, unpack

    torch.set_num_threads(1)
    if args.from_pack:
        unpack(args.from_pack, args.folder)
    done = reproduce(args.chain, args.folder, args.face_models, args.minutes, args.device)
    if args.pack:
        print(f"{args.pack}: {pack(read_chain(args.chain), args.folder, args.pack) / 2**20:.1f} MB")
    print("all stages are done" if done else "not finished: run it again to go on")
    return 0

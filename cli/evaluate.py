"""Measure the tiny model on synthetic people that it never saw."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("data", type=Path, help="prepared data set of unseen people")
    parser.add_argument(
        "--train", type=Path, required=True, help="training data: the recognizers' population mean"
    )
    parser.add_argument("--face-models", type=Path, required=True, help="folder of the face model files")
    parser.add_argument(
        "--second", type=Path, help="second evaluation recognizer (tools/train_network.py, on other people)"
    )
    parser.add_argument("--model", type=Path, help="folder of the two model files (default: assets/tiny)")
    parser.add_argument("--people", type=int, help="how many people (default: all)")
    parser.add_argument("--steps", type=int, default=8, help="sampling steps (default: %(default)s)")
    parser.add_argument("--cfg", type=float, default=2.5, help="guidance (default: %(default)s)")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of the first 12 people")


def run(args: argparse.Namespace) -> int:
    """Evaluate."""
    import torch

    torch.set_num_threads(1)
    from ..training.evaluation.figures import measure

    figures = measure(
        args.data,
        args.train,
        args.face_models,
        args.second,
        args.model,
        args.people,
        args.steps,
        args.cfg,
        args.sheet,
    )
    print(json.dumps(figures, indent=2, sort_keys=True))
    return 0

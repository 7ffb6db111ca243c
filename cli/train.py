"""Train the tiny model on synthetic people; resumes where it was stopped."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("data", type=Path, help="folder written by 'hifi-portrait synthesize'")
    parser.add_argument("folder", type=Path, help="folder for checkpoints, log and sample sheets")
    parser.add_argument(
        "--recipe", default="tiny-joint", help="recipe: a JSON file or a name (default: %(default)s)"
    )
    parser.add_argument("--held-out", type=Path, help="another data set, for the sample sheets")
    parser.add_argument(
        "--minutes", type=float, help="stop after so many minutes (default: at the recipe's end)"
    )
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: %(default)s)")
    parser.add_argument(
        "--prepare", type=Path, metavar="SFACE", help="first prepare the data with SFace's ONNX file"
    )
    parser.add_argument(
        "--processes", type=int, default=1, help="processes for --prepare (default: %(default)s)"
    )
    parser.add_argument(
        "--recognizer", type=Path, metavar="SFACE", help="SFace's ONNX file, for the identity loss"
    )
    parser.add_argument(
        "--regressor", type=Path, help="landmark regressor for the landmark loss (safetensors)"
    )
    parser.add_argument(
        "--start-from", type=Path, metavar="RUN", help="start with the EMA weights of another run"
    )
    parser.add_argument(
        "--export", type=Path, metavar="FOLDER", help="afterwards write the two model files there"
    )


def run(args: argparse.Namespace) -> int:
    """Train."""
    import torch

    from ..training.config import Recipe
    from ..training.data.batches import PreparedPeople
    from ..training.data.preparation import prepare

    recipe = Recipe.load(args.recipe)
    if args.prepare:
        for data in filter(None, (args.data, args.held_out)):
            for file in prepare(data, args.prepare, processes=args.processes):
                print(file, flush=True)
    torch.set_num_threads(args.threads)
    people = PreparedPeople.load(args.data)
    held_out = PreparedPeople.load(args.held_out, 1) if args.held_out else None

    from ..training.losses import IdentityLoss, LandmarkLoss
    from ..training.networks.landmark_regressor import load_regressor
    from ..training.networks.sface import SFace
    from ..training.trainer import Trainer

    identity, landmarks = None, None
    if recipe.losses.identity:
        if args.recognizer is None:
            raise ValueError(f"recipe {recipe.name} has an identity loss: give --recognizer")
        identity = IdentityLoss(SFace(args.recognizer), people.embedding.mean(0))
    if recipe.losses.landmarks:
        if args.regressor is None:
            raise ValueError(f"recipe {recipe.name} has a landmark loss: give --regressor")
        landmarks = LandmarkLoss(load_regressor(args.regressor))
    args.folder.mkdir(parents=True, exist_ok=True)
    with (args.folder / "log.jsonl").open("a", encoding="utf-8") as file:

        def log(line: str) -> None:
            print(line, flush=True)
            file.write(line + "\n")
            file.flush()

        trainer = Trainer(
            recipe, people, args.folder, held_out, identity, landmarks, args.start_from, log=log
        )
        print(
            f"{people.people} people, codec {trainer.psnr:.1f} dB, "
            f"from step {trainer.step} of {recipe.schedule.steps}"
        )
        trainer.run(seconds=60 * args.minutes if args.minutes else float("inf"))
    if args.export:
        from ..training.export import export_run

        export_run(args.folder, args.export, people.people, recipe)
    return 0

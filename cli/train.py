"""Train the tiny model, or networks for an SDXL checkpoint; resumes where it was stopped."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..training.config import Recipe
    from ..training.train import Log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("recipe", help="configuration: a JSON file, or a name of training/recipes")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="training data: shards of 'dataset build' for SDXL, a folder of 'synthesize' for the tiny model",
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="folder for checkpoints, log and sample sheets"
    )
    parser.add_argument(
        "--held-out", type=Path, help="data of other people, for validation and sample sheets"
    )
    parser.add_argument(
        "--minutes", type=float, help="stop after so many minutes (default: at the recipe's end)"
    )
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: %(default)s)")
    parser.add_argument(
        "--base", help="SDXL: checkpoint to train on, instead of the recipe's base.checkpoint"
    )
    parser.add_argument(
        "--cache", type=Path, help="SDXL: folder for latents and texts (default: with the data)"
    )
    parser.add_argument(
        "--prepare", type=Path, metavar="SFACE", help="tiny: first prepare the data with SFace's ONNX file"
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
        "--start-from", type=Path, metavar="RUN", help="tiny: start with the EMA weights of another run"
    )
    parser.add_argument(
        "--export", type=Path, metavar="FOLDER", help="afterwards write the model files for ComfyUI there"
    )


def run(args: argparse.Namespace) -> int:
    """Train."""
    import torch

    from ..training.config import Recipe

    torch.set_num_threads(args.threads)
    changes = {} if args.base is None else {"base": {"checkpoint": args.base}}
    recipe = Recipe.load(args.recipe, changes)
    args.folder.mkdir(parents=True, exist_ok=True)
    with (args.folder / "log.jsonl").open("a", encoding="utf-8") as file:

        def log(line: str) -> None:
            print(line, flush=True)
            file.write(line + "\n")
            file.flush()

        (_tiny if recipe.base.kind == "tiny" else _sdxl)(args, recipe, log)
    return 0


def _losses(args: argparse.Namespace, recipe: Recipe) -> tuple[Any, Any]:
    """Return the frozen networks of the losses on pictures, where the recipe asks for them."""
    recognizer, regressor = None, None
    if recipe.losses.identity:
        if args.recognizer is None:
            raise ValueError(f"recipe {recipe.name} has an identity loss: give --recognizer")
        from ..training.networks.sface import SFace

        recognizer = SFace(args.recognizer)
    if recipe.losses.landmarks:
        if args.regressor is None:
            raise ValueError(f"recipe {recipe.name} has a landmark loss: give --regressor")
        from ..training.networks.landmark_regressor import load_regressor

        regressor = load_regressor(args.regressor)
    return recognizer, regressor


def _sdxl(args: argparse.Namespace, recipe: Recipe, log: Log) -> None:
    from ..training.sdxl.task import SdxlTask
    from ..training.train import make_accelerator, train

    accelerator = make_accelerator(recipe, args.folder)
    recognizer, regressor = _losses(args, recipe)
    task = SdxlTask(
        recipe,
        args.data,
        args.held_out,
        recognizer=recognizer,
        regressor=regressor,
        cache=args.cache,
        processes=accelerator,
    )
    seconds = 60 * args.minutes if args.minutes else float("inf")
    state = train(recipe, task, args.folder, accelerator, seconds=seconds, log=log)
    if args.export:
        weights = state.ema_state()
        if accelerator.is_main_process:
            task.export(args.export / "hifi_net.safetensors", weights, state.step, accelerator.num_processes)


def _tiny(args: argparse.Namespace, recipe: Recipe, log: Log) -> None:
    from ..training.data.batches import PreparedPeople
    from ..training.data.preparation import prepare

    if args.prepare:
        for data in filter(None, (args.data, args.held_out)):
            for shard in prepare(data, args.prepare, processes=args.processes):
                print(shard, flush=True)
    people = PreparedPeople.load(args.data)
    held_out = PreparedPeople.load(args.held_out, 1) if args.held_out else None

    from ..training.losses import IdentityLoss, LandmarkLoss
    from ..training.tiny_task import TinyTask
    from ..training.train import make_accelerator, train

    recognizer, regressor = _losses(args, recipe)
    identity = None if recognizer is None else IdentityLoss(recognizer, people.embedding.mean(0))
    landmarks = None if regressor is None else LandmarkLoss(regressor)
    # The host's UNet and the crops that recognizers read are computed on the CPU here.
    accelerator = make_accelerator(recipe, args.folder, cpu=True)
    task = TinyTask(recipe, people, args.folder, held_out, identity, landmarks, args.start_from)
    print(f"{people.people} people, codec {task.psnr:.1f} dB")
    seconds = 60 * args.minutes if args.minutes else float("inf")
    train(recipe, task, args.folder, accelerator, seconds=seconds, log=log)
    if args.export and accelerator.is_main_process:
        from ..training.export import export_run

        export_run(args.folder, args.export, people.people, recipe)

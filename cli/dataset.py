"""Build a data set of people for training, look at it, merge, split, and forget people."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..boundary.text import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    commands = parser.add_subparsers(dest="action", required=True)
    build = commands.add_parser(
        "build", help="make a data set out of pictures, or go on where it was stopped"
    )
    build.add_argument("source", type=Path, help="folder, folder of folders, .tar shards, .csv or .parquet")
    build.add_argument("out", type=Path, help="folder of the data set")
    build.add_argument("--config", type=Path, help="settings that differ from the defaults, JSON or TOML")
    build.add_argument("--seed", type=int, default=0, help="of the order of people (0)")
    build.add_argument("--workers", type=int, default=1, help="processes; 0 works in this one (1)")
    build.add_argument("--ray", metavar="ADDRESS", help="work by Ray on a cluster, or on a local one: local")
    build.add_argument("--ray-gpus", type=float, default=0.0, help="GPUs of each of Ray's workers (0)")
    build.add_argument("--models", type=Path, help="folder of the face model files")
    build.add_argument("--analyzer", help="name of the analyzer, as in Load Face Analyzer")
    build.add_argument("--provider", default="auto", help="where the analyzer runs (auto)")
    build.add_argument("--insightface", type=Path, help="folder with InsightFace packs under models")
    build.add_argument("--quiet", action="store_true", help="no progress bars")
    inspect = commands.add_parser("inspect", help="describe a data set and check its shards")
    inspect.add_argument("dataset", type=Path, help="folder of the data set")
    merge = commands.add_parser("merge", help="put data sets together")
    merge.add_argument("datasets", type=Path, nargs="+", help="folders of the data sets, then the new folder")
    forget = commands.add_parser("forget", help="remove a person, and verify it")
    forget.add_argument("dataset", type=Path, help="folder of the data set; it is changed")
    forget.add_argument("person", help="id, or the source's label: everybody under it")
    split = commands.add_parser("split", help="divide a data set by person")
    split.add_argument("dataset", type=Path, help="folder of the data set")
    split.add_argument("train", type=Path, help="new folder for most people")
    split.add_argument("held_out", type=Path, help="new folder for those held out")
    split.add_argument("--share", type=float, default=0.05, help="of the people held out (0.05)")
    split.add_argument("--seed", type=int, default=0, help="of the division (0)")


def run(args: argparse.Namespace) -> int:
    """Do what was asked for and say what came of it."""
    actions = {"build": _build, "inspect": _inspect, "merge": _merge, "forget": _forget, "split": _split}
    return actions[args.action](args)


def _inspect(args: argparse.Namespace) -> int:
    from ..dataset.copies import inspect

    print("\n".join(map(printable, inspect(args.dataset))))
    return 0


def _merge(args: argparse.Namespace) -> int:
    from ..dataset.copies import merge

    *sources, out = args.datasets
    result = merge(sources, out)
    print(f"{printable(out)}: {result['people']} people, {result['pictures']} pictures")
    return 0


def _forget(args: argparse.Namespace) -> int:
    from ..dataset.forget import forget

    gone = forget(args.dataset, args.person)
    print(
        f"forgotten: {gone['people']} people, {gone['pictures']} pictures, {gone['rejected']} rejected ones; "
        "no trace was found in any file. Delete the pictures in the source, copies and backups too."
    )
    return 0


def _split(args: argparse.Namespace) -> int:
    from ..dataset.copies import split

    first, second = split(args.dataset, args.train, args.held_out, args.share, args.seed)
    print(f"{printable(args.train)}: {first} people; {printable(args.held_out)}: {second} people")
    return 0


def _build(args: argparse.Namespace) -> int:
    from ..dataset.analyse import AnalyzerChoice
    from ..dataset.build import Build, build
    from ..dataset.config import PipelineConfig
    from ..dataset.runners import runner
    from ..faces.files import user_folder
    from ..faces.registry import OPEN
    from .packages import default_folder

    if args.workers < 0:
        raise ValueError(f"--workers must be 0 or more, not {args.workers}")
    config = PipelineConfig.load(args.config)
    folders = [args.models] if args.models else [default_folder(), user_folder()]
    insight = (str(args.insightface),) if args.insightface else ()
    choice = AnalyzerChoice(tuple(map(str, folders)), args.analyzer or OPEN, args.provider, insight)
    analyzer = choice.load()
    licences = tuple(f"{item.file}: {item.licence}" for item in analyzer.licences)
    what = Build(
        args.source,
        args.out,
        config,
        analyzer.recognizer,
        analyzer.fingerprint,
        licences,
        args.seed,
        args.quiet,
    )
    if args.ray:
        from ..dataset.cluster import RayRunner

        result = build(what, RayRunner(config, choice, args.ray, args.workers, args.ray_gpus))
    else:
        result = build(what, runner(config, choice, args.workers))
    print(f"{printable(args.out)}: {result['people']} people, {result['pictures']} pictures")
    for stage, found in result["rejected"].items():
        print(f"  rejected by {stage}: " + ", ".join(f"{count} {why}" for why, count in found.items()))
    print(f"  look at {printable(args.out / 'report.html')}")
    return 0

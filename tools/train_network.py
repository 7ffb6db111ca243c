"""Train one of the small networks beside a run, or a run's decoder refinement.

    python -m hifi_portrait.tools.train_network recognizer DATA OUT --seconds 240 --seed 1
    python -m hifi_portrait.tools.train_network landmarks DATA OUT --seconds 240
    python -m hifi_portrait.tools.train_network decoder RUN PREPARED SFACE OUT

DATA is a folder of ``hifi-portrait synthesize``, PREPARED what ``hifi-portrait train`` makes of one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from ..boundary.files import written


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = result.add_subparsers(dest="network", required=True)
    for name, what in (("recognizer", "a small face recognizer"), ("landmarks", "a landmark regressor")):
        command = commands.add_parser(name, help=f"{what}, from rendered people")
        command.add_argument("data", type=Path, help="folder of rendered people")
        command.add_argument("out", type=Path, help="safetensors file to write")
        command.add_argument("--seconds", type=float, default=240.0, help="processor time to spend")
        command.add_argument("--seed", type=int, default=0, help="of weights and batches")
    command = commands.add_parser("decoder", help="the decoder refinement of a training run")
    command.add_argument("run", type=Path, help="folder of the run")
    command.add_argument("data", type=Path, help="prepared training data")
    command.add_argument("sface", type=Path, help="SFace's ONNX file")
    command.add_argument("out", type=Path, help="safetensors file of the codec to write")
    return result


def main(argv: list[str] | None = None) -> int:
    """Train and write; see the module's text."""
    args = parser().parse_args(argv)
    torch.set_num_threads(1)
    if args.network == "recognizer":
        from ..training.networks.recognizer import train_recognizer

        print(train_recognizer(args.data, args.out, args.seconds, args.seed))
    elif args.network == "landmarks":
        from ..training.networks.landmark_regressor import train_regressor

        print(train_regressor(args.data, args.out, args.seconds, args.seed))
    else:
        from ..training.data.batches import PreparedPeople
        from ..training.decoder_refinement import refine_run
        from ..training.networks.sface import SFace

        codec = refine_run(args.run, PreparedPeople.load(args.data), SFace(args.sface))
        with written(args.out) as part:
            save_file({k: v.contiguous() for k, v in codec.state_dict().items()}, part)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The ``hifi-portrait`` command: one module of this folder per sub-command.

A sub-command module has a docstring whose first line is its help, ``add_arguments(parser)`` and
``run(args) -> int``. Heavy imports belong inside ``run``.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

from ..boundary.text import printable


def main(argv: list[str] | None = None) -> int:
    """Parse ``argv`` and run one sub-command; expected errors are one line and exit code 2."""
    parser = argparse.ArgumentParser(prog="hifi-portrait", description="HiFi-Portrait's command line.")
    commands = parser.add_subparsers(dest="command", required=True)
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        if not hasattr(module, "add_arguments"):  # what several commands share
            continue
        summary = (module.__doc__ or "").strip().splitlines()[0]
        sub = commands.add_parser(info.name.replace("_", "-"), help=summary, description=summary)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except (ValueError, OSError) as error:
        # Names of files that no terminal can show are written out.
        print(f"hifi-portrait {args.command}: {printable(error)}", file=sys.stderr)
        return 2

"""Shows one input and what becomes of it: ``python -m tests.hostile.reproduce TARGET NUMBER``."""

from __future__ import annotations

import argparse
import tempfile
import traceback
from pathlib import Path

from .finds import keep
from .targets import TARGETS


def main() -> None:
    """Make the input of that number, try it here, and print the traceback."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("number", type=int)
    parser.add_argument("--keep", metavar="NAME", help="put the input into the corpus under this name")
    parser.add_argument("--write", type=Path, help="write the input's bytes to this file")
    options = parser.parse_args()
    target = TARGETS[options.target]
    value = target.number(options.number)
    print(f"{len(value)} long: {str(value)[:500]!r}")
    if options.keep:
        print(keep(target.name, value, options.keep) or "too large to keep")
    if options.write:
        options.write.write_bytes(
            value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            print("result:", target.attempt(value, Path(folder)))
        except Exception as error:
            traceback.print_exception(error, limit=-6)


if __name__ == "__main__":
    main()

"""``python -m hifi_portrait.cli``, which ``accelerate launch --module`` needs."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())

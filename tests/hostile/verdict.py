"""What counts as an answer: a result, or one line under 300 characters that this pack raised."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 300

RESULT = "result"
REFUSED = "refused"
RAW = "raw"


@dataclass(frozen=True)
class Verdict:
    """How one attempt ended."""

    kind: str
    """`RESULT`, `REFUSED` or `RAW`."""
    text: str = ""
    """The message; for a raw error with its type, the place it came from, and what is wrong with it."""


def attempt(action: Callable[[], object]) -> Verdict:
    """Run an action and judge how it ends."""
    try:
        action()
    except Exception as error:
        return judge(error)
    return Verdict(RESULT)


def judge(error: BaseException) -> Verdict:
    """Tell a refusal of ours from an error that escaped."""
    # Not format_exception: a deep recursion would be read line by line.
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
    raised = bool(frames) and _ours(frames[-1].filename) and (frames[-1].line or "").startswith("raise")
    message = str(error)
    problem = (
        message_problem(message) if raised else f"raised at {place}: {frames[-1].line if frames else ''}"
    )
    if problem is None:
        return Verdict(REFUSED, message)
    shown = message[:200].encode("ascii", "backslashreplace").decode()
    return Verdict(RAW, f"{type(error).__name__}: {shown}   [{problem}; {place}]")


def message_problem(message: str) -> str | None:
    """Return what makes a message unfit for an artist, or None."""
    if not message.strip():
        return "the message is empty"
    if "\n" in message.strip() or "\r" in message.strip():
        return "more than one line"
    if len(message) >= LONGEST:
        return f"{len(message)} characters"
    if not message.isprintable():
        return "holds characters that cannot be printed"
    return None


def check_shown(text: str) -> None:
    """Fail where a text that an artist will see is not fit for it."""
    problem = message_problem(text)
    assert problem is None, f"{problem}: {text[:100]!r}"


def _ours(filename: str) -> bool:
    path = Path(filename)
    if not path.is_absolute():
        return False
    path = path.resolve()
    if not path.is_relative_to(ROOT):
        return False
    return path.relative_to(ROOT).parts[0] not in {".dev", "tests", "benchmarks", "harness"}

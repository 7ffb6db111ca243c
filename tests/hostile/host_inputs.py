"""Every input of every node through a real host: values written in and linked, and wrong links."""

from __future__ import annotations

import copy
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from harness.host import Host

from . import mutate
from .attack import Find
from .load import wait
from .verdict import message_problem
from .world import PREFIX, Prompt, around, host_node

LINKED = {
    "INT": ("PrimitiveInt", mutate.INTEGERS[:13]),
    "FLOAT": ("PrimitiveFloat", mutate.FLOATS),
    "STRING": ("PrimitiveString", mutate.TEXTS),
    "COMBO": ("PrimitiveString", mutate.TEXTS),
    "BOOLEAN": ("PrimitiveBoolean", (True, False)),
}
"""Nodes of the host whose values reach an input without the host's check of its range."""

SECONDS = 60.0
"""After which a job hangs, in real time: the machine may have other work."""
PACK = "hifi-portrait"
_MEMORY = 2 * 2**30


@dataclass
class Asked:
    """What came of all inputs."""

    tried: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    finds: list[Find] = field(default_factory=list)


def cases(host: Host, rounds: int, seed: int = 0) -> Iterator[tuple[str, Prompt]]:
    """Make graphs with one to two inputs attacked: all inputs of all nodes in each round."""
    random = Random(seed)
    kinds = sorted(name for name in host.object_info() if name.startswith(PREFIX))
    for kind in kinds:
        good, attacked = around(host, kind)
        yield f"{kind} good", good
        declared = host.object_info()[kind]["input"]
        inputs = {**declared.get("required", {}), **declared.get("optional", {})}
        for _ in range(rounds):
            for name, description in inputs.items():
                prompt = copy.deepcopy(good)
                _attack(random, prompt, attacked, name, description)
                if random.random() < 0.15:
                    other = random.choice(sorted(inputs))
                    _attack(random, prompt, attacked, other, inputs[other])
                yield f"{kind}.{name}", prompt


def _attack(random: Random, prompt: Prompt, attacked: str, name: str, declared: list[Any]) -> None:
    kind = "COMBO" if isinstance(declared[0], list) else declared[0]
    values, change = prompt[attacked]["inputs"], random.random()
    if kind in LINKED and change < 0.45:
        source, choices = LINKED[kind]
        prompt[f"linked {name}"] = host_node(source, value=random.choice(choices))
        values[name] = [f"linked {name}", 0]
    elif kind in LINKED and change < 0.9:
        good = values.get(name)
        values[name] = mutate.near(random, good) if random.random() < 0.5 else mutate.any_value(random)
    elif change < 0.95:
        others = [key for key in prompt if key != attacked] or [attacked]
        wrong = (
            [random.choice(others), random.randrange(4)],
            ["nowhere", 0],
            [attacked, 0],
            ["analyzer", -1],
        )
        values[name] = random.choice((*wrong, [], [random.choice(others)], mutate.any_value(random)))
    else:
        values.pop(name, None)


def attack_host(
    host: Host, rounds: int, seed: int = 0, say: Callable[[str], None] = lambda line: None
) -> Asked:
    """Run all cases; after each the host must still answer the next."""
    asked = Asked()
    for number, (label, prompt) in enumerate(cases(host, rounds, seed)):
        started = time.monotonic()
        _reset_peak(host.pid)
        before = _memory(host.pid, "VmRSS")
        ending, text = _run(host, prompt)
        asked.tried += 1
        asked.endings[ending] += 1
        if ending in ("raw_errors", "hangs", "host_crashes") or (
            label.endswith("good") and ending != "result"
        ):
            asked.finds.append(Find(label, ending, f"{text} <- {_shown(prompt)}", number))
        grown = _memory(host.pid, "VmHWM") - before
        if grown > _MEMORY:
            asked.finds.append(Find(label, "over_2_gib", f"{grown >> 20} MiB <- {_shown(prompt)}", number))
        if time.monotonic() - started > 10.0 and ending not in ("hangs", "host_crashes"):
            asked.finds.append(
                Find(label, "hangs", f"{time.monotonic() - started:.0f} s <- {_shown(prompt)}", number)
            )
        if ending in ("hangs", "host_crashes"):
            say(f"{label}: {ending}; the host is lost")
            break
    return asked


def _shown(prompt: Prompt) -> str:
    inputs = prompt["attacked"]["inputs"]
    linked = {k: v["inputs"]["value"] for k, v in prompt.items() if k.startswith("linked ")}
    return json.dumps({"inputs": inputs, "linked": linked})[:600]


def _run(host: Host, prompt: Prompt) -> tuple[str, str]:
    """Return how a job ended: result, refused (by the host or by us), raw_errors, hangs, host_crashes."""
    body = json.dumps({"prompt": prompt, "client_id": "hostile"}).encode()
    request = urllib.request.Request(f"{host.url}/prompt", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            prompt_id = json.load(answer)["prompt_id"]
    except urllib.error.HTTPError as error:
        return _refusal(error.code, error.read())
    except OSError as error:
        return "host_crashes", f"no answer: {error}"
    ended = wait(host, prompt_id, SECONDS)
    if ended is None:
        with suppress(OSError):
            urllib.request.urlopen(urllib.request.Request(f"{host.url}/interrupt", b"{}"), timeout=10)
        return "hangs", f"no end within {SECONDS:.0f} s"
    for kind, message in ended["status"]["messages"]:
        if kind == "execution_error":
            return _judge(message)
    return "result", ""


def _refusal(code: int, body: bytes) -> tuple[str, str]:
    """Judge the host's refusal: what we say in it must be fit to be shown."""
    if code != 400:
        return "raw_errors", f"HTTP {code}: {body[:200]!r}"
    answer = json.loads(body)
    for entry in answer.get("node_errors", {}).values():
        for error in entry.get("errors", []):
            if error.get("type") == "custom_validation_failed":
                # "name - our line"
                problem = message_problem(error["details"].split(" - ", 1)[-1])
                if problem:
                    return "raw_errors", f"{entry['class_type']}: {problem}: {error['details'][:200]!r}"
            # The host's own checks stumble over links to nowhere; what matters is that no code of ours did.
            if error.get("type") == "exception_during_validation" and PACK in json.dumps(error):
                return "raw_errors", f"{entry['class_type']}: {error['details'][:200]!r}"
    return "refused", ""


def _judge(message: dict[str, Any]) -> tuple[str, str]:
    last = message["traceback"][-1].strip().splitlines()
    place, code = (last[0], last[1].strip()) if len(last) > 1 else (last[0] if last else "", "")
    text = (
        f"{message['node_type']}: {message['exception_type']}: {message['exception_message'].strip()[:200]!r}"
    )
    if PACK not in place or not code.startswith("raise"):
        # A node of the host's that refuses what it was given is not ours to mend.
        if (
            not message["node_type"].startswith(PREFIX)
            and "hifi" not in "".join(message["traceback"]).lower()
        ):
            return "refused", text
        return "raw_errors", f"{text} @ {place[-120:]} :: {code}"
    problem = message_problem(message["exception_message"].strip())
    return ("raw_errors", f"{text} [{problem}]") if problem else ("refused", text)


def _reset_peak(pid: int) -> None:
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _memory(pid: int, name: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0

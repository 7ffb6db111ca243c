"""A part of the attack that fits into a test run; ``python dev.py bench robustness`` runs the whole."""

from __future__ import annotations

import os

import pytest

from tests.hostile import host_inputs, kills, load, world
from tests.hostile.attack import attack
from tests.hostile.finds import kept
from tests.hostile.targets import TARGETS
from tests.hostile.verdict import RAW, attempt

CASES = 150
"""Of each target: those that the benchmark starts with, whose answers are known to be fit."""
KILLS = 25
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed on POSIX")


@posix
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_hostile_inputs_end_in_a_result_or_one_line(name):
    tally = attack(name, CASES)
    assert tally.tried == CASES
    assert not tally.finds, "\n".join(f"#{find.number} {find.kind}: {find.text}" for find in tally.finds[:5])


@pytest.mark.parametrize(
    ("target", "name", "value"), kept(), ids=lambda part: part if isinstance(part, str) else ""
)
def test_former_finds_stay_mended(target, name, value, tmp_path):
    ending = attempt(lambda: TARGETS[target].attempt(value, tmp_path))
    assert ending.kind != RAW, ending.text


@posix
@pytest.mark.parametrize("number", range(5))
def test_kills_leave_the_old_file_or_the_new_one_and_no_debris(number):
    with kills.operations() as operations:
        killed = kills.kill(operations[number], KILLS, seed=number)
    assert killed.kills == KILLS
    assert killed.corrupted == 0
    assert killed.debris == 0


@pytest.mark.host
@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="memory and time are read from /proc")
def test_a_host_under_attack_and_load(tmp_path):
    with world.world(tmp_path) as host:
        asked = host_inputs.attack_host(host, 1, seed=11)
        assert asked.tried > 100
        assert not asked.finds, "\n".join(
            f"{find.target} {find.kind}: {find.text}" for find in asked.finds[:5]
        )
        done = load.run(host, 30)
        assert done.lost == 0, done.errors
        assert load.interruption(host)
        assert not world.writes_outside(host)

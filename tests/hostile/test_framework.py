"""The attack itself: good inputs are accepted, and whatever goes wrong is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile import mutate, seeds
from tests.hostile.attack import ROOT, Tally, _one_worker, attack
from tests.hostile.targets import TARGETS
from tests.hostile.verdict import RAW, REFUSED, RESULT, attempt


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_good_inputs_are_accepted(name, tmp_path):
    target = TARGETS[name]
    assert target.good()
    for good in target.good():
        ending = attempt(lambda good=good: target.attempt(good, tmp_path))
        assert ending.kind == RESULT, ending.text


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_numbers_stand_for_inputs(name):
    target = TARGETS[name]
    first = [repr(target.number(number)) for number in range(8)]
    assert first == [repr(target.number(number)) for number in range(8)]
    assert len(set(first)) > 1


def test_our_refusals_are_told_from_errors_that_escape():
    from hifi_portrait.boundary.saved import check_name

    assert attempt(lambda: check_name("Anna", "an identity")).kind == RESULT
    assert attempt(lambda: check_name("../x", "an identity")).kind == REFUSED
    escaped = attempt(lambda: check_name(None, "an identity"))
    assert escaped.kind == RAW
    assert "AttributeError" in escaped.text
    assert attempt(lambda: json.loads("[" * 100_000)).kind == RAW


WORKER = """
import os, sys, time
from pathlib import Path
from tests.hostile import targets, worker

def attempt(value, folder):
    (folder / "inside").write_text("x")
    if value == 3: Path(sys.argv[2]).write_text("x")
    if value == 5: bytearray(3 * 2**30)
    if value == 7: os.abort()
    if value == 9: os.system("true")

targets.TARGETS["x"] = targets.Target("x", lambda random: 0, attempt, lambda: [0], 1)
targets.Target.number = lambda self, number: number
worker.main("x", int(sys.argv[3]), 10 - int(sys.argv[3]), Path(sys.argv[1]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured on Linux")
def test_writes_memory_programs_and_ends_of_the_process_are_seen(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    inside.mkdir()

    def run(first: int) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", WORKER, str(inside), str(outside), str(first)]
        search = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": search}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    died = run(0)
    assert died.returncode < 0, died.stderr
    assert died.stdout.splitlines()[-1] == ">7"
    finds = [json.loads(line) for line in died.stdout.splitlines() if line.startswith("{")]
    seen = {(find["number"], find["kind"]) for find in finds}
    assert (3, "writes_outside") in seen
    assert (5, "over_2_gib") in seen
    after = run(8)
    assert '"number": 9' in after.stdout
    assert "os.system" in after.stdout
    assert after.stdout.splitlines()[-1] == 'done {"result": 2}'


def test_mutations_keep_some_structure():
    from random import Random

    good = seeds.identities()[0]
    read = 0
    for number in range(200):
        try:
            mutate.parse_safetensors(mutate.safetensors(Random(number), good))
            read += 1
        except (ValueError, RecursionError):
            pass
    assert 100 < read < 200, "most inputs have to come past the first check"


def test_attack_counts_every_input():
    tally = attack("identity name", 300)
    assert isinstance(tally, Tally)
    assert tally.tried == sum(tally.endings.values()) == 300
    assert {RESULT, REFUSED} <= set(tally.endings)


def test_a_worker_that_cannot_start_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="did not start"):
        _one_worker("no such target", 0, 1, tmp_path, Tally())

"""What the model patch costs on a real host, and what it leaves behind.

A narrow SDXL of full depth (70 cross-attention layers) samples with and without HiFi-Net. Times are those of
the whole model call, planning included, in this thread's processor time, so that other work on the machine
counts little; each figure is the median over pairs of patched and unpatched runs. The floor is the arithmetic
that cannot be left out: FLOPs of a patched step over those of a plain one, by torch's counter.
"""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import replace
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report import Figures, command_line
from tests.patching import small  # makes the host importable

from hifi_portrait.patching.apply import apply_hifi_net  # isort: skip
from hifi_portrait.patching.run_state import RunState  # isort: skip
from hifi_portrait.patching.settings import PatchSettings  # isort: skip

STEPS = 3
SIZE = (32, 32)
DEEP = {
    "model_channels": 64,
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "transformer_depth_middle": 10,
}
CONFIG = replace(
    small.CONFIG,
    block_out_channels=(64, 128, 256),
    transformer_depth=(0, 2, 10),
    mid_depth=10,
    hint_widths=(8, 16, 32, 64),
    crop_size=128,
    pyramid_widths=(8, 16, 32, 32, 32),
    identity_tokens=16,
)
SETTINGS = {
    "positive_only": PatchSettings(1.0, 1.0),
    "both_halves": PatchSettings(1.0, 1.0, unconditional="zero identity"),
}


class Calls:
    """Times each call of the model's ``apply_model``, from outside of every wrapper but this."""

    def __init__(self, model: Any) -> None:
        self.seconds: list[float] = []
        self.flops = 0
        self.model = model.clone()
        wrappers = self.model.wrappers.get("apply_model", {})
        self.model.wrappers["apply_model"] = {"calls": [self._time], **wrappers}

    def _time(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        start = time.thread_time()
        out = executor(*args, **kwargs)
        self.seconds.append(time.thread_time() - start)
        return out

    def run(self) -> list[float]:
        """Sample, and return the seconds of each call."""
        self.seconds = []
        small.sample(self.model, size=SIZE, steps=STEPS)
        return self.seconds

    def count_flops(self) -> int:
        """Return the floating-point operations of a run's last step."""
        counted = []

        def count(executor: Any, *args: Any, **kwargs: Any) -> Any:
            # The counter sees attention only where it is made of matrix products.
            with sdpa_kernel([SDPBackend.MATH]), FlopCounterMode(display=False) as counter:
                out = executor(*args, **kwargs)
            counted.append(counter.get_total_flops())
            return out

        model = self.model.clone()
        model.wrappers["apply_model"] = {"count": [count], **model.wrappers["apply_model"]}
        small.sample(model, size=SIZE, steps=2)
        return counted[-1]


def overhead(plain: Calls, patched: Calls, pairs: int) -> tuple[float, float]:
    """Return patched over plain time of a step after the first, and the first step's extra milliseconds."""
    ratios, extra = [], []
    for _ in range(pairs):
        without, with_ = plain.run(), patched.run()
        a, b = statistics.median(without[1:]), statistics.median(with_[1:])
        ratios.append(b / a)
        extra.append(1000 * (with_[0] - b))
    return statistics.median(ratios), statistics.median(extra)


def key_value_computations(model: Any) -> int:
    """Return how often keys and values were computed in one run of several steps."""
    states = []
    original = RunState.close

    def close(self: RunState) -> None:
        states.append(self.cache.counts["keys and values"])
        original(self)

    RunState.close = close  # type: ignore[method-assign]
    try:
        small.sample(model, steps=4)
    finally:
        RunState.close = original  # type: ignore[method-assign]
    return states[0]


def leak(model: Any, hifi_net: Any, landmarks: Any, requeues: int) -> tuple[float, float]:
    """Return bytes of tensors and number of objects that stay behind per requeue with changed inputs."""
    people = [small.make_identity(hifi_net.network, seed) for seed in range(2)]

    def requeue(i: int) -> None:
        settings = PatchSettings(0.5 + i / 1000, 0.5, fade_out=0.3)
        small.sample(
            apply_hifi_net(model, hifi_net, people[i % 2], landmarks, settings), size=(8, 8), steps=1
        )

    def count() -> tuple[int, int]:
        gc.collect()
        objects = gc.get_objects()
        tensors = [o for o in objects if type(o) in (torch.Tensor, torch.nn.Parameter)]
        return sum(t.nelement() * t.element_size() for t in tensors), len(objects)

    for i in range(5):
        requeue(i)
    before = count()
    for i in range(5, 5 + requeues):
        requeue(i)
    after = count()
    return (after[0] - before[0]) / requeues, round((after[1] - before[1]) / requeues, 2)


def main(quick: bool = False) -> Figures:
    """Measure; ``quick``: one pair of runs for a figure instead of five or three, 5 re-queues, not 50."""
    model = small.make_model(0, **DEEP)
    hifi_net = small.make_hifi_net(CONFIG, 1)
    landmarks = small.make_landmarks((10.0, 5.0, 0.0), width=8 * SIZE[1], height=8 * SIZE[0])
    plain = Calls(model)
    flops = plain.count_flops()
    people = {
        n: small.make_identity(hifi_net.network, 0, faces=n) for n in ((1, 4) if quick else (1, 2, 4, 8, 16))
    }

    def cost(person: Any, settings: PatchSettings, pairs: int) -> Figures:
        patched = Calls(apply_hifi_net(model, hifi_net, person, landmarks, settings))
        measured, extra = overhead(plain, patched, pairs)
        floor = patched.count_flops() / flops
        return {
            "step_overhead": round(measured, 3),
            "flops_floor": round(floor, 3),
            "overhead_vs_flops": round(measured / floor, 3),
            "first_step_extra_ms": round(extra, 1),
        }

    default = SETTINGS["positive_only"]
    modes = {name: cost(people[4], settings, 1 if quick else 5) for name, settings in SETTINGS.items()}
    counts = {str(n): cost(person, default, 1 if quick else 3) for n, person in people.items()}
    shared = apply_hifi_net(model, hifi_net, people[4], landmarks, default)
    light, light_net = small.make_model(), small.make_hifi_net(small.CONFIG, 1)
    left_bytes, left_objects = leak(light, light_net, landmarks, 5 if quick else 50)
    return {
        "attention_layers": len(CONFIG.identity_layers()),
        "latent": SIZE[0],
        "parameters_unet": sum(p.numel() for p in model.model.diffusion_model.parameters()),
        "parameters_hifi_net": sum(p.numel() for p in hifi_net.network.hifi_net.parameters()),
        **modes,
        "by_references": counts,
        "kv_recomputations_per_run": key_value_computations(shared),
        "leak_bytes_per_requeue": left_bytes,
        "leak_objects_per_requeue": left_objects,
    }


if __name__ == "__main__":
    command_line(main)

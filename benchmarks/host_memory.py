"""Memory as the host wants it: what is reserved against what a run takes, and weights of one byte.

A small SDXL with HiFi-Net samples on the CPU, whose allocator is listened to in place of a graphics card's:
every tensor that a run makes is counted until it is freed. What HiFi-Net takes is the difference of the peaks
with and without it; the weights are loaded before, so that they count in neither. Drawings and coordinates of
the landmarks stay in main memory in a run on a graphics card, and are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.report import Figures, command_line
from tests.patching import small  # makes the host importable

from hifi_portrait.models import checkpoint  # isort: skip
from hifi_portrait.models.portrait import build  # isort: skip
from hifi_portrait.patching import preparation, target_maps  # isort: skip
from hifi_portrait.patching.apply import apply_hifi_net  # isort: skip
from hifi_portrait.patching.loading import load_hifi_net  # isort: skip
from hifi_portrait.patching.memory import Reservation  # isort: skip
from hifi_portrait.patching.settings import PatchSettings  # isort: skip

CASES: dict[str, tuple[PatchSettings, int, int]] = {
    "default": (PatchSettings(1.0, 1.0), 1, 1),
    "plain_instantid": (PatchSettings(1.0, 1.0, fusion_strength=0.0), 1, 1),
    "both_halves": (PatchSettings(1.0, 1.0, unconditional="zero identity"), 1, 1),
    "batch_of_2": (PatchSettings(1.0, 1.0), 2, 1),
    "two_people": (PatchSettings(1.0, 1.0), 1, 2),
}
"""Settings, pictures in the batch, people."""


def reserved_and_used(
    settings: PatchSettings, batch: int, people: int, size: tuple[int, int] = (64, 64)
) -> tuple[int, int]:
    """Return what the host was asked to reserve for HiFi-Net, and what a run takes; bytes.

    Parameters
    ----------
    settings
        Of every person.
    batch
        Pictures.
    people
        One Apply HiFi-Net for each, of four references.
    size
        Height and width of the latents.
    """
    model, hifi_net = small.make_model(), small.make_hifi_net(small.CONFIG, 1)
    landmarks = small.make_landmarks((10.0, 5.0, 0.0), width=8 * size[1], height=8 * size[0])
    patched = model
    for seed in range(people):
        identity = small.make_identity(hifi_net.network, seed, faces=4)
        patched = apply_hifi_net(patched, hifi_net, identity, landmarks, settings)
    with _maps_in_main_memory(), _reservations() as reserved:
        with_ = peak_bytes(lambda: small.sample(patched, size=size, batch=batch))
        without = peak_bytes(lambda: small.sample(model, size=size, batch=batch))
    (asked,) = reserved
    return asked, with_ - without


def peak_bytes(run: Callable[[], Any]) -> int:
    """Return the most memory that a run's tensors took at a time, bytes."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        run()
    events = watched.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    live = most = 0
    for _, change in changes:
        live += change
        most = max(most, live)
    return most


@contextmanager
def _maps_in_main_memory() -> Iterator[None]:
    """Keep maps where torch's allocator does not see them."""
    original = target_maps.picture_maps

    def maps(*arguments: Any) -> Any:
        return original(*arguments).each(lambda tensor: torch.from_numpy(tensor.numpy().copy()))

    with patch.object(preparation, "picture_maps", maps):
        yield


@contextmanager
def _reservations() -> Iterator[list[int]]:
    """Note what the host is told when it asks."""
    original, asked = Reservation.inference_memory_requirements, []

    def requirements(self: Reservation, dtype: torch.dtype) -> int:
        asked.append(original(self, dtype))
        return asked[-1]

    with patch.object(Reservation, "inference_memory_requirements", requirements):
        yield asked


def memory_reserved_over_used(quick: bool = False) -> dict[str, float]:
    """Return reserved over used memory for each of `CASES`; ``quick``: the first alone."""
    cases = list(CASES.items())[: 1 if quick else None]
    found = {name: reserved_and_used(*case) for name, case in cases}
    return {name: round(reserved / used, 3) for name, (reserved, used) in found.items()}


def fp8_latent_difference(quick: bool = False) -> dict[str, float]:
    """Return how far latents move when weights are kept in another type than fp16.

    Root of the mean squared difference over that of what HiFi-Net changes in the latents at all; a random
    HiFi-Net, every weight of which acts. ``quick``: two steps, not eight.
    """
    steps = 2 if quick else 8
    model = small.make_model()
    network = build(small.CONFIG).eval().requires_grad_(False)
    small.randomise(network, 1)
    landmarks = small.make_landmarks((10.0, 5.0, 0.0), width=256, height=256)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "small.safetensors"
        checkpoint.save(file, network, small.CONFIG, dtype=torch.float16)

        def latents(weight_dtype: str) -> torch.Tensor:
            hifi_net = load_hifi_net(file, weight_dtype=weight_dtype)
            person = small.make_identity(hifi_net.network, 0, faces=4)
            patched = apply_hifi_net(model, hifi_net, person, landmarks, PatchSettings(1.0, 1.0))
            return small.sample(patched, size=(32, 32), steps=steps)

        exact = latents("fp16")
        changed = float((exact - small.sample(model, size=(32, 32), steps=steps)).square().mean().sqrt())
        kinds = ("bf16", "fp8_e4m3fn")
        return {
            kind: round(float((latents(kind) - exact).square().mean().sqrt()) / changed, 4) for kind in kinds
        }


def main(quick: bool = False) -> Figures:
    """Measure; ``quick``: fewer cases, fewer steps."""
    return {
        "memory_reserved_over_used": memory_reserved_over_used(quick),
        "fp8_latent_difference": fp8_latent_difference(quick),
    }


if __name__ == "__main__":
    command_line(main)

"""A run's state: made once, dropped always, and nothing waited for inside attention."""

from __future__ import annotations

import collections
import gc
import weakref

import pytest
import torch
from hifi_portrait.patching import run_cache
from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.planner import StepPlanner
from hifi_portrait.patching.run_state import RunState
from hifi_portrait.patching.settings import PatchSettings
from torch.utils._python_dispatch import TorchDispatchMode

from tests.patching.small import CONFIG, conditioning, make_identity, make_landmarks, sample

ON = PatchSettings(1.0, 1.0)
LAYERS = len(CONFIG.identity_layers())


@pytest.fixture
def states(monkeypatch):
    """Every state that runs make, with their counts at the end."""
    made = []
    original = RunState.__init__

    def init(self, *args, **kwargs):
        original(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(RunState, "__init__", init)
    return made


@pytest.mark.parametrize("unconditional", ["nothing", "zero identity"])
def test_keys_and_values_once_per_run(model, hifi_net, identity, landmarks, states, unconditional):
    settings = PatchSettings(1.0, 1.0, fade_out=0.5, unconditional=unconditional)
    sample(apply_hifi_net(model, hifi_net, identity, landmarks, settings), steps=5, batch=2)
    assert [state.cache.counts["keys and values"] for state in states] == [LAYERS]


def test_layers_of_weight_0_need_no_keys(model, hifi_net, identity, states):
    weights = (1.0,) * 5 + (0.0,) * 7
    sample(apply_hifi_net(model, hifi_net, identity, None, PatchSettings(block_weights=weights)))
    assert [state.cache.counts["keys and values"] for state in states] == [6]


def test_maps_once_per_run_and_size(model, hifi_net, identity, landmarks, states):
    patched = apply_hifi_net(model, hifi_net, identity, landmarks, ON)
    sample(patched, steps=4, batch=2)
    sample(patched, steps=4, size=(16, 24))
    assert [state.cache.counts["maps"] for state in states] == [1, 1]


def test_prepared_rows_are_bounded(model, hifi_net, identity, monkeypatch, states):
    monkeypatch.setattr(run_cache, "PREPARED_BYTES", 1)
    kept = []
    original = StepPlanner.plan
    monkeypatch.setattr(
        StepPlanner,
        "plan",
        lambda self, *a: (original(self, *a), kept.append(len(self.cache.bounded)))[0],
    )
    # One call of the UNet for each area.
    monkeypatch.setattr(model.model, "memory_required", lambda *a, **k: 1e18)
    positive = [part for i in range(4) for part in conditioning(i, area=(8, 8, 2 * i, 2 * i))]
    sample(apply_hifi_net(model, hifi_net, identity, make_landmarks(), ON), positive=positive, steps=2)
    assert max(kept) == 1


def test_a_fade_keeps_no_copy_for_each_step(model, hifi_net, identity, monkeypatch, states):
    kept = []
    original = StepPlanner.plan
    monkeypatch.setattr(
        StepPlanner, "plan", lambda self, *a: (original(self, *a), kept.append(len(self.cache.kept)))[0]
    )
    settings = PatchSettings(fade_in=0.4, fade_out=0.4, unconditional="zero identity")
    sample(apply_hifi_net(model, hifi_net, identity, make_landmarks(), settings), steps=6)
    assert len(kept) == 6
    assert kept[-1] <= kept[1]


def test_state_is_dropped_at_the_end(model, hifi_net, identity, landmarks, states):
    sample(apply_hifi_net(model, hifi_net, identity, landmarks, ON))
    state = weakref.ref(states.pop())
    gc.collect()
    assert state() is None


class BoomError(RuntimeError):
    pass


@pytest.mark.parametrize("where", ["attention", "hifi_net", "sampler"])
def test_an_error_leaves_the_model_clean(model, hifi_net, identity, landmarks, states, monkeypatch, where):
    patched = apply_hifi_net(model, hifi_net, identity, landmarks, ON)
    expected, plain = sample(patched), sample(model)
    states.clear()

    def boom(*args, **kwargs):
        raise BoomError

    with monkeypatch.context() as patch:
        broken, options = patched, {}
        if where == "hifi_net":
            patch.setattr(hifi_net.network.hifi_net, "step", boom)
        elif where == "attention":
            broken = patched.clone()
            broken.model_options["transformer_options"]["patches_replace"]["attn2"][("middle", 0, 1)].add(
                boom
            )
        else:
            options["callback"] = boom
        with pytest.raises(BoomError) as caught:
            sample(broken, **options)
    # Even while the error, and with it every frame of the run, is still held.
    assert caught.value is not None
    assert all(not state.cache.kept and not state.cache.bounded for state in states)
    assert model.model.current_patcher is None
    assert set(patched.model_options["transformer_options"]) == {"patches_replace"}
    assert sample(patched).equal(expected)
    assert sample(model).equal(plain)


def test_200_requeues_leave_objects_and_memory_flat(two_levels):
    model, hifi_net = two_levels
    people = [make_identity(hifi_net.network, seed) for seed in range(2)]
    landmarks = make_landmarks(width=64, height=64)

    def requeue(i: int) -> None:
        settings = PatchSettings(
            identity_strength=0.5 + 0.002 * i, landmark_strength=0.5, fade_out=0.3, mask_feather=i % 3
        )
        mask = torch.zeros(16, 16)
        mask[:, i % 8 :] = 1.0
        patched = apply_hifi_net(model, hifi_net, people[i % 2], landmarks, settings, mask)
        sample(patched, steps=1, size=(8, 8), cfg=1.0)

    def count() -> tuple[dict[type, int], int]:
        gc.collect()
        objects = gc.get_objects()
        kinds = collections.Counter(
            type(o) for o in objects if str(type(o).__module__).startswith(("hifi_portrait", "comfy"))
        )
        tensors = [o for o in objects if type(o) in (torch.Tensor, torch.nn.Parameter)]
        return kinds, sum(t.nelement() * t.element_size() for t in tensors)

    for i in range(4):
        requeue(i)
    before = count()
    for i in range(4, 204):
        requeue(i)
    assert count() == before


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.count += name in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("unconditional", ["nothing", "zero identity"])
def test_nothing_is_waited_for_inside_the_unet(model, hifi_net, identity, landmarks, unconditional):
    counts = []

    def count(executor, *args, **kwargs):
        with Waits() as waits:
            out = executor(*args, **kwargs)
        counts.append(waits.count)
        return out

    settings = PatchSettings(1.0, 1.0, fade_in=0.5, unconditional=unconditional)
    mask = torch.rand(16, 16)
    patched = apply_hifi_net(model, hifi_net, identity, landmarks, settings, mask)
    for each in (model.clone(), patched):
        # Outermost of the wrappers of the UNet, so that it sees ours too.
        wrappers = each.wrappers.setdefault("diffusion_model", {})
        each.wrappers["diffusion_model"] = {"count": [count], **wrappers}
        sample(each, steps=3)
    assert counts[:3] == [0, 0, 0]
    assert counts[3:] == [0, 0, 0]


def test_sigma_is_read_once_per_step(model, hifi_net, identity, landmarks, monkeypatch):
    reads = []
    original = RunState.sigma

    def sigma(self, sigmas):
        reads.append(self._sigma is None or self._sigma[0] is not sigmas)
        return original(self, sigmas)

    monkeypatch.setattr(RunState, "sigma", sigma)
    # Two calls of the UNet in each step.
    monkeypatch.setattr(model.model, "memory_required", lambda *a, **k: 1e18)
    sample(apply_hifi_net(model, hifi_net, identity, landmarks, ON), steps=3)
    assert reads == [True, False] * 3

"""One MODEL on several devices at a time: the host's MultiGPU CFG split, with the CPU standing for two.

``cpu`` and ``cpu:1`` are two devices to the host and one to torch, so that threads, copies of models and
hand-over are the host's own. Needs a host that has the split.
"""

from __future__ import annotations

import copy
import threading
from types import SimpleNamespace

import comfy.model_management
import pytest
import torch
from hifi_portrait.patching import preparation, residuals
from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.blocks import unet_layout
from hifi_portrait.patching.head_guidance import GuideSettings, guide_with_head
from hifi_portrait.patching.host import percent_to_sigma
from hifi_portrait.patching.loading import load_hifi_net
from hifi_portrait.patching.plan import KEY
from hifi_portrait.patching.run_state import RunState, SamplingRun
from hifi_portrait.patching.settings import PatchSettings
from hifi_portrait.patching.wrappers import step_context

from tests.patching.guidance import render
from tests.patching.small import CONFIG, make_hifi_net, make_identity, make_landmarks, make_model, sample

BOTH = PatchSettings(1.0, 1.0, unconditional="zero identity", start_percent=0.1)
DEVICES = [torch.device("cpu"), torch.device("cpu:1")]

multigpu = pytest.mark.skipif(
    not hasattr(comfy.model_management, "unload_model_and_clones"),
    reason="the host has no MultiGPU CFG split",
)


@pytest.fixture
def two_devices(monkeypatch):
    monkeypatch.setattr(
        comfy.model_management,
        "get_all_torch_devices",
        lambda exclude_current=False: DEVICES[1:] if exclude_current else DEVICES,
    )


def loadable(**changes):
    """Return a MODEL that the host can load once more, as its own loaders make them."""

    def load(disable_dynamic=False):
        return make_model(0, **changes)

    model = load()
    model.cached_patcher_init = (load, ())
    return model


def split(model):
    from comfy.multigpu import create_multigpu_deepclones

    return create_multigpu_deepclones(model, 2, reuse_loaded=True)


@pytest.fixture
def seen(monkeypatch):
    """Which thread computed with which of our networks and kept it in which state."""
    found = []
    prepare, run = preparation.NetworkInputs.prepared, residuals._run

    def prepared(self, *args):
        found.append(("state", threading.get_ident(), id(self.cache)))
        return prepare(self, *args)

    def step(job, *args):
        found.append(("network", threading.get_ident(), id(job.network)))
        return run(job, *args)

    monkeypatch.setattr(preparation.NetworkInputs, "prepared", prepared)
    monkeypatch.setattr(residuals, "_run", step)
    return found


@multigpu
@pytest.mark.parametrize("side", ["split after", "split before"])
def test_the_split_gives_the_same_picture_and_shares_nothing(two_devices, checkpoint_file, seen, side):
    hifi_net = load_hifi_net(checkpoint_file)
    person, where = make_identity(hifi_net.network, 0), make_landmarks()

    def applied(model):
        return guide_with_head(
            apply_hifi_net(model, hifi_net, person, where, BOTH), render(), GuideSettings()
        )

    whole = sample(applied(loadable()), steps=3)
    assert len({thread for _, thread, _ in seen}) == 1
    model = split(applied(loadable())) if side == "split after" else applied(split(loadable()))
    for _ in range(2):  # the second run finds the copies loaded
        seen.clear()
        assert sample(model, steps=3).allclose(whole, atol=1e-4)
        threads = {thread for _, thread, _ in seen}
        assert len(threads) == 2
        assert threading.get_ident() not in threads
        for kind in ("state", "network"):
            owners = {thing: thread for found, thread, thing in seen if found == kind}
            assert len(owners) == len(set(owners.values())) == 2, f"each thread has a {kind} of its own"
            assert all(owners[thing] == thread for found, thread, thing in seen if found == kind)
    (copied,) = model.get_additional_models_with_key("multigpu")
    (beside,) = copied.get_additional_models_with_key(KEY)
    assert beside.model is not hifi_net.network
    assert beside.load_device == DEVICES[1]


@multigpu
def test_what_cannot_be_loaded_again_is_refused_before_sampling(two_devices):
    """Such as a network that another pack made without a file: the host says so itself, in one line."""
    hifi_net = make_hifi_net(CONFIG, 1)
    person = make_identity(hifi_net.network, 0)
    with pytest.raises(RuntimeError, match=r"HiFiPortrait.*cached_patcher_init") as error:
        split(apply_hifi_net(loadable(), hifi_net, person, None, BOTH))
    assert "\n" not in str(error.value)
    after = apply_hifi_net(split(loadable()), hifi_net, person, None, BOTH)
    with pytest.raises(RuntimeError, match=r"HiFiPortrait.*cached_patcher_init"):
        sample(after, callback=lambda *_: pytest.fail("sampled"))


def test_each_copy_of_the_base_has_a_state_of_its_own(model, hifi_net):
    run = SamplingRun((), unet_layout(model.model.diffusion_model), SimpleNamespace(model_patcher=model))
    copies = [SimpleNamespace() for _ in range(4)]
    found: list[list[RunState]] = [[] for _ in copies]
    threads = [
        threading.Thread(target=lambda i=i: found[i].extend(run.state(copies[i]) for _ in range(50)))
        for i in range(len(copies))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(set(states)) for states in found] == [1] * 4
    assert len({states[0] for states in found}) == 4
    assert len({states[0].cache for states in found}) == 4
    run.close()


# Schedules ------------------------------------------------------------------------------------------------
def other_schedule(model):
    """Return the schedule that a ModelSamplingDiscrete node puts on a MODEL."""
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    (patched,) = ModelSamplingDiscrete().patch(model, "v_prediction", True)
    return patched


def exchange_buffers(of, by):
    """Do what the host's dynamic VRAM does to a schedule by mistake (its issue 16490)."""
    for name, buffer in by.named_buffers():
        setattr(of, name, buffer.clone())


def test_a_schedule_that_another_run_left_behind_is_not_ours(monkeypatch):
    model = make_model()
    wanted = [percent_to_sigma(model)(percent) for percent in (0.1, 0.5, 0.9)]
    node = other_schedule(model).object_patches["model_sampling"]
    monkeypatch.setattr(type(model), "is_dynamic", lambda self: True, raising=False)
    exchange_buffers(model.model.model_sampling, node)
    assert model.model.model_sampling.percent_to_sigma(0.5) != wanted[1]
    assert [percent_to_sigma(model)(percent) for percent in (0.1, 0.5, 0.9)] == wanted
    # What a node has set is what counts.
    assert percent_to_sigma(other_schedule(model))(0.5) == node.percent_to_sigma(0.5)


def test_a_sampling_of_another_kind_was_put_there_on_purpose(monkeypatch):
    model = make_model()
    monkeypatch.setattr(type(model), "is_dynamic", lambda self: True, raising=False)
    model.model.model_sampling = other = other_schedule(model).object_patches["model_sampling"]
    assert percent_to_sigma(model)(0.5) == other.percent_to_sigma(0.5)


def test_a_schedule_that_comes_in_while_the_model_is_loaded_is_not_ours(
    model, hifi_net, identity, monkeypatch
):
    plain = make_model().model.model_sampling
    patched = apply_hifi_net(other_schedule(model), hifi_net, identity, None, BOTH)
    ours = patched.object_patches["model_sampling"]
    wanted = copy.deepcopy(ours).percent_to_sigma(0.5)
    load, steps = comfy.model_management.load_models_gpu, []

    def loaded(*args, **kwargs):
        load(*args, **kwargs)
        exchange_buffers(ours, plain)

    monkeypatch.setattr(comfy.model_management, "load_models_gpu", loaded)

    def context(*args):
        steps.append(step_context(*args))
        return steps[-1]

    monkeypatch.setattr("hifi_portrait.patching.wrappers.step_context", context)
    sample(patched)
    assert {step.percent_to_sigma(0.5) for step in steps} == {wanted}
    assert ours.percent_to_sigma(0.5) != wanted

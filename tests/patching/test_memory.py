"""How our networks are kept: the host's own kind of patcher, types of weights, and what is reserved."""

from __future__ import annotations

import comfy.model_management
import comfy.model_patcher
import pytest
import torch
from hifi_portrait.models import checkpoint
from hifi_portrait.models.memory import prepared_bytes, residual_bytes
from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.blocks import unet_layout
from hifi_portrait.patching.host import managed
from hifi_portrait.patching.loading import WEIGHT_DTYPES, load_hifi_net
from hifi_portrait.patching.memory import run_bytes
from hifi_portrait.patching.run_cache import tensor_bytes
from hifi_portrait.patching.run_state import RunState
from hifi_portrait.patching.settings import PatchSettings
from hifi_portrait.tiny.base_file import BASE_FILE
from hifi_portrait.tiny.model import load_tiny_portrait_model

from benchmarks.host_memory import reserved_and_used
from tests.patching.small import CONFIG, make_identity, make_landmarks, sample

ON = PatchSettings(1.0, 1.0)


class OfTheHost(comfy.model_patcher.ModelPatcher):
    """Stands for what a newer host puts in the place of ``CoreModelPatcher`` at its start."""


@pytest.fixture
def newer_host(monkeypatch):
    monkeypatch.setattr(comfy.model_patcher, "CoreModelPatcher", OfTheHost, raising=False)


def test_all_our_networks_are_kept_as_the_hosts_own(newer_host, checkpoint_file):
    model, _, vae = load_tiny_portrait_model(BASE_FILE)
    for patcher in (load_hifi_net(checkpoint_file).patcher, model, vae.patcher):
        assert type(patcher) is OfTheHost


def test_older_hosts_have_one_kind(monkeypatch, checkpoint_file):
    monkeypatch.delattr(comfy.model_patcher, "CoreModelPatcher", raising=False)
    assert type(load_hifi_net(checkpoint_file).patcher) is comfy.model_patcher.ModelPatcher


def test_the_host_can_load_them_again_from_their_files(newer_host, checkpoint_file):
    """As newer hosts do: for another device, or in the plain kind for a run with hooks."""
    first = load_hifi_net(checkpoint_file, weight_dtype="bf16").patcher
    function, arguments = first.cached_patcher_init
    again = function(*arguments, disable_dynamic=True)
    assert type(again) is comfy.model_patcher.ModelPatcher
    assert again.model is not first.model
    ours, theirs = first.model.state_dict(), again.model.state_dict()
    assert all(theirs[key].dtype == value.dtype and theirs[key].equal(value) for key, value in ours.items())

    base = load_tiny_portrait_model(BASE_FILE)[0]
    function, arguments, which = base.cached_patcher_init
    again = function(*arguments, disable_dynamic=True)[which]
    assert type(again) is comfy.model_patcher.ModelPatcher
    assert again.model.diffusion_model is not base.model.diffusion_model


def test_a_network_that_cannot_be_loaded_again_says_so(newer_host):
    assert (
        managed(torch.nn.Linear(1, 1), torch.device("cpu"), torch.device("cpu")).cached_patcher_init is None
    )


@pytest.mark.parametrize("name", [name for name, dtype in WEIGHT_DTYPES.items() if dtype])
def test_weights_are_kept_as_asked(checkpoint_file, name):
    network = load_hifi_net(checkpoint_file, weight_dtype=name).network
    dtype = WEIGHT_DTYPES[name]
    matrices = [
        module.weight
        for module in network.modules()
        if hasattr(module, "comfy_cast_weights") and module.weight.ndim > 1
    ]
    assert matrices
    assert {weight.dtype for weight in matrices} == {dtype}
    small = {p.dtype for p in network.parameters() if not any(p is weight for weight in matrices)}
    # Norms, biases and free parameters of one byte would be lost on those who read them without casting.
    assert small == {dtype if dtype.itemsize > 1 else torch.float32}


@pytest.mark.parametrize(("name", "most"), [("fp16", 1e-3), ("bf16", 0.01), ("fp8_e4m3fn", 0.1)])
def test_pictures_hardly_depend_on_how_weights_are_kept(model, checkpoint_file, hifi_net, name, most):
    """Distance of the latents, as a part of what HiFi-Net changes at all."""
    person, where = make_identity(hifi_net.network, 0), make_landmarks()
    exact = sample(apply_hifi_net(model, hifi_net, person, where, ON))
    changed = float((exact - sample(model)).norm())
    kept = load_hifi_net(checkpoint_file, weight_dtype=name)
    assert kept.checkpoint_id == hifi_net.checkpoint_id
    rounded = sample(apply_hifi_net(model, kept, person, where, ON))
    assert 0.0 < float((rounded - exact).norm()) < most * changed


def test_weights_that_one_byte_cannot_hold_are_refused(network, tmp_path):
    state = {key: value.clone() for key, value in network.state_dict().items()}
    state["hifi_net.conv_in.weight"][0, 0, 0, 0] = 500.0
    path = tmp_path / "large.safetensors"
    checkpoint.save(path, state, CONFIG)
    assert load_hifi_net(path, weight_dtype="fp16").network
    with pytest.raises(checkpoint.CheckpointError, match=r"^large\.safetensors: .*448.*weight_dtype$"):
        load_hifi_net(path, weight_dtype="fp8_e4m3fn")


# Reserved memory ------------------------------------------------------------------------------------------
def asked_for(model, monkeypatch, **options):
    """Return what the host makes room for before it samples a MODEL: bytes wanted, and at least."""
    load, asked = comfy.model_management.load_models_gpu, []

    def loaded(models, memory_required=0, force_patch_weights=False, minimum_memory_required=None, **rest):
        asked.append((memory_required, minimum_memory_required))
        return load(models, memory_required=memory_required, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(comfy.model_management, "load_models_gpu", loaded)
        sample(model, steps=1, **options)
    (found,) = asked
    return found


@pytest.mark.parametrize("settings", [ON, PatchSettings(1.0, 1.0, unconditional="zero identity")])
def test_the_host_makes_room_for_what_a_run_takes(
    model, hifi_net, identity, landmarks, monkeypatch, settings
):
    layout = unet_layout(model.model.diffusion_model)
    patched = apply_hifi_net(model, hifi_net, identity, landmarks, settings)
    before = asked_for(model, monkeypatch, size=(24, 16), batch=2)
    after = asked_for(patched, monkeypatch, size=(24, 16), batch=2)
    (hook,) = patched.wrappers["prepare_sampling"]["hifi_portrait"]
    size = run_bytes(hook.patches, layout, model, (2, 4, 24, 16))
    assert size > 100_000
    assert [b - a for a, b in zip(before, after, strict=True)] == pytest.approx([size] * 2)


def test_another_person_takes_memory_too(model, hifi_net, identity, landmarks, monkeypatch):
    sizes = [asked_for(model, monkeypatch)[0]]
    for _ in range(2):
        model = apply_hifi_net(model, hifi_net, identity, landmarks, ON)
        sizes.append(asked_for(model, monkeypatch)[0])
    assert sizes[0] < sizes[1] < sizes[2]
    # Their residuals are added up in one.
    assert sizes[2] - sizes[1] < sizes[1] - sizes[0]


@pytest.mark.parametrize("faces", [0, 3])
def test_sizes_are_those_of_the_tensors(model, hifi_net, monkeypatch, faces):
    person = make_identity(hifi_net.network, 0, faces=max(faces, 1))
    kept, close = [], RunState.close

    def closed(self):
        kept.extend(self.cache.bounded.values())
        close(self)

    monkeypatch.setattr(RunState, "close", closed)
    settings = PatchSettings(1.0, 1.0, fusion_strength=float(faces > 0))
    where = make_landmarks((10.0, 5.0, 0.0), (-10.0, 5.0, 0.0), width=200, height=120)
    sample(apply_hifi_net(model, hifi_net, person, where, settings), size=(15, 25), batch=2)
    (prepared,) = kept
    details = person.detail.tokens.shape[1] if faces else 0
    wanted = prepared_bytes(CONFIG, 2, 15, 25, 4, person.tokens.shape[1], details)
    assert tensor_bytes(prepared) == pytest.approx(wanted, rel=0.01)  # the keys' bias is left out

    x, y = torch.zeros(2, 4, 15, 25), torch.zeros(2, CONFIG.vector_dim)
    with torch.no_grad():
        residuals = hifi_net.network.hifi_net.step(x, torch.zeros(2), y, prepared)
    assert tensor_bytes([*residuals.down, residuals.mid]) == residual_bytes(CONFIG, 2, 15, 25, 4)


def test_what_is_reserved_fits_what_a_run_takes():
    """On the processor, whose allocator is listened to; ``benchmarks/host_memory.py`` has more cases."""
    reserved, used = reserved_and_used(ON, 1, 1)
    assert 0.9 < reserved / used < 1.5

"""What is detected of the host: asked of the real one, and of stand-ins for older and newer ones."""

from __future__ import annotations

from types import SimpleNamespace

import comfy.latent_formats
import comfy.model_sampling as sampling
import pytest
from hifi_portrait.patching import host

from tests.patching.small import make_model


def made_of(*kinds, **values):
    made = type("ModelSampling", kinds, {})()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_predictions_are_told_by_what_the_host_makes_of_them():
    discrete = sampling.ModelSamplingDiscrete
    assert host.prediction_type(make_model().model.model_sampling) == "eps"
    assert host.prediction_type(made_of(discrete, sampling.V_PREDICTION)) == "v"
    for other in (sampling.EDM, sampling.X0, sampling.CONST):
        assert host.prediction_type(made_of(discrete, other)) == "other"
    # Latents of another variance are scaled in another way, whatever the class is called.
    assert host.prediction_type(made_of(discrete, sampling.V_PREDICTION, sigma_data=0.5)) == "other"


def test_samplings_of_the_hosts_nodes_are_told_too():
    from comfy_extras import nodes_model_advanced as nodes

    distilled = made_of(nodes.ModelSamplingDiscreteDistilled, nodes.LCM)
    assert host.prediction_type(distilled) == "eps"


def test_the_latent_format_tells_its_downscale():
    assert host.latent_downscale(comfy.latent_formats.SDXL()) == 8
    assert host.latent_downscale(SimpleNamespace(spacial_downscale_ratio=16)) == 16


def test_windows_tell_their_pictures():
    window = SimpleNamespace(index_list=[3, 4], dim=0)
    assert host.window_indices({"context_window": window}, 2) == [3, 4]
    assert host.window_indices({"context_window": window}, 3) == [0, 1, 2]
    assert host.window_indices({"context_window": SimpleNamespace(index_list=[3, 4], dim=2)}, 2) == [0, 1]
    anchored = SimpleNamespace(index_list=[3, 4], dim=0, causal_anchor_index=2)
    assert host.window_indices({"context_window": anchored}, 3) == [2, 3, 4]
    anchored.causal_anchor_index = -1
    assert host.window_indices({"context_window": anchored}, 2) == [3, 4]
    assert host.window_indices({"ad_params": {"sub_idxs": [5, 6]}}, 2) == [5, 6]
    assert host.window_indices({}, 2) == [0, 1]


@pytest.mark.parametrize(("length", "size"), [(96, (8, 12)), (24, (4, 6)), (6, (2, 3)), (7, (1, 7))])
def test_layers_have_the_pictures_aspect(length, size):
    options = {"original_shape": (2, 4, 16, 24), "activations_shape": (2, 4, 3, 2)}
    if length == 6:
        assert host.layer_size(options, 6) == (3, 2), "the host tells"
    del options["activations_shape"]
    assert host.layer_size(options, length) == size


def test_functions_are_kept_out_of_compilation_as_one_object():
    import torch._dynamo

    def function(x):
        return x + 1

    assert torch._dynamo is not None
    wrapped = host.outside_of_compilation(function)
    assert wrapped is host.outside_of_compilation(function)
    assert wrapped(torch.zeros(1)) == 1

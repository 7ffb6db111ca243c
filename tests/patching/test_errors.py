"""What does not fit together is refused in one line that names both sides."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hifi_portrait.models.checkpoint import CheckpointError
from hifi_portrait.patching.apply import apply_hifi_net
from hifi_portrait.patching.blocks import unet_layout
from hifi_portrait.patching.loading import load_hifi_net

from tests.patching.small import CONFIG, make_hifi_net, make_identity, make_model


def refusal(model, hifi_net, identity) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the text is what is looked at
        apply_hifi_net(model, hifi_net, identity, None)
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [
        ({"latent_channels": 16}, "latent channels 16 against 4"),
        ({"hint_widths": (8, 8, 16)}, "pixels per latent pixel 4 against 8"),
        ({"context_dim": 96}, "length of text tokens 96 against 64"),
        ({"pooled_dim": 64}, "length of pooled conditioning 1600 against 2816"),
        ({"mid_depth": 1}, "number of cross-attention layers 16 against 17"),
        ({"transformer_depth": (0, 2, 1), "mid_depth": 2}, "place of cross-attention layers"),
        ({"block_out_channels": (32, 32, 128)}, "width of cross-attention layers"),
    ],
)
def test_a_checkpoint_for_another_model(model, changes, culprit):
    hifi_net = make_hifi_net(replace(CONFIG, **changes), 0)
    text = refusal(model, hifi_net, make_identity(hifi_net.network, 0))
    assert text.startswith("HiFi-Net 'random' does not fit this MODEL (SDXL): ")
    assert culprit in text


def test_a_model_that_is_no_unet(model, hifi_net, identity):
    other = model.clone()
    other.add_object_patch("diffusion_model", object())
    assert "not a UNet; load an SDXL checkpoint" in refusal(other, hifi_net, identity)


def test_an_identity_of_another_recognizer(model, hifi_net, identity):
    text = refusal(model, hifi_net, replace(identity, recognizer="antelopev2"))
    assert "'antelopev2'" in text
    assert "'sface'" in text


def test_an_identity_of_another_checkpoint(model, hifi_net, identity):
    text = refusal(model, hifi_net, replace(identity, checkpoint="0123"))
    assert "'0123'" in text
    assert hifi_net.checkpoint_id in text
    assert "run Refine Faces with this HiFi-Net" in text


def test_a_file_that_is_no_checkpoint(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=r"other\.safetensors"):
        load_hifi_net(path)


def test_layers_of_sdxl_have_a_group_each():
    # SDXL's own layout, ten and two transformer blocks deep, on a narrow model.
    deep = make_model(
        0,
        transformer_depth=[0, 0, 2, 2, 10, 10],
        transformer_depth_middle=10,
        transformer_depth_output=[0, 0, 0, 2, 2, 2, 10, 10, 10],
    )
    layout = unet_layout(deep.model.diffusion_model)
    assert len(layout.layers) == 70
    groups = {(layer.block, layer.number): layer.group for layer in layout.layers}
    assert sorted(groups.values()) == list(range(1, 12))
    assert layout.residual_groups == (0, 0, 0, 0, 1, 2, 0, 3, 4, 5)

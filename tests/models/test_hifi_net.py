"""HiFi-Net against diffusers' ControlNet, and what references may and may not change."""

from copy import deepcopy
from dataclasses import fields, replace

import pytest
import torch
from diffusers import ControlNetModel
from hifi_portrait.models import DetailTokens, FaceBatch, HiFiNetConfig, HiFiPortrait, build
from hifi_portrait.models.hifi_net import HiFiNet
from hifi_portrait.models.layers import shrink_coordinates

from tests.models.networks import OTHER, SMALL, TEXTURED, random_faces, random_inputs
from tests.models.parity import controlnet_difference, outputs_of, picked, relative_difference


def largest_difference(a, b) -> float:
    """Of any residual, absolute."""
    pairs = zip((*a.down, a.mid), (*b.down, b.mid), strict=True)
    return max(float((x - y).abs().max()) for x, y in pairs)


def doubled(portrait, faces, inputs):
    """The same in double precision."""
    values = {f.name: getattr(faces, f.name) for f in fields(faces)}
    faces = FaceBatch(**{k: v if v is None else v.double() for k, v in values.items()})
    changed = {k: v.double() for k, v in inputs.items() if k != "target"}
    changed["target"] = inputs["target"].each(torch.Tensor.double)
    return deepcopy(portrait).double(), faces, changed


@pytest.mark.parametrize("config", [SMALL, OTHER, TEXTURED], ids=["sdxl-like", "other", "textured"])
@pytest.mark.parametrize("size", [(16, 16), (12, 20)], ids=str)
def test_trunk_equals_diffusers_controlnet(config, size):
    assert controlnet_difference(config, *size) <= 1e-5


def test_sdxl_trunk_has_the_names_and_shapes_of_diffusers_controlnet():
    with torch.device("meta"):
        reference = ControlNetModel(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            block_out_channels=(320, 640, 1280),
            cross_attention_dim=2048,
            attention_head_dim=(5, 10, 20),
            transformer_layers_per_block=(1, 2, 10),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
    ours = HiFiNet(HiFiNetConfig.sdxl(), device="meta").state_dict()
    trunk = {k: tuple(v.shape) for k, v in ours.items() if ".fusion." not in k}
    assert trunk == {k: tuple(v.shape) for k, v in reference.state_dict().items()}
    fused = {k.split(".fusion.")[0] for k in ours if ".fusion." in k}
    assert len(fused) == 34  # every transformer block


def test_sdxl_adapter_has_instantids_matrices_and_projection():
    state = HiFiPortrait(HiFiNetConfig.sdxl(), device="meta").state_dict()
    adapter = {k.removeprefix("identity_attention."): tuple(v.shape) for k, v in state.items() if "_ip." in k}
    widths = [640] * 4 + [1280] * 20 + [1280] * 30 + [640] * 6 + [1280] * 10  # down, up, middle
    assert adapter == {
        f"{2 * i + 1}.{name}.weight": (width, 2048)
        for i, width in enumerate(widths)
        for name in ("to_k_ip", "to_v_ip")
    }
    assert len(adapter) == 140
    prefix = "refiner.image_proj."
    shapes = {k.removeprefix(prefix): tuple(v.shape) for k, v in state.items() if k.startswith(prefix)}
    assert shapes["latents"] == (1, 16, 1280)
    assert shapes["proj_in.weight"] == (1280, 512)
    assert shapes["proj_out.weight"] == (2048, 1280)
    assert shapes["layers.3.0.to_kv.weight"] == (2560, 1280)
    assert shapes["layers.3.1.1.weight"] == (5120, 1280)
    assert len(shapes) == 7 + 4 * 11


def test_identity_layers_name_the_hosts_blocks():
    layers = HiFiNetConfig.sdxl().identity_layers()
    numbers = {
        block: sorted({x.number for x in layers if x.block == block})
        for block in ("input", "output", "middle")
    }
    assert numbers == {"input": [4, 5, 7, 8], "output": [0, 1, 2, 3, 4, 5], "middle": [0]}
    assert [(x.block, x.number, x.depth) for x in layers[:3]] == [
        ("input", 4, 0),
        ("input", 4, 1),
        ("input", 5, 0),
    ]
    assert len(layers) == 70


@pytest.mark.parametrize("order", [[2, 0, 1, 3], [3, 2, 1, 0]])
def test_order_of_references_changes_nothing(small, order):
    faces = random_faces(SMALL, 4)
    inputs = random_inputs(SMALL)
    assert (
        relative_difference(outputs_of(small, faces, inputs), outputs_of(small, picked(faces, order), inputs))
        <= 1e-6
    )


def test_weight_zero_is_the_same_as_leaving_out(small):
    faces, inputs = random_faces(SMALL, 4), random_inputs(SMALL)
    zero = replace(faces, weights=faces.weights * torch.tensor([1.0, 0.0, 1.0, 1.0]))
    without = outputs_of(small, picked(faces, [0, 2, 3]), inputs)
    assert relative_difference(without, outputs_of(small, zero, inputs)) <= 1e-6
    assert (
        relative_difference(without, outputs_of(small, faces, inputs)) > 1e-3
    )  # a weight above 0 does count


def test_both_hold_exactly_but_for_rounding(small):
    """In double precision nothing is left of the differences that single precision's sums make."""
    small, faces, inputs = doubled(small, random_faces(SMALL, 4), random_inputs(SMALL))
    wanted = outputs_of(small, faces, inputs)
    # Places on the face are computed in single precision, as the host does with positions.
    assert relative_difference(wanted, outputs_of(small, picked(faces, [3, 0, 2, 1]), inputs)) <= 1e-12
    zero = replace(faces, weights=faces.weights * torch.tensor([1.0, 1.0, 0.0, 1.0]))
    without = outputs_of(small, picked(faces, [0, 1, 3]), inputs)
    assert relative_difference(without, outputs_of(small, zero, inputs)) <= 1e-6


def test_only_ratios_of_weights_matter(small):
    faces = random_faces(SMALL, 3)
    tokens, detail = small.refiner(faces)
    again, same = small.refiner(replace(faces, weights=faces.weights * 7))
    assert torch.allclose(tokens, again, atol=1e-6)
    assert torch.allclose(detail.bias, same.bias, atol=1e-6)


def test_all_weights_zero_is_refused(small):
    faces = random_faces(SMALL, 2)
    with pytest.raises(ValueError, match="weight 0"):
        small.refiner(replace(faces, weights=torch.zeros(2)))


@pytest.mark.parametrize("count", [1, 2, 8, 32])
def test_any_number_of_references(small, count):
    tokens, detail = small.refiner(random_faces(SMALL, count))
    assert tokens.shape == (1, SMALL.identity_tokens, SMALL.context_dim)
    assert detail.tokens.shape == (1, count * SMALL.detail_tokens, SMALL.detail_channels)
    out = small.hifi_net(context=tokens.expand(2, -1, -1), detail=detail, **random_inputs(SMALL))
    assert out.mid.isfinite().all()


def test_a_batch_of_people_equals_each_alone(small):
    batches = [random_faces(SMALL, n, seed=n) for n in (3, 2)]
    alone = [small.refiner(b) for b in batches]

    def filled(name):
        first, second = (getattr(b, name) for b in batches)
        return torch.stack([first, torch.cat([second, torch.zeros_like(second[:1])])])

    together, detail = small.refiner(
        FaceBatch(filled("crops"), filled("coords"), filled("embeddings"), filled("weights"))
    )
    for row, (tokens, _) in enumerate(alone):
        assert (together[row] - tokens[0]).abs().max() <= 1e-5
    count = 2 * SMALL.detail_tokens
    assert (detail.tokens[1, :count] - alone[1][1].tokens[0]).abs().max() <= 1e-5
    assert torch.isneginf(detail.bias[1, count:]).all()


def test_fusion_scale_zero_and_no_detail_are_the_same(small):
    tokens, detail = small.refiner(random_faces(SMALL, 2))
    tokens, inputs = tokens.expand(2, -1, -1), random_inputs(SMALL)
    without = small.hifi_net(context=tokens, **inputs)
    none = small.hifi_net(context=tokens, detail=DetailTokens.none(), **inputs)
    off = small.hifi_net(context=tokens, detail=detail, fusion_scale=0.0, **inputs)
    on = small.hifi_net(context=tokens, detail=detail, **inputs)
    assert largest_difference(without, off) == 0
    assert largest_difference(without, none) == 0
    assert largest_difference(without, on) > 1e-3


def test_step_on_prepared_equals_a_whole_call(small):
    tokens, detail = small.refiner(random_faces(SMALL, 2))
    tokens, inputs = tokens.expand(2, -1, -1), random_inputs(SMALL)
    prepared = small.hifi_net.prepare(inputs["target"], tokens, detail)
    stepped = small.hifi_net.step(inputs["x"], inputs["timesteps"], inputs["y"], prepared)
    assert largest_difference(stepped, small.hifi_net(context=tokens, detail=detail, **inputs)) == 0


def test_background_of_the_target_reads_no_places(small):
    """Where the target shows no face, canonical coordinates are without effect."""
    tokens, detail = small.refiner(random_faces(SMALL, 2))
    inputs = random_inputs(SMALL)
    coords = torch.zeros_like(inputs["target"].coords)
    inputs["target"] = replace(inputs["target"], coords=coords)
    blank = small.hifi_net(context=tokens.expand(2, -1, -1), detail=detail, **inputs)
    coords[:, :2] = 0.5
    assert (
        largest_difference(blank, small.hifi_net(context=tokens.expand(2, -1, -1), detail=detail, **inputs))
        == 0
    )


def test_untrained_network_adds_nothing():
    portrait = build(SMALL, seed=1).requires_grad_(False)
    tokens, detail = portrait.refiner(random_faces(SMALL, 2))
    out = portrait.hifi_net(context=tokens.expand(2, -1, -1), detail=detail, **random_inputs(SMALL))
    assert all(float(t.abs().max()) == 0 for t in (*out.down, out.mid))
    assert float(portrait.identity_attention.keys_values(0, tokens)[1].abs().max()) == 0


def test_same_seed_same_weights():
    a, b, c = (build(SMALL, seed=seed).state_dict() for seed in (5, 5, 6))
    assert all(a[k].equal(b[k]) for k in a)
    assert not all(a[k].equal(c[k]) for k in a)


def test_small_maps_average_the_face_only():
    coords = torch.zeros(1, 3, 2, 2)
    coords[0, :, 0, 0] = torch.tensor([0.2, 0.4, 1.0])
    coords[0, :, 1, 1] = torch.tensor([0.4, 0.8, 1.0])
    assert torch.allclose(shrink_coordinates(coords, 1, 1).flatten(), torch.tensor([0.3, 0.6, 0.5]))
    assert shrink_coordinates(torch.zeros(1, 3, 4, 4), 2, 2).abs().max() == 0


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="transformer_depth"):
        replace(SMALL, transformer_depth=(0, 1))
    with pytest.raises(ValueError, match="crop_size"):
        replace(SMALL, crop_size=36)

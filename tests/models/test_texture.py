"""UV textures: what references may and may not change, and that pixels land where they belong."""

from dataclasses import replace

import pytest
import torch
from hifi_portrait.models import build
from hifi_portrait.models.texture import warp_texture

from tests.models.networks import TEXTURED, random_faces, random_inputs, random_portrait
from tests.models.parity import outputs_of, picked, relative_difference


@pytest.fixture(scope="module")
def portrait():
    return random_portrait(TEXTURED)


def fused(portrait, faces):
    return portrait.refiner(faces)[1].texture


def test_order_changes_nothing_and_a_face_of_weight_0_is_not_there(portrait):
    faces, inputs = random_faces(TEXTURED, 4), random_inputs(TEXTURED)
    whole = outputs_of(portrait, faces, inputs)
    assert relative_difference(whole, outputs_of(portrait, picked(faces, [2, 0, 3, 1]), inputs)) < 1e-5
    silent = replace(faces, weights=faces.weights * torch.tensor([1.0, 1, 1, 0]))
    three = outputs_of(portrait, picked(faces, [0, 1, 2]), inputs)
    assert relative_difference(three, outputs_of(portrait, silent, inputs)) < 1e-5
    assert relative_difference(whole, three) > 1e-3
    louder = replace(faces, weights=faces.weights * 7)
    assert torch.allclose(fused(portrait, faces), fused(portrait, louder), atol=1e-5)


def test_what_nobody_sees_is_empty_and_what_one_sees_is_his(portrait):
    faces = random_faces(TEXTURED, 2)
    faces.textures[:, 3] = 0.0
    faces.textures[0, 3, :8] = 1.0
    head = fused(portrait, faces)[0]
    assert not head[:, 8:].any()
    confidence = head[3, :8]
    assert (confidence > 0).all()
    assert (confidence < 1).all()
    assert torch.allclose(head[:3, :8], faces.textures[0, :3, :8] * confidence, atol=2e-3)


def test_without_training_textures_change_nothing(portrait):
    untrained = build(TEXTURED, seed=0).requires_grad_(False)
    faces, inputs = random_faces(TEXTURED, 3), random_inputs(TEXTURED)
    for net, same in ((untrained, True), (portrait, False)):
        shown = outputs_of(net, faces, inputs)
        hidden = outputs_of(net, replace(faces, textures=None), inputs)
        assert (relative_difference(shown, hidden) == 0) == same


def test_strength_scales_what_textures_add_and_prepared_steps_equal_whole_calls(portrait):
    net = portrait.hifi_net
    tokens, detail = portrait.refiner(random_faces(TEXTURED, 3))
    tokens, inputs = tokens.expand(2, -1, -1), random_inputs(TEXTURED)
    step = {k: inputs.pop(k) for k in ("x", "timesteps", "y")}
    ready = net.prepare(context=tokens, detail=detail, **inputs)
    whole = net(context=tokens, detail=detail, **inputs, **step)
    again = net.step(**step, prepared=ready)
    assert torch.equal(whole.mid, again.mid)
    off = net(context=tokens, detail=detail, fusion_scale=0.0, **inputs, **step)
    assert torch.equal(off.mid, net.step(**step, prepared=ready, fusion_scale=0.0).mid)
    alone = replace(ready, fusion=(None,) * len(ready.fusion))
    first = [net.step(**step, prepared=alone, fusion_scale=s).down[0] for s in (0.0, 0.5, 1.0)]
    assert torch.allclose(first[1] - first[0], first[2] - first[1], atol=1e-5)


def test_the_uv_map_of_the_target_is_asked_for(portrait):
    tokens, detail = portrait.refiner(random_faces(TEXTURED, 2))
    inputs = random_inputs(TEXTURED)
    inputs["target"] = replace(inputs["target"], uv_map=None)
    with pytest.raises(ValueError, match="uv_map"):
        portrait.hifi_net(context=tokens.expand(2, -1, -1), detail=detail, **inputs)


def test_pixels_land_where_they_belong():
    size = 32
    ramp = (torch.arange(size) + 0.5) / size
    texture = torch.stack([ramp.expand(size, size), ramp[:, None].expand(size, size)])[None]
    uv_map = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05
    uv_map[:, 2] = 1.0
    uv_map[0, :, 3, 4] = 0.0
    warped = warp_texture(texture, uv_map)
    assert torch.allclose(warped[:, :2], uv_map[:, :2], atol=1e-5)
    assert not warped[0, :, 3, 4].any()


def test_a_configuration_with_textures_and_no_tokens_is_refused():
    with pytest.raises(ValueError, match="texture_size"):
        replace(TEXTURED, detail_channels=0)
    with pytest.raises(ValueError, match="multiple of 8"):
        replace(TEXTURED, texture_size=20)

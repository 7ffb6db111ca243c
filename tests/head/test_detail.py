"""Skin detail moves from a render into a picture: pores and moles, never hues, eyes or surroundings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hifi_portrait.head.detail import transfer_detail
from kornia.color import rgb_to_lab
from kornia.filters import gaussian_blur2d
from PIL import Image

SKIN = torch.tensor([0.75, 0.55, 0.45])


def skin(size=96):
    return (SKIN * torch.linspace(0.8, 1.0, size)[None, :, None]).expand(size, size, 3)[None].clone()


def pored(picture, seed=0, amount=0.06):
    noise = torch.randn(1, *picture.shape[1:3], generator=torch.Generator().manual_seed(seed))
    return (picture * (1 + amount * noise[..., None])).clamp(0, 1)


def blurred(picture, sigma):
    return gaussian_blur2d(picture.movedim(-1, 1), (31, 31), (sigma, sigma)).movedim(1, -1)


def ones(picture):
    return torch.ones(picture.shape[:3])


def contrast(picture):
    """Return the high band's strength, away from the border."""
    return (picture - blurred(picture, 3.0))[:, 16:-16, 16:-16].std().item()


def test_waxy_skin_gets_its_pores_back():
    wax = skin()
    render = pored(wax * 0.8)
    out = transfer_detail(wax, render, ones(wax))
    assert contrast(wax) < 0.05 * contrast(render)
    assert 0.6 * contrast(render) < contrast(out) < 1.6 * contrast(render)
    inner = (slice(None), slice(16, -16), slice(16, -16), 0)
    high = [(p - blurred(p, 3.0))[inner].flatten() for p in (out, render)]
    assert torch.corrcoef(torch.stack(high))[0, 1] > 0.95


def test_a_mole_is_carried_over_and_light_is_not():
    wax, render = skin(), skin() * torch.linspace(1.0, 0.4, 96)[None, None, :, None]
    render[:, 46:50, 46:50] *= 0.5
    out = transfer_detail(wax, render, ones(wax))
    assert out[0, 47, 47, 0] < 0.8 * wax[0, 47, 47, 0]
    far = torch.ones(96, 96, dtype=torch.bool)
    far[30:66, 30:66] = False
    far[:, :16] = far[:, -16:] = far[:16] = far[-16:] = False
    torch.testing.assert_close(out[0][far], wax[0][far], atol=0.01, rtol=0)


def test_hues_stay():
    wax = skin()
    out = transfer_detail(wax, pored(torch.rand(1, 96, 96, 3) * 0.1 + 0.4), ones(wax), strength=2.0)
    hue = [torch.atan2(lab[:, 2], lab[:, 1]) for lab in (rgb_to_lab(p.movedim(-1, 1)) for p in (wax, out))]
    assert not out.equal(wax)
    torch.testing.assert_close(hue[0], hue[1], atol=0.06, rtol=0)
    # In linear light all channels are scaled alike, where nothing is black or white.
    linear = [p.clamp(min=1e-4) ** 2.2 for p in (wax, out)]
    ratio = linear[1] / linear[0]
    torch.testing.assert_close(ratio[..., 0], ratio[..., 2], atol=0.05, rtol=0.05)


def test_bright_skin_keeps_its_hue_instead_of_clipping():
    bright = torch.tensor([1.0, 0.9, 0.8]).expand(1, 64, 64, 3).clone()
    out = transfer_detail(bright, pored(bright * 0.6, amount=0.2), ones(bright), strength=3.0)
    assert out.max() <= 1.0
    ratio = out[..., 2] / out[..., 0]
    assert ratio.min() > 0.6
    assert ratio.max() < 0.82


def test_strength_0_no_confidence_and_a_black_mask_return_the_picture_bit_for_bit():
    wax = pored(skin(), 3)
    render = pored(wax, 5)
    assert transfer_detail(wax, render, ones(wax), strength=0.0).equal(wax)
    assert transfer_detail(wax, render, 0 * ones(wax)).equal(wax)
    assert transfer_detail(wax, render, ones(wax), mask=torch.zeros(96, 96)).equal(wax)


def test_outside_of_confidence_and_mask_pixels_are_untouched_bit_for_bit():
    wax, render = pored(skin(), 3), pored(skin(), 5)
    confidence, mask = ones(wax), torch.zeros(96, 96)
    confidence[:, :, 60:] = 0
    mask[20:] = 1
    out = transfer_detail(wax, render, confidence, mask=mask)
    touched = (out != wax).any(-1)[0]
    assert not touched[:, 60:].any()
    assert not touched[:20].any()
    assert touched[30:80, 10:40].float().mean() > 0.9
    render[:, :, 60:] = 7.0
    assert transfer_detail(wax, render.clamp(0, 1), confidence, mask=mask).equal(out), "surroundings leak in"


def test_detail_goes_as_far_as_its_confidence():
    wax, render = skin(), pored(skin())
    full = (transfer_detail(wax, render, ones(wax)) - wax).abs().mean()
    half = (transfer_detail(wax, render, 0.5 * ones(wax)) - wax).abs().mean()
    assert half.item() == pytest.approx(0.5 * full.item(), rel=0.1)


def test_eyes_and_lips_of_the_picture_are_not_drawn_twice():
    wax, render = skin(), skin()
    wax[:, 40:44, 20:76] *= 0.15
    render[:, 46:50, 20:76] *= 0.15
    out = transfer_detail(wax, render, ones(wax))
    alone = transfer_detail(skin(), render, ones(wax))
    added, possible = ((a - b)[0, 46:50, 30:66].abs().mean() for a, b in ((out, wax), (alone, skin())))
    assert possible > 0.1
    assert added < 0.4 * possible


def test_each_picture_has_its_render_and_renders_start_again():
    wax = torch.cat([skin()] * 3)
    renders = torch.cat([pored(skin(), 0), pored(skin(), 1)])
    masks = torch.stack([torch.ones(96, 96), torch.zeros(96, 96)])
    out = transfer_detail(wax, renders, ones(renders))
    for row in range(3):
        one = renders[row % 2][None]
        torch.testing.assert_close(out[row : row + 1], transfer_detail(skin(), one, ones(one)))
    assert transfer_detail(wax, renders, ones(renders), mask=masks)[1].equal(wax[1])


def test_bad_input_is_one_line():
    with pytest.raises(ValueError, match="the picture is 96 x 96, the render 64 x 64") as error:
        transfer_detail(skin(), skin(64), ones(skin(64)))
    assert "\n" not in str(error.value)
    for settings in ({"strength": -1.0}, {"radius": 0.0}, {"strength": float("nan")}):
        with pytest.raises(ValueError, match="must be at least 0"):
            transfer_detail(skin(), skin(), ones(skin()), **settings)


def test_a_real_face_that_was_smoothed_looks_like_skin_again(photos, artifacts):
    """A photo, the same waxed by a smoothing filter in other light, and with the photo's detail."""
    from kornia.filters import bilateral_blur

    with Image.open(photos["biden"]) as file:
        pixels = np.array(file.convert("RGB").crop((360, 90, 760, 500)))
    photo = torch.from_numpy(pixels).float()[None] / 255
    wax = bilateral_blur(photo.movedim(-1, 1), (15, 15), 0.08, (5.0, 5.0)).movedim(1, -1)
    wax = (wax * torch.tensor([0.9, 0.8, 0.7])).clamp(0, 1)
    out = transfer_detail(wax, photo, ones(photo))
    forehead = (slice(None), slice(100, 150), slice(100, 200))
    found = [(p[forehead] - blurred(p, 3.0)[forehead]).std().item() for p in (photo, wax, out)]
    assert found[1] < 0.5 * found[0]
    assert found[2] > 0.6 * found[0]
    sheet = (torch.cat([photo, wax, out], 2)[0] * 255).byte().numpy()
    Image.fromarray(sheet).save(artifacts / "skin_detail.jpg", quality=92)

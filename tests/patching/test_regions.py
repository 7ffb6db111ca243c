"""Where in the picture the rows of a batch lie, and masks of them."""

import pytest
import torch
from hifi_portrait.patching.masks import fit_mask, prepare_mask, row_masks, scale_rows
from hifi_portrait.patching.regions import Region, area_region, locate
from kornia.filters import gaussian_blur2d


def test_area_is_clipped_as_the_host_clips_it():
    assert area_region(None, 16, 24) == Region(0, 0, 16, 24)
    assert area_region((8, 8, 4, 20), 16, 24) == Region(4, 20, 8, 4)
    # The host gives areas of more dimensions for video; the last two count.
    assert area_region((1, 8, 8, 0, 2, 3), 16, 24) == Region(2, 3, 8, 8)


def test_a_tile_is_found_by_its_content():
    picture = torch.randn(4, 20, 30, generator=torch.Generator().manual_seed(0))
    assert locate(picture[:, 7:15, 11:23], picture) == Region(7, 11, 8, 12)
    assert locate(picture, picture) == Region(0, 0, 20, 30)
    assert locate(torch.randn(4, 8, 8), picture) is None
    assert locate(torch.zeros(4, 8, 8), torch.zeros(4, 16, 16)) is None


def test_masks_are_cut_at_the_rows_places():
    mask = torch.zeros(2, 16, 16)
    mask[0, :, 8:] = 1
    mask[1, 8:] = 1
    rows = row_masks(mask, ((0, Region(0, 4, 8, 8)), (1, Region(4, 0, 8, 8)), (2, Region(0, 4, 8, 8))))
    assert rows.shape == (3, 1, 8, 8)
    assert rows[0, 0, :, 4:].eq(1).all()
    assert rows[0, 0, :, :4].eq(0).all()
    assert rows[1, 0, 4:].eq(1).all()
    assert rows[1, 0, :4].eq(0).all()
    assert rows[2].equal(rows[0])
    assert scale_rows(rows, 2, 2)[0, 0].tolist() == [[0, 1], [0, 1]]


def test_mask_that_covers_everything_is_no_mask():
    assert prepare_mask(None) is None
    assert prepare_mask(torch.ones(8, 8)) is None
    assert prepare_mask(torch.ones(1, 8, 8), feather=3) is None
    assert prepare_mask(torch.zeros(8, 8)).shape == (1, 8, 8)


def gaussian(mask, width):
    """The feather at full size, by a kernel of the definition."""
    sigma, radius = width / 2, width
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    padded = torch.nn.functional.pad(mask[:, None], (radius,) * 4, mode="replicate")
    across = torch.nn.functional.conv2d(padded, kernel[None, None, None])
    return torch.nn.functional.conv2d(across, kernel[None, None, :, None])[:, 0]


@pytest.mark.parametrize("width", [6, 31, 32, 64, 150])
def test_a_wide_feather_is_the_gaussian_of_its_width(width):
    mask = torch.zeros(2, 401, 520)
    mask[0, 130:270, 160:380] = 1
    mask[1, :, :200] = 1
    assert (prepare_mask(mask, width) - gaussian(mask, width)).abs().max() < 0.02


def test_a_wide_feather_is_made_on_a_small_mask(monkeypatch):
    seen = []

    def blurred(picture, *args, **options):
        seen.append(picture.shape)
        return gaussian_blur2d(picture, *args, **options)

    monkeypatch.setattr("hifi_portrait.patching.masks.gaussian_blur2d", blurred)
    soft = prepare_mask((torch.rand(2048, 2048) > 0.5).float(), 512)
    assert soft.shape == (1, 2048, 2048)
    assert seen == [(1, 1, 64, 64)]


def test_feathering_can_be_interrupted(monkeypatch):
    import comfy.model_management as host

    host.interrupt_current_processing()
    with pytest.raises(host.InterruptProcessingException):
        prepare_mask(torch.zeros(3, 64, 64), 8)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 3), (16, 2000)])
@pytest.mark.parametrize("width", [1, 20, 512])
def test_masks_of_any_shape_are_feathered(size, width):
    mask = torch.zeros(size)
    mask[..., : size[1] // 2 + 1] = 1
    mask[0, 0] = 0.5
    soft = prepare_mask(mask, width)
    assert soft.shape == (1, *size)
    assert soft.min() >= 0
    assert soft.max() <= 1
    assert soft.isfinite().all()


def test_feather_softens_the_edge_and_keeps_the_border():
    mask = torch.zeros(32, 32)
    mask[:, 16:] = 1
    soft = prepare_mask(mask, feather=4)[0]
    assert 0 < soft[16, 14] < soft[16, 17] < 1
    assert soft[16, 2] == 0
    assert soft[16, -1] == soft[0, -1] == 1
    torch.testing.assert_close(soft[16, 15] + soft[16, 16], torch.tensor(1.0))


def test_fit_averages_when_it_shrinks():
    mask = torch.zeros(1, 16, 16)
    mask[:, :, 6:] = 1
    assert fit_mask(mask, 2, 4)[0].tolist() == [[0, 0.5, 1, 1]] * 2
    assert fit_mask(mask, 32, 32).shape == (1, 32, 32)

"""Guide with Head and Transfer Skin Detail in a real ComfyUI, with the shipped tiny model."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from harness.host import HostError

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def uploads(host, tmp_path_factory):
    """A picture to be drawn towards, and a mask of its middle, in the host's input folder."""
    folder = tmp_path_factory.mktemp("uploads")
    y, x = np.mgrid[:128, :128] / 127
    picture = np.stack([0.2 + 0.6 * x, 0.3 + 0.3 * y, 0.7 - 0.5 * x], -1)
    picture += 0.2 * (((x - 0.5) ** 2 + (y - 0.5) ** 2) < 0.06)[..., None]
    Image.fromarray((picture * 255).astype(np.uint8)).save(folder / "render.png")
    half = np.zeros((128, 128, 3), np.uint8)
    half[:, 64:] = 255
    Image.fromarray(half).save(folder / "half.png")
    for name in ("render", "half"):
        host.upload(folder / f"{name}.png", f"guide/{name}.png")
    return np.asarray(Image.open(folder / "render.png"), np.float32)


def graph(**guide):
    """Return a tiny portrait, guided by the uploaded render; ``None`` leaves the guide out."""
    nodes = {
        "1": {
            "class_type": "HiFiPortraitLoadTinyPortraitModel",
            "inputs": {"model_file": "base.safetensors"},
        },
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "blue background"}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ""}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 128, "height": 128, "batch_size": 1}},
        "5": {"class_type": "LoadImage", "inputs": {"image": "guide/render.png"}},
        "6": {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 128, "height": 128}},
        "7": {
            "class_type": "HiFiPortraitGuideWithHead",
            "inputs": {
                "model": ["1", 0],
                "vae": ["1", 2],
                "render": ["5", 0],
                "head_mask": ["6", 0],
                "strength": 1.0,
                "start_percent": 0.0,
                "end_percent": 1.0,
                "falloff": 0.0,
                **guide,
            },
        },
        "8": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["7", 0],
                "positive": ["2", 0],
                "negative": ["3", 0],
                "latent_image": ["4", 0],
                "seed": 3,
                "steps": 4,
                "cfg": 2.5,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        },
        "9": {"class_type": "VAEDecode", "inputs": {"samples": ["8", 0], "vae": ["1", 2]}},
        "10": {"class_type": "PreviewImage", "inputs": {"images": ["9", 0]}},
    }
    return nodes


def run(host, nodes):
    (path,) = host.run(nodes).images(max(nodes, key=int))
    return np.asarray(Image.open(path).convert("RGB"), np.float32)


@pytest.fixture(scope="module")
def plain(host, uploads):
    """The portrait without a guide."""
    nodes = graph()
    nodes["8"]["inputs"]["model"] = ["1", 0]
    return run(host, nodes)


def test_the_picture_becomes_the_render(host, uploads, plain):
    guided = run(host, graph())
    assert np.abs(guided - uploads).mean() < 10
    assert np.abs(plain - uploads).mean() > 30


def test_strength_0_is_the_same_picture(host, plain):
    assert np.array_equal(run(host, graph(strength=0.0)), plain)


def test_shape_only_keeps_the_models_colours(host, uploads, plain):
    both, shape = (run(host, graph(colours=c)) for c in ("colours too", "shape only"))
    mean = [each.mean((0, 1)) for each in (uploads, plain, both, shape)]
    assert np.abs(mean[2] - mean[0]).max() < 10
    assert np.abs(mean[3] - mean[1]).max() < np.abs(mean[3] - mean[0]).max()
    # The disc in the middle, brighter than the ramp around it, is there all the same.
    disc, ring = (shape.mean(-1)[part].mean() for part in (np.s_[52:76, 52:76], np.s_[8:24, 52:76]))
    assert disc - ring > 10


def test_a_mask_keeps_the_other_side(host, uploads):
    nodes = graph(mask=["11", 0])
    nodes["11"] = {
        "class_type": "LoadImageMask",
        "inputs": {"image": "guide/half.png", "channel": "red"},
    }
    (path,) = host.run(nodes).images("10")
    guided = np.asarray(Image.open(path).convert("RGB"), np.float32)
    off = np.abs(guided - uploads).mean((0, 2))
    assert off[72:].mean() < 15
    assert off[:48].mean() > 2 * off[72:].mean()


def test_start_after_end_is_refused_before_anything_runs(host, uploads):
    with pytest.raises(HostError, match=r"start_percent 0.8 lies after end_percent 0.2"):
        host.run(graph(start_percent=0.8, end_percent=0.2))


def test_another_models_vae_is_one_line(host, uploads):
    nodes = graph(vae=["12", 0])
    nodes["12"] = {"class_type": "VAELoader", "inputs": {"vae_name": "pixel_space"}}
    with pytest.raises(HostError, match="the VAE gives 3 latent channels, the MODEL") as error:
        host.run(nodes)
    assert len(str(error.value).strip().splitlines()) == 1


# Transfer Skin Detail ---------------------------------------------------------------------------------------
def skin_graph(size=(128, 128), **inputs):
    nodes = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "guide/render.png"}},
        "2": {
            "class_type": "ImageBlur",
            "inputs": {"image": ["1", 0], "blur_radius": 5, "sigma": 3.0},
        },
        "3": {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 128, "height": 128}},
        "4": {
            "class_type": "EmptyImage",
            "inputs": {"width": size[0], "height": size[1], "batch_size": 1, "color": 0x808080},
        },
        "5": {
            "class_type": "HiFiPortraitTransferSkinDetail",
            "inputs": {
                "image": ["2", 0],
                "render": ["1", 0],
                "head_mask": ["3", 0],
                "strength": 1.0,
                "radius": 8.0,
                **inputs,
            },
        },
        "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
    }
    return nodes


def edge(picture):
    return np.abs(np.diff(picture.mean(-1)[64])).max()


def test_detail_comes_back(host, uploads):
    off, on = (run(host, skin_graph(strength=s)) for s in (0.0, 1.0))
    assert edge(on) > 1.5 * edge(off)


def test_a_mask_leaves_pixels_alone(host, uploads):
    nodes = skin_graph(mask=["7", 0])
    nodes["7"] = {"class_type": "LoadImageMask", "inputs": {"image": "guide/half.png", "channel": "red"}}
    (path,) = host.run(nodes).images("6")
    on = np.asarray(Image.open(path).convert("RGB"), np.float32)
    off = run(host, skin_graph(strength=0.0))
    assert np.array_equal(on[:, :64], off[:, :64])
    assert not np.array_equal(on[:, 64:], off[:, 64:])


def test_a_render_of_another_shape_is_refused_in_one_line(host, uploads):
    with pytest.raises(HostError, match="the picture is 96 x 160, the render 128 x 128") as error:
        host.run(skin_graph(size=(96, 160), image=["4", 0]))
    assert len(str(error.value).strip().splitlines()) == 1


def test_a_larger_picture_takes_the_render_scaled(host, uploads):
    assert run(host, skin_graph(size=(256, 256), image=["4", 0])).shape == (256, 256, 3)

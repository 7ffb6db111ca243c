"""Load HiFi-Net, Apply HiFi-Net and Preview People."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from harness.host import HostError, import_host
from tests.models.reference import ReferenceAdapter, diffusers_controlnet

import_host()

from tests.patching import small  # noqa: E402


# Which checkpoints are offered ---------------------------------------------------------------------------
@pytest.fixture
def models_dir(tmp_path, monkeypatch):
    """ComfyUI's models, with another folder as ``extra_model_paths.yaml`` gives it."""
    import folder_paths

    extra = tmp_path / "elsewhere"
    known = {"hifi_portrait": ([str(tmp_path / "hifi_portrait"), str(extra)], set())}
    known["controlnet"] = ([str(tmp_path / "controlnet")], {".safetensors"})
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    return tmp_path


@pytest.fixture
def checkpoints():
    from hifi_portrait.nodes import checkpoints

    return checkpoints


def test_checkpoints_of_all_folders_are_offered(models_dir, checkpoints):
    from hifi_portrait.models import checkpoint
    from hifi_portrait.models.portrait import build

    network = build(small.CONFIG)
    for place in ("hifi_portrait/mine.safetensors", "elsewhere/deep/other.safetensors"):
        checkpoint.save(models_dir / place, network, small.CONFIG)
    save_file({"x": torch.zeros(1)}, models_dir / "elsewhere" / "identity.safetensors")
    (models_dir / "hifi_portrait" / "broken.safetensors").write_bytes(b"\x00" * 64)
    assert checkpoints.names() == ["tiny (shipped)", "deep/other.safetensors", "mine.safetensors"]
    assert checkpoints.problem("mine.safetensors") is None
    assert checkpoints.load("deep/other.safetensors").name == "deep/other.safetensors"
    before = checkpoints.fingerprint("mine.safetensors")
    checkpoint.save(models_dir / "hifi_portrait/mine.safetensors", network, small.CONFIG, {"title": "new"})
    assert checkpoints.fingerprint("mine.safetensors") != before


def test_what_is_missing_is_named(models_dir, checkpoints):
    assert "'gone.safetensors'" in checkpoints.problem("gone.safetensors")
    assert "ip-adapter.bin" in checkpoints.problem(checkpoints.WARM_START)
    assert "../outside.safetensors" in checkpoints.problem("../outside.safetensors")
    assert "put one there" in checkpoints.problem(checkpoints.NONE_FOUND)


def test_instantid_is_offered_where_other_packs_keep_it(models_dir, checkpoints):
    controlnet, adapter = diffusers_controlnet(small.CONFIG), ReferenceAdapter(small.CONFIG, seed=12)
    network = models_dir / "controlnet" / "instantid" / "diffusion_pytorch_model.safetensors"
    network.parent.mkdir(parents=True)
    save_file(controlnet.state_dict(), network)
    assert checkpoints.WARM_START not in checkpoints.names()
    (models_dir / "instantid").mkdir()
    weights = {"image_proj": adapter.image_proj, "ip_adapter": adapter.ip_adapter}
    torch.save(weights, models_dir / "instantid" / "ip-adapter.bin")
    assert checkpoints.WARM_START in checkpoints.names()
    loaded = checkpoints.load(checkpoints.WARM_START)
    assert loaded.config.recognizer == "antelopev2"
    assert loaded.config.landmark_style == "kps5"
    target = models_dir / "hifi_portrait" / checkpoints.WARM_START_FILE
    written = target.stat().st_mtime_ns
    # Converted once, and not offered a second time under its file's name.
    assert checkpoints.load(checkpoints.WARM_START).checkpoint_id == loaded.checkpoint_id
    assert target.stat().st_mtime_ns == written
    assert checkpoints.WARM_START_FILE not in checkpoints.names()


# In a running ComfyUI ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def two_people(host, photos):
    """A graph with one person on the left and another on the right."""
    graph = {
        "analyzer": {
            "class_type": "HiFiPortraitLoadFaceAnalyzer",
            "inputs": {"analyzer": "open (YuNet + SFace)", "provider": "auto", "missing_files": "ask"},
        },
        "net": {"class_type": "HiFiPortraitLoadHiFiNet", "inputs": {"checkpoint": "tiny (shipped)"}},
        "tiny": {
            "class_type": "HiFiPortraitLoadTinyPortraitModel",
            "inputs": {"model_file": "base.safetensors"},
        },
    }
    half = np.zeros((128, 128, 4), np.uint8)
    half[:, :64] = 255
    for side, mask in (("left", half), ("right", 255 - half)):
        path = host.base / "input" / f"{side}.png"
        # Load Image (as Mask) reads the red channel.
        opaque = mask.copy()
        opaque[..., 3] = 255
        Image.fromarray(opaque).save(path)
        graph[f"mask {side}"] = {
            "class_type": "LoadImageMask",
            "inputs": {"image": f"{side}.png", "channel": "red"},
        }
    source = ["tiny", 0]
    for side, person in (("left", "obama"), ("right", "biden")):
        host.upload(photos[person], f"people/{person}/{person}.jpg")
        graph[f"faces {side}"] = {
            "class_type": "HiFiPortraitLoadReferenceFaces",
            "inputs": {
                "analyzer": ["analyzer", 0],
                "folder": f"people/{person}",
                "pick": "common person",
                "index": 0,
                "other_people": "drop",
            },
        }
        graph[f"identity {side}"] = {
            "class_type": "HiFiPortraitRefineFaces",
            "inputs": {"faces": [f"faces {side}", 0], "hifi_net": ["net", 0]},
        }
        graph[f"apply {side}"] = {
            "class_type": "HiFiPortraitApplyHiFiNet",
            "inputs": {
                "model": source,
                "hifi_net": ["net", 0],
                "identity": [f"identity {side}", 0],
                "mask": [f"mask {side}", 0],
                "identity_strength": 0.8,
                "landmark_strength": 0.8,
                "start_percent": 0.0,
                "end_percent": 1.0,
                "mask_feather": 8,
                "name": person,
            },
        }
        source = [f"apply {side}", 0]
    return graph


@pytest.mark.host
def test_preview_people(host, two_people):
    shown = {
        "class_type": "HiFiPortraitPreviewPeople",
        "inputs": {"model": ["apply right", 0], "width": 128, "height": 128},
    }
    done = host.run({**two_people, "preview": shown})
    (picture,) = done.images("preview")
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    assert pixels.shape == (512, 512, 3)
    assert pixels[400, 100, 2] > pixels[400, 100, 0]
    assert pixels[400, 400, 0] > pixels[400, 400, 2]


@pytest.mark.host
@pytest.mark.parametrize(
    ("node", "changes", "culprit"),
    [
        ("apply left", {"start_percent": 0.9, "end_percent": 0.5}, "start_percent 0.9 lies after"),
        ("apply left", {"blocks": "custom", "block_weights": "1,2"}, "got 2"),
        ("net", {"checkpoint": "none found"}, "put one there"),
    ],
)
def test_wrong_values_are_refused_before_anything_runs(host, two_people, node, changes, culprit):
    graph = {**two_people, node: {**two_people[node], "inputs": {**two_people[node]["inputs"], **changes}}}
    graph["preview"] = {
        "class_type": "HiFiPortraitPreviewPeople",
        "inputs": {"model": ["apply right", 0], "width": 128, "height": 128},
    }
    with pytest.raises(HostError, match=culprit):
        host.run(graph)

"""Read back what a training run, or an export of one, has written."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from ..models import checkpoint
from .config import Recipe
from .system import TinyCodec, TinySystem, tiny


def read_average(run: Path) -> tuple[dict[str, torch.Tensor], TinyCodec, int]:
    """Averaged weights, codec and step of a training run's folder, or of a folder with the shipped files.

    Raises
    ------
    FileNotFoundError
        If the folder holds neither.
    """
    path = run / "checkpoint.safetensors"
    if (run / tiny.BASE_FILE.name).is_file():
        return _read_shipped(run)
    if not path.is_file():
        raise FileNotFoundError(f"{run}: no checkpoint.safetensors; train first with 'hifi-portrait train'.")
    with safe_open(str(path), "pt") as file:
        step = int((file.metadata() or {})["step"])
        stored = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a mapping
    codec_state = {k[6:]: v for k, v in stored.items() if k.startswith("codec/")}
    codec = TinyCodec(len(codec_state["to_latent.weight"]), len(codec_state.get("mend.first.weight", ())))
    codec.load_state_dict(codec_state)
    return {k[8:]: v for k, v in stored.items() if k.startswith("average/")}, codec, step


def _read_shipped(folder: Path) -> tuple[dict[str, torch.Tensor], TinyCodec, int]:
    base_file = folder / tiny.BASE_FILE.name
    config = tiny.base_config(base_file)
    codec, average, codec_state = TinyCodec(config.latent_channels, config.codec_width), {}, {}
    names = {"diffusion_model": "unet", "words": "words"}
    for key, value in load_file(str(base_file)).items():
        part, rest = key.split(".", 1)
        if part == "codec":
            codec_state[rest] = value.float()
        else:
            average[f"{names[part]}.{rest}"] = value.float()
    codec.load_state_dict(codec_state)
    portrait = checkpoint.load(folder / tiny.HIFI_NET_FILE.name, dtype=torch.float32)
    average |= {f"portrait.{k}": v for k, v in portrait.state_dict().items()}
    step = int(json.loads(tiny.read_base_metadata(base_file).get("provenance", "{}")).get("steps", 0))
    return average, codec, step


def load_run(folder: Path) -> tuple[TinySystem, Recipe]:
    """Read the averaged weights of a training run, ready to paint, and its recipe.

    Raises
    ------
    FileNotFoundError
        If the folder holds no checkpoint.
    """
    average, codec, _ = read_average(folder)
    recipe = Recipe.load(folder / "recipe.json")
    system = TinySystem(tiny.TinyBaseConfig(), recipe.shipped_network(), codec)
    system.load_state_dict(average, strict=False)
    return system.eval(), recipe


def load_shipped(folder: Path = tiny.ASSETS) -> TinySystem:
    """Read both files of the tiny model into one system, float32."""
    base = tiny.base_config(folder / tiny.BASE_FILE.name)
    weights, codec, _ = read_average(folder)
    config = checkpoint.read_metadata(folder / tiny.HIFI_NET_FILE.name).config
    system = TinySystem(base, config, codec)
    system.load_state_dict(weights | {f"codec.{k}": v for k, v in codec.state_dict().items()})
    return system.eval()

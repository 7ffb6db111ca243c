"""Read back what a training run, or an export of one, has written."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ..models import checkpoint
from ..tiny import base_file
from ..tiny.codec import TinyCodec
from ..tiny.config import TinyBaseConfig
from .checkpoints import CHECKPOINT
from .config import Recipe
from .system import TinySystem
from .upgrade import read_run

RECIPE = "recipe.json"


def read_ema_weights(run: Path) -> tuple[dict[str, torch.Tensor], TinyCodec, int]:
    """EMA weights, codec and step of a training run's folder, or of a folder with exported files.

    Parameters
    ----------
    run : Path
        Folder with a run's checkpoint, or with ``base.safetensors`` and ``hifi_net.safetensors``.

    Returns
    -------
    tuple
        Tensors by their name in `TinySystem`, the codec, and the number of steps.

    Raises
    ------
    FileNotFoundError
        If the folder holds neither.
    """
    if (run / base_file.BASE_FILE.name).is_file():
        return _read_exported(run)
    if not (run / CHECKPOINT).is_file():
        raise FileNotFoundError(f"{run}: no {CHECKPOINT}; train first with 'hifi-portrait train'.")
    step, stored = read_run(run / CHECKPOINT)
    state = {k[6:]: v for k, v in stored.items() if k.startswith("codec/")}
    codec = TinyCodec(len(state["to_latent.weight"]), len(state.get("refinement.first.weight", ())))
    codec.load_state_dict(state)
    return {k[4:]: v for k, v in stored.items() if k.startswith("ema/")}, codec, step


def _read_exported(folder: Path) -> tuple[dict[str, torch.Tensor], TinyCodec, int]:
    file = folder / base_file.BASE_FILE.name
    config, parts = base_file.base_config(file), base_file.read_base(file)
    codec = TinyCodec(config.latent_channels, config.codec_width)
    codec.load_state_dict(parts["codec"])
    portrait = checkpoint.load(folder / base_file.HIFI_NET_FILE.name, dtype=torch.float32)
    weights = {f"unet.{k}": v for k, v in parts["diffusion_model"].items()}
    weights |= {f"words.{k}": v for k, v in parts["words"].items()}
    weights |= {f"portrait.{k}": v for k, v in portrait.state_dict().items()}
    return weights, codec, int(str(provenance(folder).get("steps", 0)))


def provenance(folder: Path = base_file.ASSETS) -> dict[str, object]:
    """Return what an exported base says about its training."""
    metadata = base_file.read_base_metadata(folder / base_file.BASE_FILE.name)
    return json.loads(metadata.get("provenance", "{}"))


def load_run(folder: Path) -> tuple[TinySystem, Recipe]:
    """Read the EMA weights of a training run, ready to sample, and its recipe.

    Raises
    ------
    FileNotFoundError
        If the folder holds no checkpoint.
    """
    weights, codec, _ = read_ema_weights(folder)
    recipe = Recipe.load(folder / RECIPE)
    system = TinySystem(TinyBaseConfig(), recipe.exported_network(), codec)
    system.load_state_dict(weights, strict=False)
    return system.eval(), recipe


def load_exported(folder: Path = base_file.ASSETS) -> TinySystem:
    """Read both files of the tiny model into one system, float32."""
    base = base_file.base_config(folder / base_file.BASE_FILE.name)
    weights, codec, _ = read_ema_weights(folder)
    config = checkpoint.read_metadata(folder / base_file.HIFI_NET_FILE.name).config
    system = TinySystem(base, config, codec)
    system.load_state_dict(weights | {f"codec.{k}": v for k, v in codec.state_dict().items()})
    return system.eval()

"""Write the tiny base model's file: float16 weights with their configuration and provenance."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from ..models import checkpoint
from ..models.config import HiFiNetConfig
from ..models.portrait import build
from .config import Recipe
from .host import add_comfyui_to_path

add_comfyui_to_path()

from ..tiny import model as tiny  # noqa: E402
from ..tiny.codec import TinyCodec  # noqa: E402
from ..tiny.prompt import CONCEPTS, WordEncoder  # noqa: E402
from .runs import read_average  # noqa: E402
from .system import initialise_unet  # noqa: E402


def save_base(
    path: Path,
    config: tiny.TinyBaseConfig,
    unet: nn.Module,
    codec: TinyCodec,
    words: WordEncoder,
    trained: bool,
    provenance: dict[str, object],
    summary: str = "",
) -> None:
    """Write a tiny base file atomically.

    Parameters
    ----------
    path : Path
        Where to.
    config, unet, codec, words
        The parts; `unet` is ComfyUI's ``UNetModel``.
    trained : bool
        Whether to present the file as trained.
    provenance : dict
        Data, compute and recipe; stored as JSON.
    summary : str
        One line for the artist.
    """
    tensors: dict[str, torch.Tensor] = {}
    for prefix, module in (("diffusion_model.", unet), ("codec.", codec), ("words.", words)):
        for key, value in module.state_dict().items():
            tensors[prefix + key] = value.detach().half().contiguous()
    metadata = {
        "format": tiny.FORMAT,
        "version": "1",
        "config": config.to_json(),
        "trained": "true" if trained else "false",
        "concepts": json.dumps(CONCEPTS),
        "provenance": json.dumps(provenance, sort_keys=True),
        "licence": "Apache-2.0",
    }
    if summary:
        metadata["summary"] = summary
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata)
    partial.chmod(0o644)
    partial.replace(path)


def save_untrained(folder: Path, seed: int = 0) -> None:
    """Write both files with seeded random weights, marked untrained, to build and test graphs with."""
    config = tiny.TinyBaseConfig()
    torch.manual_seed(seed)
    codec, words = TinyCodec(config.latent_channels, config.codec_width), WordEncoder(config.context_dim)
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(64, 3, 16, 16, generator=generator)
    codec.fit(torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(-1, 1))
    unet = tiny.build_base(config).diffusion_model
    initialise_unet(unet, seed)
    save_base(
        folder / tiny.BASE_FILE.name, config, unet, codec, words, trained=False, provenance={"seed": seed}
    )
    network = HiFiNetConfig.tiny()
    metadata = {"title": "HiFi-Portrait Tiny (untrained)", "trained": False, "seed": seed}
    checkpoint.save(
        folder / tiny.HIFI_NET_FILE.name, build(network, seed=seed), network, metadata, torch.float16
    )


def ship_run(
    run: Path,
    folder: Path,
    people: int,
    recipe: Recipe,
    codec: TinyCodec | None = None,
    note: str = "",
    earlier: int = 0,
) -> None:
    """Write the averaged weights of a run as the two files that the pack loads.

    Parameters
    ----------
    run : Path
        Folder of the run.
    folder : Path
        Where ``base.safetensors`` and ``hifi_net.safetensors`` go.
    people : int
        Size of the training data.
    recipe : Recipe
        What the run did.
    codec : TinyCodec or None
        Another codec with the same latents, such as one with a trained mending part.
    note : str
        Added to the provenance.
    earlier : int
        Pictures seen by the runs that this one started from.
    """
    average, own_codec, step = read_average(run)
    config, network = tiny.TinyBaseConfig(), recipe.shipped_network()

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {k[len(prefix) :]: v for k, v in average.items() if k.startswith(prefix)}

    unet, words = tiny.build_base(config).diffusion_model, WordEncoder(config.context_dim, config.pooled_dim)
    unet.load_state_dict(part("unet."))
    words.load_state_dict(part("words."))
    seen = earlier + step * recipe.batch
    provenance = {
        "data": f"{people} synthetic people made of MakeHuman's CC0 data (training/data/synthetic)",
        "people": people,
        "recipe": json.loads(recipe.to_json()),
        "steps": step,
        "pictures_seen": seen,
        "note": note,
    }
    summary = (
        f"Trained on {people} synthetic people, {seen} pictures seen. Synthetic look; not for "
        "identification of anyone."
    )
    save_base(
        folder / tiny.BASE_FILE.name, config, unet, codec or own_codec, words, True, provenance, summary
    )
    module = build(network)
    module.load_state_dict(part("portrait."))
    checkpoint.save(
        folder / tiny.HIFI_NET_FILE.name,
        module,
        network,
        {"title": "HiFi-Portrait Tiny", "licence": "Apache-2.0", "trained": True, **provenance},
        torch.float16,
    )

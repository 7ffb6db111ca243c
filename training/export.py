"""Export the EMA weights of a run as the two files that the pack loads."""

from __future__ import annotations

from pathlib import Path

import torch

from ..models import checkpoint
from ..models.config import HiFiNetConfig
from ..models.portrait import build
from ..tiny.base_file import BASE_FILE, HIFI_NET_FILE, save_base
from ..tiny.codec import TinyCodec
from ..tiny.config import TinyBaseConfig
from ..tiny.prompt import WordEncoder
from .config import Recipe
from .runs import read_ema_weights
from .system import build_base, initialise_unet


def save_untrained(folder: Path, seed: int = 0) -> None:
    """Write both files with seeded random weights, marked untrained, to build and test graphs with."""
    config = TinyBaseConfig()
    torch.manual_seed(seed)
    codec, words = TinyCodec(config.latent_channels, config.codec_width), WordEncoder(config.context_dim)
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(64, 3, 16, 16, generator=generator)
    codec.fit(torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(-1, 1))
    unet = build_base(config).diffusion_model
    initialise_unet(unet, seed)
    save_base(folder / BASE_FILE.name, config, unet, codec, words, False, {"seed": seed})
    network = HiFiNetConfig.tiny()
    metadata = {"title": "HiFi-Portrait Tiny (untrained)", "trained": False, "seed": seed}
    checkpoint.save(folder / HIFI_NET_FILE.name, build(network, seed=seed), network, metadata, torch.float16)


def export_run(
    run: Path,
    folder: Path,
    people: int,
    recipe: Recipe,
    codec: TinyCodec | None = None,
    note: str = "",
    earlier: int = 0,
) -> None:
    """Write the EMA weights of a run as the two files that the pack loads.

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
        Another codec with the same latents, such as one with a trained decoder refinement.
    note : str
        Added to the provenance.
    earlier : int
        Pictures seen by the runs that this one started from.
    """
    weights, own_codec, step = read_ema_weights(run)
    config, network = TinyBaseConfig(), recipe.exported_network()

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}

    unet, words = build_base(config).diffusion_model, WordEncoder(config.context_dim, config.pooled_dim)
    unet.load_state_dict(part("unet."))
    words.load_state_dict(part("words."))
    seen = earlier + step * recipe.data.batch
    provenance: dict[str, object] = {
        "data": f"{people} synthetic people made of MakeHuman's CC0 data (training/data/synthetic)",
        "people": people,
        "recipe": recipe.to_dict(),
        "steps": step,
        "pictures_seen": seen,
        "note": note,
    }
    summary = (
        f"Trained on {people} synthetic people, {seen} pictures seen. Synthetic look; not for "
        "identification of anyone."
    )
    save_base(folder / BASE_FILE.name, config, unet, codec or own_codec, words, True, provenance, summary)
    module = build(network)
    module.load_state_dict(part("portrait."))
    metadata = {"title": "HiFi-Portrait Tiny", "licence": "Apache-2.0", "trained": True, **provenance}
    checkpoint.save(folder / HIFI_NET_FILE.name, module, network, metadata, torch.float16)

"""The real sizes once: SDXL and InstantID files of the true names, shapes and types go through the host.

The weights are random, so that nothing is to be fetched and the picture is noise; time, memory and what the
host loads are those of the real files. Needs 14 GB on disk (a temporary folder, not kept) and 18 GB of free
memory.
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from hifi_portrait.models.config import HiFiNetConfig
from hifi_portrait.models.portrait import HiFiPortrait
from hifi_portrait.models.warm_start import convert_instantid
from torch import Tensor

from benchmarks.report import Figures, command_line
from harness.host import running_host
from harness.packages import photos
from harness.workflows import prompt_of, with_inputs
from tests.faces.stand_ins import write_pack
from tests.patching.small import CONFIG  # makes the host importable

SDXL_FILE = "sd_xl_base_1.0.safetensors"
SIZE, STEPS = 512, 2
LOG = re.compile(
    r"Requested to load|loaded completely|loaded partially|Unloading|prepared for dynamic|weight dtype"
)
"""Lines in which the host tells what it does with models."""

Shapes = dict[str, tuple[int, ...]]


def sdxl_shapes() -> Shapes:
    """Return names and shapes of SDXL 1.0's published checkpoint, as the host itself would write it."""
    import comfy.ops
    import comfy.sdxl_clip
    import comfy.supported_models
    from comfy.ldm.models import autoencoder
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    kind = comfy.supported_models.SDXL
    sizes = {
        "image_size": 32, "in_channels": 4, "out_channels": 4, "num_res_blocks": [2, 2, 2],
        "channel_mult": [1, 2, 4],
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10], "transformer_depth_middle": 10,
        "num_head_channels": 64, "use_spatial_transformer": True,
        "num_classes": "sequential", "legacy": False,
    }  # fmt: skip
    config = kind({**kind.unet_config, **sizes})
    where = {"device": "meta", "dtype": torch.bfloat16}
    layers = comfy.ops.disable_weight_init
    unet = UNetModel(**{**kind.unet_config, **sizes}, **where, operations=layers)
    clip = comfy.sdxl_clip.SDXLClipModel(**where)
    picture: dict[str, Any] = {
        "double_z": True,
        "z_channels": 4,
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 128,
    }
    picture |= {"ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
    with torch.device("meta"):
        vae = autoencoder.AutoencoderKL(ddconfig=picture, embed_dim=4)
    state = {
        **config.process_unet_state_dict_for_saving(unet.state_dict()),
        **config.process_clip_state_dict_for_saving(clip.state_dict()),
        **config.process_vae_state_dict_for_saving(vae.state_dict()),
    }
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def instantid_shapes(config: HiFiNetConfig) -> tuple[Shapes, dict[str, Shapes]]:
    """Return names and shapes of IdentityNet, and of both parts of the adapter's file."""
    shapes = {k: tuple(v.shape) for k, v in HiFiPortrait(config, device="meta").state_dict().items()}

    def part(prefix: str) -> Shapes:
        return {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}

    return part("hifi_net."), {
        "image_proj": part("refiner.image_proj."),
        "ip_adapter": part("identity_attention."),
    }


def random_weights(shapes: Shapes, seed: int) -> Iterable[tuple[str, Tensor]]:
    """Give weights one after the other: norms are 1, biases 0, the rest as large as torch's own start."""
    generator = torch.Generator().manual_seed(seed)
    for name, shape in shapes.items():
        if len(shape) < 2:
            made = torch.full(shape, float("norm" in name and name.endswith("weight")))
        else:
            fan_in = max(1, int(np.prod(shape[1:])))
            made = torch.empty(shape).uniform_(-1, 1, generator=generator) / fan_in**0.5
        yield name, made.bfloat16()


def write_safetensors(path: Path, shapes: Shapes, seed: int) -> None:
    """Write a file of random bf16 weights of which only one is in memory at a time."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, tensor in random_weights(shapes, seed):
            file.write(tensor.reshape(-1).view(torch.uint8).numpy().data)


def write_instantid(models: Path, config: HiFiNetConfig) -> None:
    """Write InstantID's two files where other packs keep them."""
    trunk, adapter = instantid_shapes(config)
    write_safetensors(models / "controlnet" / "instantid" / "diffusion_pytorch_model.safetensors", trunk, 1)
    parts = {name: dict(random_weights(shapes, 2)) for name, shapes in adapter.items()}
    path = models / "instantid" / "ip-adapter.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(parts, path)


def write_stand_in(models: Path) -> None:
    """Write a stand-in for antelopev2 that finds one face in the middle of every photo."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (68, 3)).astype(np.float32)
    five = np.array([[260, 280], [380, 280], [320, 340], [270, 400], [370, 400]], np.float32)
    folder = models / "insightface" / "models" / "antelopev2"
    write_pack(folder, np.array([200, 180, 440, 480], np.float32), five, points)


class Watch(threading.Thread):
    """Notes the most memory that a process takes."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.peak = 0
        self.ended = threading.Event()

    def run(self) -> None:
        """Look every fifth of a second."""
        while not self.ended.wait(0.2):
            self.peak = max(self.peak, self.process.memory_info().rss)


def sample(base: Path) -> Figures:
    """Run *sdxl-warm-start* in the host, two steps at 512 px, and tell what it took."""
    folder = base / "input" / "person"
    folder.mkdir(parents=True)
    picture = photos()["obama"]
    (folder / picture.name).write_bytes(picture.read_bytes())
    kept = ("--bf16-unet", "--bf16-vae", "--bf16-text-enc") if not torch.cuda.is_available() else ()
    log = base / "host.log"
    with running_host(base, arguments=kept, log=log) as host:
        prompt = prompt_of(host, "sdxl-warm-start")
        prompt = with_inputs(prompt, "EmptyLatentImage", width=SIZE, height=SIZE)
        prompt = with_inputs(prompt, "HiFiPortraitGenerateLandmarks", width=SIZE, height=SIZE)
        prompt = with_inputs(prompt, "KSampler", steps=STEPS)
        watch = Watch(host.pid)
        watch.start()
        started = time.monotonic()
        outputs = host.run(prompt, timeout=3 * 3600)
        seconds = time.monotonic() - started
        watch.ended.set()
        watch.join()
    kinds = {key: prompt[key]["class_type"] for key in outputs.node_seconds}
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return {
        "seconds": round(seconds, 1),
        "seconds_by_node": {
            kinds[key]: round(took, 1) for key, took in outputs.node_seconds.items() if took > 0.5
        },
        "peak_gib": round(watch.peak / 2**30, 2),
        "host_says": [line.strip() for line in lines if LOG.search(line)],
        "pixels": SIZE,
        "steps": STEPS,
    }


def main(quick: bool = False) -> Figures:
    """Measure; ``quick``: files of a small InstantID are written, and SDXL's are only counted."""
    shapes = sdxl_shapes()
    numbers = sum(int(np.prod(shape)) for shape in shapes.values())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        base = Path(place)
        models = base / "models"
        if quick:
            write_instantid(models, replace(CONFIG, detail_channels=0, texture_size=0))
            write_stand_in(models)
            files = sorted(models.rglob("*.safetensors")), sorted(models.rglob("*.bin"))
            convert_instantid(files[0][0], files[1][0], base / "converted.safetensors")
            return {"sdxl_parameters": numbers, "sdxl_weights": len(shapes)}
        write_safetensors(models / "checkpoints" / SDXL_FILE, shapes, 0)
        write_instantid(models, HiFiNetConfig.sdxl())
        write_stand_in(models)
        return {"full_size": sample(base), "sdxl_parameters": numbers}


if __name__ == "__main__":
    command_line(main)

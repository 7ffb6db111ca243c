"""The networks: parity with ControlNet and InstantID, cost by number of references, operations for SDXL."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from hifi_portrait.models import FaceBatch, HiFiNetConfig, HiFiPortrait, TargetMaps
from hifi_portrait.models.checkpoint import load
from hifi_portrait.models.warm_start import convert_instantid
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report import Figures, command_line
from tests.models.networks import OTHER, SMALL, random_faces, random_inputs, random_portrait
from tests.models.parity import (
    controlnet_difference,
    instantid_parts,
    noise_difference,
    outputs_of,
    picked,
    relative_difference,
    write_instantid_files,
)

REFERENCES = (1, 2, 4, 8, 16, 32)
ROUNDS = 15
LATENT = 128
"""SDXL at 1024 px."""


def parity(seeds: int) -> Figures:
    """Largest absolute differences in single precision; random weights everywhere."""
    sizes = {"16x16": (16, 16), "12x20": (12, 20)}
    with tempfile.TemporaryDirectory() as folder:
        files = write_instantid_files(Path(folder))
        out = Path(folder) / "converted.safetensors"
        convert_instantid(*files, out, dtype=None, extra_layers=True)
        portrait, parts = load(out), instantid_parts(files)
        instantid = max(noise_difference(portrait, parts, seed) for seed in range(seeds))
    return {
        "controlnet_max_abs_diff": max(
            controlnet_difference(config, *size) for config in (SMALL, OTHER) for size in sizes.values()
        ),
        "controlnet_sizes": sorted(sizes),
        "instantid_max_abs_diff": instantid,
        **references_alone(),
    }


def references_alone() -> Figures:
    """Return what order and a reference of weight 0 change, relative to each output's largest value."""
    portrait, faces, inputs = random_portrait(SMALL), random_faces(SMALL, 4), random_inputs(SMALL)
    whole = outputs_of(portrait, faces, inputs)
    zero = replace(faces, weights=faces.weights * torch.tensor([1.0, 0.0, 1.0, 1.0]))
    turned = outputs_of(portrait, picked(faces, [3, 0, 2, 1]), inputs)
    without = outputs_of(portrait, picked(faces, [0, 2, 3]), inputs)
    return {
        "permutation_max_rel_diff": relative_difference(whole, turned),
        "weight_zero_max_rel_diff": relative_difference(without, outputs_of(portrait, zero, inputs)),
    }


@torch.no_grad()
def cost_by_references(rounds: int) -> Figures:
    """Milliseconds of processor time on one core, tiny configuration.

    Rounds go over all N in turn, and processor time does not count what other work on the machine takes.
    """
    config = HiFiNetConfig.tiny()
    portrait = random_portrait(config)
    inputs = random_inputs(config, batch=1)
    net = portrait.hifi_net
    spent: dict[str, dict[int, list[float]]] = {}
    faces = {n: random_faces(config, n) for n in REFERENCES}

    def note(name: str, n: int, start: float) -> float:
        now = time.thread_time()
        spent.setdefault(name, {}).setdefault(n, []).append(1000 * (now - start))
        return now

    for _ in range(rounds):
        for n, batch in faces.items():
            start = time.thread_time()
            tokens, detail = portrait.refiner(batch)
            start = note("refine", n, start)
            prepared = net.prepare(inputs["target"], tokens, detail)
            start = note("prepare", n, start)
            net.step(inputs["x"], inputs["timesteps"], inputs["y"], prepared)
            note("step", n, start)
            pixels = [None if keys is None else torch.zeros_like(keys.queries) for keys in prepared.fusion]
            start = time.thread_time()
            for (_, block), keys, x in zip(net.transformer_blocks(), prepared.fusion, pixels, strict=True):
                if block.fusion is not None and keys is not None and x is not None:
                    block.fusion(x, keys)
            note("fusion", n, start)
    middle = {name: {n: statistics.median(v) for n, v in by.items()} for name, by in spent.items()}
    return {
        **{
            f"{name}_ms_by_references": {str(n): round(v, 3) for n, v in by.items()}
            for name, by in middle.items()
        },
        **{f"{name}_ms_per_reference": round(line(middle[name])[0], 3) for name in ("fusion", "refine")},
        **{f"{name}_linear_r2": round(line(middle[name])[1], 4) for name in ("fusion", "refine")},
    }


def line(values: dict[int, float]) -> tuple[float, float]:
    """Slope of the best straight line through cost over N, and its R squared; 1 is exactly linear."""
    x, y = np.array(list(values)), np.array(list(values.values()))
    slope, offset = np.polyfit(x, y, 1)
    return float(slope), float(1 - ((y - slope * x - offset) ** 2).sum() / ((y - y.mean()) ** 2).sum())


@torch.no_grad()
def operations() -> Figures:
    """Floating-point operations for SDXL at 1024 px, counted on the meta device, batch 1."""
    config = HiFiNetConfig.sdxl()
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(320, 640, 1280),
            cross_attention_dim=2048,
            attention_head_dim=(5, 10, 20),
            transformer_layers_per_block=(1, 2, 10),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
        portrait = HiFiPortrait(config, device="meta")
        x, t = torch.empty(1, 4, LATENT, LATENT), torch.empty(1)
        y, text = torch.empty(1, config.vector_dim), torch.empty(1, 77, config.context_dim)
        side = config.latent_downscale * LATENT
        target = TargetMaps(torch.empty(1, 3, side, side), torch.empty(1, 3, LATENT, LATENT))
        added = {"text_embeds": torch.empty(1, 1280), "time_ids": torch.empty(1, 6)}
        unet.requires_grad_(False)
        net = portrait.requires_grad_(False).hifi_net
        base = count(lambda: unet(x, t, text, added_cond_kwargs=added))
        found = {}
        for n in (0, 1, 4, 8):
            faces = FaceBatch(
                torch.empty(max(n, 1), 3, config.crop_size, config.crop_size),
                torch.empty(max(n, 1), 3, config.crop_size, config.crop_size),
                torch.empty(max(n, 1), config.embedding_dim),
                torch.empty(max(n, 1)),
            )
            tokens, detail = portrait.refiner(faces)
            inputs = (target, tokens, detail if n else None)
            once = count(lambda i=inputs: net.prepare(*i))  # type: ignore[misc]
            prepared = net.prepare(*inputs)
            step = count(lambda p=prepared: net.step(x, t, y, p))  # type: ignore[misc]
            refine = count(lambda f=faces: portrait.refiner(f))  # type: ignore[misc]
            found[n] = (step, once, refine)
    return {
        "unet_tflop": round(base / 1e12, 3),
        "flops_overhead": {str(n): round(step / base, 4) for n, (step, _, _) in found.items()},
        "flops_overhead_with_cfg": {str(n): round(step / (2 * base), 4) for n, (step, _, _) in found.items()},
        "flops_once_per_run": {str(n): round(once / base, 4) for n, (_, once, _) in found.items()},
        "flops_refiner": {str(n): round(refine / base, 5) for n, (_, _, refine) in found.items() if n},
        "detail_tokens_per_reference": config.detail_tokens,
        "parameters_m": {
            name: round(sum(p.numel() for p in part.parameters()) / 1e6, 1)
            for name, part in portrait.named_children()
        },
    }


def count(call: Callable[[], object]) -> int:
    """Floating-point operations of one call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def main(quick: bool = False) -> Figures:
    """Measure; ``quick``: one seed instead of three, one round of timing instead of fifteen."""
    torch.set_num_threads(1)
    return {
        **parity(1 if quick else 3),
        **cost_by_references(1 if quick else ROUNDS),
        **operations(),
        "note": "flops_overhead: one HiFi-Net step over one UNet step at batch 1, by number of references "
        "(0: no fusion); with_cfg: over a step of both halves, HiFi-Net on the positive one, its default",
    }


if __name__ == "__main__":
    command_line(main)

"""The trainer: against its predecessor, on a small SDXL from shards to the node, resumed, divided, timed."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

# First, and not in processes that render people: ComfyUI, then on the path, has a package of this name.
if __name__ != "__mp_main__":
    from tests.training.sdxl.small import recipe, write_checkpoint

# isort: split
import numpy as np
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from diffusers import UNet2DConditionModel
from hifi_portrait.models.config import HiFiNetConfig
from hifi_portrait.models.portrait import HiFiPortrait
from hifi_portrait.models.tokens import FaceBatch, TargetMaps
from hifi_portrait.training.checkpoints import parameter_groups
from hifi_portrait.training.config import Recipe
from hifi_portrait.training.data.batches import PreparedPeople
from hifi_portrait.training.data.synthetic.shards import write_synthetic_shards
from hifi_portrait.training.evaluation.recognizers import SFACE
from hifi_portrait.training.sdxl.adapter import PortraitUNet, checkpoint_activations
from hifi_portrait.training.sdxl.task import SdxlTask
from hifi_portrait.training.tiny_task import TinyTask
from hifi_portrait.training.train import learning_rate, make_accelerator, start, train
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.people import FACE_MODELS, synthetic_people
from benchmarks.report import Figures, command_line
from harness import ROOT

STEPS = 20
CHECKPOINTED = ("ResnetBlock2D", "BasicTransformerBlock", "ResnetBlock", "TransformerBlock")
"""Modules whose inputs alone are kept for the backward pass."""
EIGHTH = {
    "block_out_channels": (64, 128, 192),
    "attention_head_dim": (1, 2, 3),
    "cross_attention_dim": 64,
    "norm_num_groups": 32,
}
"""SDXL at about an eighth of its width; its depth (2 and 10 transformer blocks) is SDXL's own."""


def sdxl_unet(**changes: Any) -> Any:
    """Return SDXL's UNet with random weights, or a narrower one."""
    sizes: dict[str, Any] = {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (320, 640, 1280),
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    }
    return UNet2DConditionModel(**{**sizes, **changes})


def fresh() -> None:
    """Forget accelerate's process-wide settings, so that the next run may have others."""
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def run(task: Any, folder: Path, until: int | None = None) -> Any:
    """Train without a word; returns all that changed."""
    fresh()
    accelerator = make_accelerator(task.recipe, folder, cpu=True)
    return train(task.recipe, task, folder, accelerator, until, log=lambda line: None)


def eighth(folder: Path, shards: Path, steps: int) -> tuple[Figures, SdxlTask, Any]:
    """Return the loss on fixed examples before and after real steps, in fp32 and bf16."""
    torch.manual_seed(0)
    checkpoint = write_checkpoint(folder / "eighth", unet=sdxl_unet(**EIGHTH))
    found, kept = {}, None
    for precision in ("no", "bf16"):
        settings = recipe(
            checkpoint,
            name=f"eighth {precision}",
            schedule={"steps": steps, "warmup": 2, "hold": 1.0},
            hardware={"mixed_precision": precision, "gradient_checkpointing": True},
            losses={"coarse_x0": 0.0, "texture": 0.0, "face_weight": 0.0},
            data={"resolution": 64},
        )
        task = SdxlTask(settings, shards, held_out=shards, cache=folder / "cache")
        before = task.validate(torch.device("cpu"))
        state = run(task, folder / f"run {precision}")
        after = task.validate(torch.device("cpu"))
        name = "fp32" if precision == "no" else precision
        key = "held out/diffusion"
        found[name] = {"before": round(before[key], 4), "after": round(after[key], 4)}
        kept = kept or (task, state)
    falls = all(pair["after"] < pair["before"] for pair in found.values())
    assert kept is not None
    return {"sdxl_eighth_losses": found, "sdxl_eighth_losses_fall": falls}, *kept


def resumed(checkpoint: Path, shards: Path, folder: Path) -> Figures:
    """Whether a run that was stopped half way ends as one that was not, bit for bit."""
    settings = recipe(checkpoint, schedule={"steps": 4})
    made = {}
    for name, stops in (("whole", (None,)), ("parts", (1, 3, None))):
        for until in stops:
            task = SdxlTask(settings, shards, cache=folder / "cache")
            run(task, folder / name, until)
        made[name] = load_file(folder / name / "checkpoint.safetensors")
    same = made["whole"].keys() == made["parts"].keys()
    return {
        "resume_identical": same and all(torch.equal(v, made["parts"][k]) for k, v in made["whole"].items())
    }


def in_the_node(task: SdxlTask, state: Any, folder: Path) -> Figures:
    """Largest change of latents that the exported checkpoint makes, loaded as the node loads it."""
    from hifi_portrait.patching.apply import apply_hifi_net
    from hifi_portrait.patching.loading import load_hifi_net

    from tests.patching.small import make_identity, make_landmarks, make_model, sample

    task.export(folder / "hifi_net.safetensors", state.ema_state(), state.step)
    hifi_net = load_hifi_net(folder / "hifi_net.safetensors")
    model = make_model(2)
    made = make_identity(hifi_net.network, 0)
    patched = apply_hifi_net(model, hifi_net, made, make_landmarks())
    change = float((sample(patched) - sample(model)).abs().max())
    return {"changes_the_picture": change > 1e-3, "largest_change_of_latents": round(change, 4)}


DDP = """
import sys, torch
from pathlib import Path
from benchmarks.train import SdxlTask, make_accelerator, recipe, train
checkpoint, shards, folder, batch, processes = sys.argv[1:]
torch.set_num_threads(1)
settings = recipe(Path(checkpoint), schedule={"steps": 2}, data={"batch": int(batch)})
accelerator = make_accelerator(settings, Path(folder), cpu=True)
assert accelerator.num_processes == int(processes), "otherwise two single processes would be compared"
task = SdxlTask(settings, Path(shards), cache=Path(folder).parent / "cache", processes=accelerator)
train(settings, task, Path(folder), accelerator, log=lambda line: None)
"""


def divided(checkpoint: Path, shards: Path, folder: Path) -> Figures:
    """Largest difference of AdamW's first moments: two gloo processes against one with twice the batch.

    Weights would not do: AdamW's step is a sign where a gradient is nothing but rounding. The first moments
    are sums of gradients.
    """
    made = {}
    for name, processes, batch in (("one", 1, 2), ("two", 2, 1)):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc_per_node", str(processes)]
        script = folder / "ddp.py"
        script.write_text(DDP)
        arguments = [str(script), *map(str, (checkpoint, shards, folder / name, batch, processes))]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        done = subprocess.run(command + arguments, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        made[name] = load_file(folder / name / "checkpoint.safetensors")
    return {"ddp_max_abs_diff": difference(made["one"], made["two"])}


def difference(one: dict[str, Tensor], two: dict[str, Tensor]) -> float:
    """Largest absolute difference of the first moments."""
    return max(float((v - two[k]).abs().max()) for k, v in one.items() if k.startswith("exp_avg/"))


def over_former_trainer(people: PreparedPeople, folder: Path, steps: int) -> Figures:
    """Loss of the tiny model by the loop over its former trainer's, on fixed batches, with EMA weights."""
    settings = Recipe.load("tiny-joint").changed(
        schedule={"steps": steps, "warmup": 2, "sheet_every": None},
        losses={"identity": 0.0, "landmarks": 0.0, "coarse_x0_identities": 0},
        data={"batch": 6},
    )
    task = TinyTask(settings, people, folder / "new")
    state = run(task, folder / "new")
    with state.ema_weights():
        new = fixed_loss(task)
    task = TinyTask(settings, people, folder / "old")
    average = former_trainer(task)
    with torch.no_grad():
        for name, parameter in task.system.named_parameters():
            if name in average:
                parameter.copy_(average[name])
    old = fixed_loss(task)
    return {"tiny_loss_over_old": round(new / old, 4), "tiny_loss": round(new, 4), "tiny_steps": steps}


def former_trainer(task: TinyTask) -> dict[str, Tensor]:
    """Take all steps as the trainer before the loop did, without accelerate or diffusers; EMA weights."""
    settings, system = task.recipe.optimizer, task.system
    parameters = {n: p for n, p in system.named_parameters() if p.requires_grad}
    groups = parameter_groups(system, settings)
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)  # type: ignore[arg-type]
    average = {n: p.detach().clone() for n, p in parameters.items()}
    batches = task.examples(task.recipe.schedule.steps)
    for step in range(len(batches)):
        loss, _ = task.objective(batches[step], step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(task.recipe, step) * group["multiplier"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in parameters.values() if p.grad is not None], settings.clip)
        optimizer.step()
        decay = min(settings.ema, (step + 1) / (step + 21))
        torch._foreach_lerp_(list(average.values()), [p.detach() for p in parameters.values()], 1 - decay)
    return average


@torch.no_grad()
def fixed_loss(task: TinyTask, count: int = 8) -> float:
    """Mean loss of batches that no run trains on in this order."""
    batches = task.examples(1 << 20)
    return float(np.mean([float(task.objective(batches[(1 << 19) + n], 0)[0]) for n in range(count)]))


def throughput(task: SdxlTask, folder: Path, steps: int) -> Figures:
    """Processor time of a bare loop over that of ours: the same examples, loss and optimizer."""
    fresh()
    settings = task.recipe.changed(schedule={"steps": steps})
    accelerator = make_accelerator(settings, folder, cpu=True)
    state = start(settings, task, folder / "bare", accelerator)
    state.objective(task.collate([task.examples(1)[0]]), 0)[0].backward()  # what is slow only once
    state.optimizer.zero_grad()
    examples = task.examples(steps * settings.data.batch)
    began = time.process_time()
    size = settings.data.batch
    for step in range(steps):
        batch = task.collate([examples[n] for n in range(step * size, (step + 1) * size)])
        loss, _ = state.objective(batch, step)
        loss.backward()
        state.optimizer.step()
        state.optimizer.zero_grad()
    bare = time.process_time() - began
    began = time.process_time()
    # What is written at the end of a run is not part of a step.
    task.recipe = settings
    train(settings, task, folder / "ours", accelerator, seconds=math.inf, log=lambda line: None, save=False)
    ours = time.process_time() - began
    return {"throughput_over_bare_loop": round(bare / ours, 3)}


def memory(side: int = 1024) -> Figures:
    """Gigabytes on each GPU of a step on SDXL, batch 1: counted on the meta device, weights of 1, 4, 8 GPUs.

    The frozen base in bf16; trained weights, gradients, both moments and EMA in fp32; activations in bf16,
    with gradient checkpointing. With several GPUs all but the activations is divided (FSDP, full shard).
    """
    with torch.device("meta"):
        unet = sdxl_unet().to(torch.bfloat16)
        config = replace(HiFiNetConfig.sdxl(), texture_size=256)
        portrait = HiFiPortrait(config, device="meta", dtype=torch.bfloat16)
        checkpoint_activations(unet, portrait)
        system = PortraitUNet(unet, portrait, torch.empty(1000), "eps")
        frozen = 2 * sum(p.numel() for p in unet.parameters())
        trained = sum(p.numel() for p in portrait.parameters())
        activations = kept_activations(system, config, side)
    weights = frozen + trained * 4 * 5
    gathered = 2 * max(sum(p.numel() for p in block.parameters()) for block in portrait.hifi_net.down_blocks)
    found = {}
    for count in (1, 4, 8):
        divided_weights = weights / count + (gathered if count > 1 else 0)
        found[str(count)] = round((divided_weights + activations) / 2**30, 1)
    return {
        "sdxl_memory_gb": found,
        "sdxl_memory_parts_gb": {
            "frozen": round(frozen / 2**30, 1),
            "trained, gradients, moments, EMA": round(trained * 20 / 2**30, 1),
            "activations": round(activations / 2**30, 1),
        },
        "sdxl_trained_parameters_m": round(trained / 1e6),
    }


def kept_activations(system: PortraitUNet, config: HiFiNetConfig, side: int) -> int:
    """Bytes that a forward pass keeps for the backward one, batch 1, four references."""
    seen: dict[int, Tensor] = {}
    own = {id(p) for p in system.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in own:
            seen[id(tensor)] = tensor
        return tensor

    def keep_inputs(_: object, given: tuple[object, ...]) -> None:
        for tensor in given:
            if isinstance(tensor, Tensor):
                keep(tensor)

    for module in system.modules():
        if type(module).__name__ in CHECKPOINTED:
            module.register_forward_pre_hook(keep_inputs)
    kind, size = torch.bfloat16, side // config.latent_downscale
    crop, texture = (1, 4, 3, config.crop_size, config.crop_size), config.texture_size
    faces = FaceBatch(
        torch.empty(crop, dtype=kind),
        torch.empty(crop, dtype=kind),
        torch.empty(1, 4, config.embedding_dim, dtype=kind),
        torch.empty(1, 4),
        textures=torch.empty(1, 4, 4, texture, texture, dtype=kind) if texture else None,
    )
    maps = TargetMaps(
        torch.empty(1, 3, side, side, dtype=kind),
        torch.empty(1, 3, size, size, dtype=kind),
        torch.empty(1, 3, side, side, dtype=kind) if texture else None,
    )
    x = torch.empty(1, config.latent_channels, size, size, dtype=kind)
    text, pooled = (
        torch.empty(1, 77, config.context_dim, dtype=kind),
        torch.empty(1, config.pooled_dim, dtype=kind),
    )
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        system(x, torch.zeros(1, dtype=torch.long), text, pooled, torch.empty(1, 6), faces, maps)
    return sum(tensor.numel() * tensor.element_size() for tensor in seen.values())


def main(quick: bool = False) -> Figures:
    """Measure; ``quick``: three steps instead of twenty (the tiny model: of 60)."""
    torch.set_num_threads(1)
    people = synthetic_people(training=True, quick=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shards = folder / "people"
        write_synthetic_shards(people.train, shards, FACE_MODELS / SFACE)
        checkpoint = write_checkpoint(folder / "small")
        figures, task, _ = eighth(folder, shards, 3 if quick else STEPS)
        figures |= throughput(task, folder, 2 if quick else 8)
        figures |= resumed(checkpoint, shards, folder)
        figures |= divided(checkpoint, shards, folder)
        small = SdxlTask(recipe(checkpoint), shards, cache=folder / "cache")
        figures |= in_the_node(small, run(small, folder / "node"), folder)
        data = PreparedPeople.load(people.train)
        figures |= over_former_trainer(data, folder, 6 if quick else 60)
    return {**figures, **memory(), "note": NOTE}


NOTE = (
    "sdxl_eighth: diffusion loss on the same examples and noise before and after real steps; "
    "tiny_loss_over_old: by the loop over by the former trainer's step, written out in the benchmark; "
    "sdxl_memory_gb: counted, not measured"
)


if __name__ == "__main__":
    command_line(main)

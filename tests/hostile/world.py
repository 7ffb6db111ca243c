"""A host with photos, a saved identity and a capture file, and graphs that use every node of the pack."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from harness import DEV
from harness.host import Host, running_host
from harness.packages import photos

from . import seeds

Prompt = dict[str, dict[str, Any]]
PREFIX = "HiFiPortrait"
PERSON = ("obama", "obama2")

_GUARD = '''"""Notes what this host writes outside of its base directory."""
import os, sys
BASE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
LOG = os.open(os.path.join(BASE, "writes_outside.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
FREE = (BASE + os.sep, "/proc/", "/dev/", "/tmp/torch", "/sys/")
PATHS = {"os.rename": (0, 1), "os.link": (1,), "os.symlink": (1,), "os.mkdir": (0,), "os.remove": (0,)}
PROGRAMS = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen"}
def hook(event, arguments):
    paths = []
    if event == "open":
        flags = arguments[2] or 0
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not isinstance(arguments[0], int):
            paths = [arguments[0]]
    elif event in PATHS:
        if any(isinstance(x, int) and x >= 0 for x in arguments[1:]):
            return
        paths = [arguments[i] for i in PATHS[event]]
    elif event in PROGRAMS:
        os.write(LOG, f"{event} {arguments[:2]!r:.200}\\n".encode("utf-8", "replace"))
    for path in paths:
        place = os.path.realpath(os.fsdecode(path))
        if not place.startswith(FREE) and "__pycache__" not in place:
            os.write(LOG, f"{event} {place}\\n".encode("utf-8", "replace"))
NODE_CLASS_MAPPINGS = {}
_armed = False
def arm():
    global _armed
    if not _armed:
        _armed = True
        sys.addaudithook(hook)
from server import PromptServer
PromptServer.instance.add_on_prompt_handler(lambda data: (arm(), data)[1])
'''


@contextlib.contextmanager
def world(base: Path) -> Iterator[Host]:
    """Start a host with everything that the graphs need."""
    guard = base / "custom_nodes" / "hostile_guard"
    guard.mkdir(parents=True)
    (guard / "__init__.py").write_text(_GUARD, encoding="utf-8")
    models = DEV / "models" / "hifi_portrait"
    with running_host(base, model_files=models, arguments=("--cache-lru", "60")) as host:
        known = photos()
        for name in PERSON:
            host.upload(known[name], f"person/{name}.jpg")
        host.upload(known[PERSON[0]], "photo.jpg")
        (host.base / "input" / "capture.csv").write_text(seeds.CAPTURE_CSV, encoding="utf-8")
        host.run(saving())
        head = {**references(), "head": node("FuseHead", faces=["faces", 0], texture_size="512")}
        host.run({**head, "save": node("SaveHead", head=["head", 0], name="person", overwrite=True)})
        yield host


def writes_outside(host: Host) -> list[str]:
    """Return what the host wrote outside of its base directory since its first job."""
    log = host.base / "writes_outside.log"
    return sorted(set(log.read_text(encoding="utf-8").splitlines())) if log.exists() else []


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    """Return one node of ours."""
    return {"class_type": PREFIX + kind, "inputs": inputs}


def references() -> Prompt:
    """Return the nodes from photos to an identity."""
    return {
        "analyzer": node(
            "LoadFaceAnalyzer", analyzer="open (YuNet + SFace)", provider="CPU", missing_files="ask"
        ),
        "faces": node(
            "LoadReferenceFaces",
            analyzer=["analyzer", 0],
            folder="person",
            pick="common person",
            index=0,
            other_people="drop",
        ),
        "network": node("LoadHiFiNet", checkpoint="tiny (shipped)"),
        "refined": node("RefineFaces", faces=["faces", 0], hifi_net=["network", 0]),
    }


def saving(name: str = "person") -> Prompt:
    """Return a graph that saves the identity and the head."""
    return {
        **references(),
        "save": node("SaveIdentity", identity=["refined", 0], name=name, overwrite=True),
        "fused": node("FuseHead", faces=["faces", 0], texture_size="512"),
        "save head": node("SaveHead", head=["fused", 0], name=name, overwrite=True),
    }


def host_node(kind: str, **inputs: Any) -> dict[str, Any]:
    """Return one node of the host's."""
    return {"class_type": kind, "inputs": inputs}


def portrait(random: Random, number: int, probe: bool = False) -> Prompt:
    """Return a portrait of the saved identity with random parameters; probes take equal work."""
    sliders = {
        "yaw": random.uniform(-30, 30),
        "pitch": random.uniform(-15, 15),
        "roll": random.uniform(-10, 10),
        "scale": random.uniform(1.3, 1.7),
        "smile": random.uniform(0, 1),
    }
    batch = 1 if probe else random.choice((1, 1, 2))
    prompt = {
        "network": node("LoadHiFiNet", checkpoint="tiny (shipped)"),
        "person": node("LoadIdentity", name="person"),
        "face": node(
            "GenerateLandmarks", width=128, height=128, style="mesh72", identity=["person", 0], **sliders
        ),
        "base": node("LoadTinyPortraitModel", model_file="base.safetensors"),
        "patched": node(
            "ApplyHiFiNet",
            model=["base", 0],
            hifi_net=["network", 0],
            identity=["person", 0],
            landmarks=["face", 0],
            identity_strength=random.uniform(0.5, 1.2),
            landmark_strength=random.uniform(0.5, 1.2),
            start_percent=0.0 if probe else random.uniform(0.0, 0.2),
            end_percent=1.0 if probe else random.uniform(0.8, 1.0),
            unconditional="nothing" if probe else random.choice(("nothing", "zero identity")),
        ),
        **sampling("patched", random.randrange(2**32), batch, 3 if probe else random.choice((2, 3, 5))),
    }
    prompt["save"] = host_node("PreviewImage", images=["decode", 0])
    if not probe and random.random() < 0.1:
        prompt.update(references())
        prompt["faces"]["inputs"]["weights"] = f"1, {random.uniform(0.2, 2):.3f}"
        prompt["patched"]["inputs"]["identity"] = ["refined", 0]
    return prompt


def sampling(model: str, seed: int, batch: int = 1, steps: int = 1) -> Prompt:
    """Return the host's nodes from a patched model to a picture."""
    return {
        "positive": host_node("CLIPTextEncode", text="blue background, red shirt", clip=["base", 1]),
        "negative": host_node("CLIPTextEncode", text="", clip=["base", 1]),
        "latent": host_node("EmptyLatentImage", width=128, height=128, batch_size=batch),
        "sample": host_node(
            "KSampler",
            model=[model, 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            seed=seed,
            steps=steps,
            cfg=2.5,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        "decode": host_node("VAEDecode", samples=["sample", 0], vae=["base", 2]),
    }


def everything() -> Prompt:
    """Return good producers of every type that a node of ours takes."""
    prompt = {**references(), **portrait(Random(0), 0, probe=True)}
    prompt["head"] = node("LoadHead", name="person")
    prompt["photo"] = host_node("LoadImage", image="photo.jpg")
    prompt["mask"] = host_node("SolidMask", value=1.0, width=128, height=128)
    prompt["crops"] = node("CropToFace", image=["photo", 0], analyzer=["analyzer", 0], size=128, context=2.2)
    del prompt["save"]
    return prompt


PRODUCERS = {
    "MODEL": ("patched", 0),
    "CLIP": ("base", 1),
    "VAE": ("base", 2),
    "IMAGE": ("photo", 0),
    "MASK": ("mask", 0),
    "LATENT": ("latent", 0),
    "CONDITIONING": ("positive", 0),
    "HEAD": ("head", 0),
}
"""Where the host's types come from; ours come from the first node of `everything` that gives them."""

GOOD_VALUES = {
    "folder": "person",
    "capture_file": "",
    "width": 128,
    "height": 128,
    "checkpoint": "tiny (shipped)",
    "name": "person",
    "count": 3,
}


def around(host: Host, kind: str) -> tuple[Prompt, str]:  # noqa: C901, PLR0912 - a branch for each odd node
    """Return a good graph that ends at a node of ours, and that node's id: its inputs are to be attacked."""
    info = host.object_info()
    prompt = everything()
    producers = dict(PRODUCERS)
    for name, entry in prompt.items():
        for slot, kind_out in enumerate(info[entry["class_type"]]["output"]):
            producers.setdefault(kind_out, (name, slot))
    inputs: dict[str, Any] = {}
    for part in ("required", "optional"):
        for name, declared in info[kind]["input"].get(part, {}).items():
            value = _good_value(name, declared, producers)
            if value is not None:
                inputs[name] = value
    if kind.endswith("LandmarkSequence"):
        del inputs["frames"]
        inputs["capture_file"] = "capture.csv"
    if kind.endswith("GenerateLandmarks"):
        for name in ("target_image", "target_faces"):  # one target only
            del inputs[name]
    if kind.endswith("ApplyHiFiNet"):
        inputs["model"] = ["base", 0]
    prompt["attacked"] = {"class_type": kind, "inputs": inputs}
    if "MODEL" in info[kind]["output"]:
        for name, entry in sampling("attacked", 1).items():
            prompt[f"{name} 2"] = copy.deepcopy(entry)
            for key, value in prompt[f"{name} 2"]["inputs"].items():
                if isinstance(value, list) and value[0] in ("positive", "negative", "latent", "sample"):
                    prompt[f"{name} 2"]["inputs"][key] = [f"{value[0]} 2", value[1]]
        prompt["sink"] = host_node("PreviewImage", images=["decode 2", 0])
    elif not info[kind]["output_node"]:
        outputs = info[kind]["output"]
        prompt["sink"] = host_node("PreviewAny", source=["attacked", _index(outputs, "STRING")])
    return _needed(prompt, "sink" if "sink" in prompt else "attacked"), "attacked"


def _index(outputs: list[str], kind: str) -> int:
    return outputs.index(kind) if kind in outputs else 0


def _good_value(name: str, declared: list[Any], producers: dict[str, tuple[str, int]]) -> Any:
    kind, options = declared[0], declared[1] if len(declared) > 1 else {}
    if isinstance(kind, list) or kind == "COMBO":
        choices = kind if isinstance(kind, list) else options["options"]
        return GOOD_VALUES.get(name, options.get("default", choices[0]))
    if kind in ("INT", "FLOAT", "STRING", "BOOLEAN"):
        return GOOD_VALUES.get(name, options.get("default", {"STRING": ""}.get(kind, 0)))
    return list(producers[kind]) if kind in producers else None


def _needed(prompt: Prompt, end: str) -> Prompt:
    """Return the part of a graph that one node depends on."""
    wanted, queue = set(), [end]
    while queue:
        name = queue.pop()
        if name not in wanted:
            wanted.add(name)
            queue += [v[0] for v in prompt[name]["inputs"].values() if isinstance(v, list) and v[0] in prompt]
    return {name: entry for name, entry in prompt.items() if name in wanted}

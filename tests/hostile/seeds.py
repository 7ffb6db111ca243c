"""Small good files of every kind, from which hostile ones are made."""

from __future__ import annotations

import io
import json
import re
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from hifi_portrait.head.model import HeadModel
from hifi_portrait.head.records import TEXTURE_SIZES, Head
from hifi_portrait.head.store import save_head
from hifi_portrait.identity.identity import Identity
from hifi_portrait.identity.store import save_identity
from hifi_portrait.landmarks.model import FaceModel
from hifi_portrait.models import checkpoint
from hifi_portrait.models.config import HiFiNetConfig
from hifi_portrait.models.portrait import build
from hifi_portrait.models.tokens import DetailTokens
from PIL import Image
from safetensors.torch import save as to_safetensors

from harness import DEV

SMALLEST = HiFiNetConfig(
    hint_widths=(4, 4, 4, 4),
    block_out_channels=(8, 8),
    layers_per_block=1,
    transformer_depth=(0, 1),
    mid_depth=1,
    head_channels=4,
    context_dim=8,
    pooled_dim=8,
    size_embedding_dim=4,
    norm_groups=4,
    recognizer="sface",
    embedding_dim=16,
    embedding_kind="unit",
    identity_tokens=4,
    resampler_dim=8,
    resampler_depth=1,
    resampler_heads=1,
    resampler_head_channels=8,
    resampler_ff_mult=1,
    crop_size=32,
    pyramid_widths=(4, 4),
    detail_levels=(1,),
    detail_channels=8,
    refiner_depth=1,
    refiner_head_channels=4,
    face_queries=2,
    fusion_levels=(True, True),
)
"""All parts of the network at sizes that load in a few milliseconds."""


def identity(config: HiFiNetConfig = SMALLEST, texture: int = 0, seed: int = 0) -> Identity:
    """Return an identity as Refine Faces makes it, of random numbers."""
    generator = torch.Generator().manual_seed(seed)
    count = config.detail_tokens * 2
    embedding = torch.randn(config.embedding_dim, generator=generator)
    return Identity(
        tokens=torch.randn(1, config.identity_tokens, config.context_dim, generator=generator),
        detail=DetailTokens(
            torch.randn(1, count, config.detail_channels, generator=generator),
            torch.rand(1, count, 3, generator=generator),
            torch.full((1, count), -0.7),
            torch.rand(1, 4, texture, texture, generator=generator) if texture else None,
        ),
        embedding=embedding / embedding.norm(),
        shape=np.zeros(len(FaceModel.load().identity), np.float32),
        recognizer=config.recognizer,
        checkpoint="0123456789abcdef",
        sources=("a.jpg", "b.jpg"),
        weights=(1.2, 0.8),
        fingerprint="0" * 32,
        expression=np.zeros(52, np.float32),
    )


@lru_cache
def identities() -> list[bytes]:
    """Return identity files: without and with a UV texture."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [save_identity(identity(texture=size), folder, f"i{size}") for size in (0, 16)]
        return [path.read_bytes() for path in paths]


def head(seed: int = 0) -> Head:
    """Return a head as Fuse Head makes it, of random numbers."""
    random = np.random.default_rng(seed)
    return Head(
        geometry=HeadModel.load().mean.astype(np.float32),
        shape=np.zeros(len(FaceModel.load().identity), np.float32),
        expression=np.zeros(52, np.float32),
        texture=random.integers(0, 255, (TEXTURE_SIZES[0], TEXTURE_SIZES[0], 3), np.uint8),
        opacity=np.full((TEXTURE_SIZES[0], TEXTURE_SIZES[0]), 255, np.uint8),
        confidence=np.full((TEXTURE_SIZES[0], TEXTURE_SIZES[0]), 255, np.uint8),
        light=np.zeros((9, 3), np.float32),
        sources=("a.jpg", "b.jpg"),
        shares=(0.5, 0.5),
    )


@lru_cache
def heads() -> list[bytes]:
    """Return a head file."""
    with tempfile.TemporaryDirectory() as folder:
        return [save_head(head(), Path(folder) / "h.safetensors").read_bytes()]


@lru_cache
def checkpoints() -> list[bytes]:
    """Return checkpoint files of `SMALLEST`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.safetensors"
        module = build(SMALLEST, seed=0)
        with torch.no_grad():
            for value in module.parameters():
                value.fill_(0.03125)  # finds are kept compressed
        checkpoint.save(path, module, SMALLEST, {"title": "smallest", "made": {"steps": 3}})
        return [path.read_bytes()]


def instantid_state() -> tuple[dict[str, torch.Tensor], dict[str, dict[str, torch.Tensor]]]:
    """Return the weights of IdentityNet and of ip-adapter.bin, in the published layout, tiny."""
    values = {**SMALLEST.__dict__, "detail_channels": 0, "block_out_channels": (32, 32), "norm_groups": 32}
    values |= {"head_channels": 32, "size_embedding_dim": 256, "resampler_head_channels": 64}
    values |= {"resampler_dim": 64, "embedding_kind": "raw", "transformer_depth": (0, 1)}
    state = build(HiFiNetConfig(**values), seed=0).state_dict()

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {k.removeprefix(prefix): v.clone() for k, v in state.items() if k.startswith(prefix)}

    adapter = {"image_proj": part("refiner.image_proj."), "ip_adapter": part("identity_attention.")}
    return part("hifi_net."), adapter


@lru_cache
def controlnets() -> list[bytes]:
    """Return IdentityNet's file."""
    return [to_safetensors(instantid_state()[0])]


@lru_cache
def adapters() -> list[bytes]:
    """Return ip-adapter.bin, in torch's zip format and in the one before it."""
    made = []
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save(_in_one_storage(instantid_state()[1]), file, _use_new_zipfile_serialization=zipped)
        # The former format names storages by their addresses; the same bytes are wanted every time.
        made.append(re.sub(rb"X..\0\0\d{8,16}", _fixed_name, file.getvalue(), flags=re.DOTALL))
    return made


def _in_one_storage(parts: dict[str, dict[str, torch.Tensor]]) -> dict[str, dict[str, torch.Tensor]]:
    flat = torch.cat([tensor.flatten() for part in parts.values() for tensor in part.values()])
    rows = iter(flat.split([tensor.numel() for part in parts.values() for tensor in part.values()]))
    return {name: {k: next(rows).view(v.shape) for k, v in part.items()} for name, part in parts.items()}


def _fixed_name(found: re.Match[bytes]) -> bytes:
    return b"X\x0e\0\0\0" + b"1".rjust(14, b"0")


CAPTURE_CSV = (
    "Timecode,BlendShapeCount,EyeBlinkLeft,JawOpen,MouthSmileLeft,HeadYaw,HeadPitch,HeadRoll\n"
    "00:00:00:01,61,0.1,0.5,0.2,0.01,0.02,-0.03\n00:00:00:02,61,0.2,0.4,0.1,0.02,0.01,-0.02\n"
    "00:00:00:03,61,0,1,0.3,-0.1,0.2,0.3\n"
)
CAPTURE_JSON = json.dumps(
    {"frames": [{"jawOpen": 0.4, "eyeBlinkLeft": 0.1}, {"jawOpen": 1, "mouthFunnel": 0.3}]}
)
ARKIT_JSON = json.dumps({"jawOpen": 0.4, "mouthSmileLeft": 0.3, "browInnerUp": 1})


@lru_cache
def pictures() -> dict[str, bytes]:
    """Return a small picture in every format and mode that Pillow can write and open again."""
    Image.init()
    colours = np.random.default_rng(0).integers(0, 255, (20, 24, 4), np.uint8)
    made = {}
    for name in sorted(Image.SAVE):
        for mode in ("RGB", "RGBA", "L", "P", "1", "LA", "I;16", "F", "CMYK"):
            if name in ("PDF", "GRIB", "HDF5", "BUFR", "WMF") or name not in Image.OPEN:
                continue
            file = io.BytesIO()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    picture = Image.fromarray(colours).convert(mode if mode != "I;16" else "I")
                    exif = Image.Exif()
                    exif[274] = 6
                    extra = {"exif": exif} if name in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF") else {}
                    picture.save(file, name, **extra)
            except (OSError, ValueError, KeyError, TypeError, SystemError):
                continue
            if file.tell() < 100_000:
                made[f"{name}-{mode}"] = file.getvalue()
    animated = io.BytesIO()
    frames = [Image.fromarray(colours[..., :3]), Image.fromarray(colours[::-1, :, :3].copy())]
    for name in ("GIF", "WEBP", "PNG", "TIFF"):
        animated = io.BytesIO()
        frames[0].save(animated, name, save_all=True, append_images=frames[1:])
        made[f"{name}-animated"] = animated.getvalue()
    return made


def face_model(name: str) -> bytes:
    """Return one of the four face model files."""
    return (DEV / "models" / "hifi_portrait" / name).read_bytes()


@lru_cache
def onnx_models() -> list[bytes]:
    """Return a small ONNX model of one layer, and the face detector."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((2, 3, 3, 3), np.float32), "w")
    node = helper.make_node("Conv", ["input", "w"], ["out"], pads=[1, 1, 1, 1])
    shapes = ([1, 3, 8, 8], [1, 2, 8, 8])
    ports = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
        for n, s in zip(("input", "out"), shapes, strict=True)
    ]
    graph = helper.make_graph([node], "g", ports[:1], ports[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return [model.SerializeToString(), face_model("face_detection_yunet_2023mar_int8bq.onnx")]

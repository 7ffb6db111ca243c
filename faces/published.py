"""Model files of others that this pack can use and never fetches by itself: what they are, and where from.

The templates name them in each node's ``properties.models``, from which front ends and managers offer what is
missing. Every address is pinned to a revision, and every hash is of the file as published. `files.ModelFile`
of the open analyzer are described in `files`, which downloads them.
"""

from __future__ import annotations

from .files import MODEL_FILES, PERSON_MASK, ModelFile
from .registry import OPEN

_INSTANTID = "https://huggingface.co/InstantX/InstantID/resolve/57b32dfee076092ad2930c71fd6d439c2c3b1820"
_SDXL = "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/resolve"
_ANTELOPE = (
    "https://huggingface.co/MonsterMMORPG/InstantID_Models/resolve/"
    "397cafa6d8310e96e302e96528c20a4c92a884f2/models/antelopev2"
)
_NON_COMMERCIAL = "LicenseRef-InsightFace-non-commercial"


def _antelope(name: str, role: str, sha256: str, size: int) -> ModelFile:
    return ModelFile(
        name,
        f"{role} (InsightFace antelopev2)",
        sha256,
        size,
        _NON_COMMERCIAL,
        f"{_ANTELOPE}/{name}",
        "insightface/models/antelopev2",
    )


SDXL_BASE = ModelFile(
    "sd_xl_base_1.0.safetensors",
    "Stable Diffusion XL",
    "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b",
    6938078334,
    "LicenseRef-CreativeML-OpenRAIL-PlusPlus-M",
    f"{_SDXL}/462165984030d82259a11f4367a4eed129e94a7b/sd_xl_base_1.0.safetensors",
    "checkpoints",
)
INSTANTID = (
    ModelFile(
        "ip-adapter.bin",
        "identity adapter (InstantID)",
        "02b3618e36d803784166660520098089a81388e61a93ef8002aa79a5b1c546e1",
        1691134141,
        "Apache-2.0",
        f"{_INSTANTID}/ip-adapter.bin",
        "instantid",
    ),
    ModelFile(
        "diffusion_pytorch_model.safetensors",
        "IdentityNet (InstantID)",
        "c8127be9f174101ebdafee9964d856b49b634435cf6daa396d3f593cf0bbbb05",
        2502139136,
        "Apache-2.0",
        f"{_INSTANTID}/ControlNetModel/diffusion_pytorch_model.safetensors",
        "controlnet/instantid",
    ),
)
ANTELOPEV2 = (
    _antelope(
        "scrfd_10g_bnkps.onnx",
        "face detector",
        "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
        16923827,
    ),
    _antelope(
        "glintr100.onnx",
        "face recognizer",
        "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf",
        260665334,
    ),
    _antelope(
        "1k3d68.onnx",
        "3D landmarks",
        "df5c06b8a0c12e422b2ed8947b8869faa4105387f199c477af038aa01f9a45cc",
        143607619,
    ),
    _antelope(
        "2d106det.onnx",
        "2D landmarks",
        "f001b856447c413801ef5c42091ed0cd516fcd21f2d6b79635b1e733a7109dbf",
        5030888,
    ),
    _antelope(
        "genderage.onnx",
        "gender and age",
        "4fde69b1c810857b88c64a335084f1c3fe8f01246c9a191b48c7bb756d6652fb",
        1322532,
    ),
)

BY_NAME: dict[str, tuple[ModelFile, ...]] = {
    OPEN: MODEL_FILES,
    "antelopev2": (*ANTELOPEV2, PERSON_MASK),
    "instantid": INSTANTID,
    "sdxl": (SDXL_BASE,),
}
"""The files behind what an artist chooses: an analyzer, InstantID's warm start, the SDXL checkpoint."""

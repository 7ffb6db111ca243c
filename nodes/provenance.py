"""What stands behind a picture: read off the graph, and written into every picture that the host saves.

Pictures of a graph with a node of this pack that shapes them carry IPTC's statement that they are generated,
and what the model files in the graph may be used for. The host's own saving nodes write what a job's
``extra_pnginfo`` holds; it is filled in when the job is queued, so that nothing depends on what the host has
cached. One setting of the front end switches it off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import folder_paths

from ..boundary import text
from ..boundary.generated import KEY, XMP_KEY, statement, xmp
from ..boundary.licences import FileLicence, merged, read_licences
from ..boundary.parse import BadJsonError, parse_json
from ..boundary.tensors import BadTensorFileError, read_header
from ..faces.insight import pack_licences
from ..faces.open_analyzer import OpenAnalyzer
from ..faces.registry import OPEN
from ..tiny.base_file import ASSETS, read_base_metadata
from . import checkpoints
from .saved import HEADS, IDENTITIES

Prompt = Mapping[str, Any]

SETTING = "HiFiPortrait.MarkAsGenerated"
"""Id of the front end's setting, ``web/hifi_portrait.js``."""
SHAPING = frozenset(
    {
        "HiFiPortraitApplyHiFiNet",
        "HiFiPortraitGuideWithHead",
        "HiFiPortraitTransferSkinDetail",
        "HiFiPortraitPasteFaceBack",
        "HiFiPortraitLoadTinyPortraitModel",
    }
)
"""Nodes that shape a picture; a graph that only reads faces or draws landmarks is not marked."""
_MODEL_FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft", ".onnx")
_FOLDERS = ("checkpoints", "diffusion_models", "loras", "controlnet", "vae", "clip_vision", "text_encoders")
_LONGEST_SETTINGS = 1 << 20


def _analyzer(inputs: Mapping[str, str]) -> tuple[FileLicence, ...]:
    name = inputs["analyzer"]
    return OpenAnalyzer.licences if name == OPEN else pack_licences(name)


def _hifi_net(inputs: Mapping[str, str]) -> tuple[FileLicence, ...]:
    return checkpoints.licences(inputs["checkpoint"])


def _identity(inputs: Mapping[str, str]) -> tuple[FileLicence, ...]:
    return read_licences(IDENTITIES.found()[inputs["name"]], "identity")


def _head(inputs: Mapping[str, str]) -> tuple[FileLicence, ...]:
    return read_licences(HEADS.found()[inputs["name"]], "head")


def _tiny(inputs: Mapping[str, str]) -> tuple[FileLicence, ...]:
    name = Path(inputs["model_file"]).name
    return (FileLicence.of(f"tiny {name}", read_base_metadata(ASSETS / name).get("licence")),)


_OURS: dict[str, Callable[[Mapping[str, str]], tuple[FileLicence, ...]]] = {
    "HiFiPortraitLoadFaceAnalyzer": _analyzer,
    "HiFiPortraitLoadHiFiNet": _hifi_net,
    "HiFiPortraitLoadIdentity": _identity,
    "HiFiPortraitLoadHead": _head,
    "HiFiPortraitLoadTinyPortraitModel": _tiny,
}
"""Nodes of ours that load files; a node that loads another kind needs a line here."""


def graph_licences(prompt: Prompt, end: str | None = None) -> tuple[FileLicence, ...]:
    """Return what every model file that a graph loads may be used for.

    Parameters
    ----------
    prompt : Prompt
        The graph in the host's API format.
    end : str, optional
        Only what this node depends on.
    """
    found: list[tuple[FileLicence, ...]] = []
    for name in upstream(prompt, end):
        node = prompt[name]
        kind, inputs = node.get("class_type"), node.get("inputs")
        if not isinstance(kind, str) or not isinstance(inputs, dict):
            continue
        texts = {key: _resolved(prompt, value) for key, value in inputs.items()}
        if kind in _OURS:
            found.append(_of_ours(kind, texts))
        else:
            files = [value for value in texts.values() if value.lower().endswith(_MODEL_FILES)]
            found.append(tuple(FileLicence.of(Path(file).name, _declared(file)) for file in files))
    return merged(*found)


def _of_ours(kind: str, texts: Mapping[str, str]) -> tuple[FileLicence, ...]:
    try:
        return _OURS[kind](texts)
    except (ValueError, OSError, KeyError):
        # The node itself will say what is wrong with the file.
        chosen = next((value for value in texts.values() if value), kind)
        return (FileLicence.of(chosen, None),)


def _resolved(prompt: Prompt, value: Any) -> str:
    """Return a text that is typed in, or linked from a node that does nothing but hold one; else empty."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        source = prompt.get(value[0])
        inputs = source.get("inputs") if isinstance(source, dict) else None
        value = inputs.get("value") if isinstance(inputs, dict) and len(inputs) == 1 else ""
    return value if isinstance(value, str) else ""


def _declared(file: str) -> str | None:
    """Return the licence that a model file of the user's names itself (``modelspec.license``)."""
    for kind in _FOLDERS:
        try:
            path = folder_paths.get_full_path(kind, file)
            if path and path.endswith(".safetensors"):
                return read_header(path).metadata.get("modelspec.license")
        except (KeyError, ValueError, OSError, BadTensorFileError):
            continue
    return None


def upstream(prompt: Prompt, end: str | None) -> list[str]:
    """Return the ids of the nodes that a node depends on, itself too; of all nodes without one."""
    if end is None:
        return [name for name, node in prompt.items() if isinstance(node, dict)]
    seen: set[str] = set()
    queue = [end]
    while queue:
        name = queue.pop()
        node = prompt.get(name)
        if name in seen or not isinstance(node, dict):
            continue
        seen.add(name)
        inputs = node.get("inputs")
        for value in inputs.values() if isinstance(inputs, dict) else ():
            if isinstance(value, list) and value and isinstance(value[0], str):
                queue.append(value[0])
    return sorted(seen)


def shaped(prompt: Prompt, end: str | None = None) -> bool:
    """Whether a node of this pack shapes the picture."""
    kinds = (prompt[name].get("class_type") for name in upstream(prompt, end))
    return any(isinstance(kind, str) and kind in SHAPING for kind in kinds)


def switched_on() -> bool:
    """Whether pictures are to be marked: yes, unless the setting says no."""
    path = Path(folder_paths.get_user_directory()) / "default" / "comfy.settings.json"
    try:
        settings = parse_json(path.read_text(encoding="utf-8"), _LONGEST_SETTINGS)
    except (OSError, BadJsonError, UnicodeDecodeError):
        return True
    return not isinstance(settings, dict) or settings.get(SETTING) is not False


def mark(data: dict[str, Any]) -> dict[str, Any]:
    """Add the statement to a job that is being queued; everything else in it stays.

    Parameters
    ----------
    data : dict
        Body of the host's POST /prompt.
    """
    prompt = data.get("prompt")
    if not isinstance(prompt, dict) or not shaped(prompt) or not switched_on():
        return data
    licences = graph_licences(prompt)
    extra = data.get("extra_data")
    extra = dict(extra) if isinstance(extra, dict) else {}
    info = extra.get("extra_pnginfo")
    info = dict(info) if isinstance(info, dict) else {}
    extra["extra_pnginfo"] = {**info, KEY: statement(licences), XMP_KEY: xmp(licences)}
    return {**data, "extra_data": extra}


def _handler(data: dict[str, Any]) -> dict[str, Any]:
    try:
        return mark(data)
    except Exception as error:  # a picture without the statement is better than none; the log says so
        logging.warning("HiFi-Portrait: pictures are not marked as generated: %s", text.reason(error))
        return data


def register() -> None:
    """Let the host ask `mark` for every job, from now on."""
    # Here: the module needs a host that runs, and brings all of it along.
    from server import PromptServer

    server = PromptServer.instance
    if _handler not in server.on_prompt_handlers:
        server.add_on_prompt_handler(_handler)

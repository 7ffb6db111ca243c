"""Keeps ``locales/<language>/nodeDefs.json`` in step with the nodes: ``python -m authoring.locales``.

The languages are those that ComfyUI's front end offers; any other makes its page fail. English is
written from the host's node definitions. The other languages keep what they have; what they lack is
listed, and what no node has any more is dropped.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from harness import ROOT

from .newer_hosts import complete

FOLDER = ROOT / "locales"
LANGUAGES = (
    "en", "zh", "zh-TW", "ja", "ko", "ru", "fr", "es", "pt-BR", "tr", "it", "ar", "fa", "he",
)  # fmt: skip
"""ComfyUI's own, as its settings offer them."""

NOT_YET = ("HiFiPortraitCropToFace", "HiFiPortraitPasteFaceBack")
"""Nodes that are in English, Chinese (zh) and Japanese only: the front end shows the others English."""

SYNTAX = "{}@|"
"""What the front end's translations (vue-i18n) read as placeholders, links and plurals: never in a text."""

_KEPT = re.compile(
    r"(?<!\w)'[^']+'(?!\w)"  # a choice, as the node lists it, or a prompt
    r"|%\w+%|models/[\w/]+|antelopev2|buffalo_l|mesh72|kps5|HiFi-Net|InstantID|SDXL|LoRA|ControlNet",
    re.ASCII,
)
_NAMES = {
    "hifi_net": "HiFi-Net",
    "clip": "CLIP",
    "vae": "VAE",
    "clip_vision": "CLIP Vision",
    "arkit_json": "ARKit JSON",
}

Entry = dict[str, Any]


def readable(name: str) -> str:
    """``max_frames`` becomes *Max frames*."""
    return _NAMES.get(name) or name.replace("_", " ").capitalize()


def english(info: Mapping[str, Any]) -> dict[str, Entry]:
    """Texts of all of the pack's nodes, in the front end's layout, from the host's definitions."""
    result: dict[str, Entry] = {}
    for kind, definition in sorted(complete(info).items()):
        if not kind.startswith("HiFiPortrait"):
            continue
        inputs = {}
        for section in ("required", "optional"):
            for name, spec in definition["input"].get(section, {}).items():
                options = spec[1] if len(spec) > 1 else {}
                text = {"name": options.get("display_name") or readable(name)}
                if options.get("tooltip"):
                    text["tooltip"] = options["tooltip"]
                inputs[name.replace(".", "_")] = text
        outputs = {}
        tooltips = definition.get("output_tooltips") or []
        for number, name in enumerate(definition["output_name"]):
            text = {"name": readable(name)}
            if number < len(tooltips) and tooltips[number]:
                text["tooltip"] = tooltips[number]
            outputs[str(number)] = text
        result[kind] = {
            "display_name": definition["display_name"],
            "description": definition["description"],
            "inputs": inputs,
            "outputs": outputs,
        }
    return result


def leaves(entry: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """All texts of a nested entry by their path."""
    found: dict[tuple[str, ...], str] = {}
    for key, value in entry.items():
        if isinstance(value, Mapping):
            found |= leaves(value, (*path, key))
        else:
            found[(*path, key)] = value
    return found


def kept(text: str) -> set[str]:
    """Parts of a text that are the same in every language: quoted choices, placeholders, brands, folders."""
    return set(_KEPT.findall(text))


def read(language: str) -> dict[str, Entry]:
    """Texts of one language; nothing where there is no file."""
    path = FOLDER / language / "nodeDefs.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def missing(language: str, source: Mapping[str, Any]) -> list[str]:
    """Paths of texts that a language lacks, or leaves in English although they are sentences."""
    have = leaves(read(language))
    lacking = []
    for path, text in leaves(source).items():
        if path[0] in NOT_YET and language not in ("en", "zh", "ja"):
            continue
        translated = have.get(path, "")
        same = language != "en" and translated == text and len(re.findall(r"\w+", text)) > 3
        if not translated or same:
            lacking.append("/".join(path))
    return lacking


def faults(language: str, source: Mapping[str, Any]) -> list[str]:
    """List what a front end stumbles over, or an artist: signs of its translations, parts not kept."""
    english_texts = leaves(source)
    found = []
    for path, text in leaves(read(language)).items():
        place = f"{language}: {'/'.join(path)}"
        found += [f"{place}: {sign} is syntax of the front end's" for sign in SYNTAX if sign in text]
        parts = sorted(kept(english_texts.get(path, "")))
        found += [f"{place}: {part} is not kept" for part in parts if part not in text]
    return found


def update(info: Mapping[str, Any], phrases: Mapping[str, Mapping[str, str]] | None = None) -> list[str]:
    """Rewrite all languages; returns what is missing or wrong, as ``language: path``.

    Parameters
    ----------
    info
        The host's ``/object_info``.
    phrases
        New translations: English text to a text by language; they win over what the files have.
    """
    source = english(info)
    gaps = []
    for language in LANGUAGES:
        have = {} if language == "en" else leaves(read(language))
        texts: dict[str, Any] = {}
        for path, text in leaves(source).items():
            translated = (phrases or {}).get(text, {}).get(language) or have.get(path)
            if language == "en":
                translated = text
            if translated:
                place = texts
                for key in path[:-1]:
                    place = place.setdefault(key, {})
                place[path[-1]] = translated
        target = FOLDER / language / "nodeDefs.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            json.dumps(texts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", newline="\n"
        )
        gaps += [f"{language}: {path}" for path in missing(language, source)] + faults(language, source)
    return gaps


if __name__ == "__main__":
    from harness.host import running_host

    with running_host() as host:
        lines = update(host.object_info())
    print("\n".join(lines) or "complete")
    sys.exit(1 if lines else 0)

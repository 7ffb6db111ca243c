"""The data sheet: where the pictures come from, under what terms, who agreed, and how many there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..boundary.files import written

_NOT_ESTIMATED = (
    "Age, sex, ethnicity and other traits of the people shown are not estimated, and whether minors are "
    "among them has not been checked: that must be known from the source."
)


def datasheet(result: dict[str, Any]) -> dict[str, Any]:
    """Return the data sheet of what ``dataset.json`` will hold."""
    rejected = {stage: sum(found.values()) for stage, found in result["rejected"].items()}
    return {
        **result["settings"]["sheet"],
        "biometric": True,
        "not_estimated": _NOT_ESTIMATED,
        "people": result["people"],
        "pictures": result["pictures"],
        "rejected": sum(rejected.values()),
        "rejected_by_stage": rejected,
        "analyzer_licences": result["licences"],
        "recognizer": result["build"].get("recognizer", ""),
        "history": result["history"],
    }


def write_datasheet(out: Path, result: dict[str, Any]) -> None:
    """Write ``datasheet.json``, and ``datasheet.md`` for people."""
    sheet = datasheet(result)
    lines = [f"# Data sheet: {sheet['name']}", ""]
    lines += [f"- **{key}**: {sheet[key]}" for key in ("source", "licence", "consent", "contact")]
    lines += [f"- **people**: {sheet['people']}", f"- **pictures**: {sheet['pictures']}"]
    by_stage = ", ".join(f"{stage} {count}" for stage, count in sheet["rejected_by_stage"].items())
    lines += [f"- **rejected**: {sheet['rejected']}" + (f" ({by_stage})" if by_stage else "")]
    lines += [f"- **licences of the analyzer**: {', '.join(sheet['analyzer_licences']) or 'not stated'}"]
    lines += [
        "",
        "Shards and tables hold biometric data (faces, embeddings, face shapes)." + " " + _NOT_ESTIMATED,
    ]
    if sheet["history"]:
        lines += ["", "## What was done since", "", *(f"- {line}" for line in sheet["history"])]
    for file, text in (
        ("datasheet.json", json.dumps(sheet, sort_keys=True, indent=2, ensure_ascii=False)),
        ("datasheet.md", "\n".join(lines)),
    ):
        with written(out / file) as part:
            part.write_text(text + "\n", encoding="utf-8")

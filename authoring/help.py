"""Writes the help pages ``web/docs/<NodeId>.md`` and their pictures: ``python -m authoring.help``.

What a node is for and what to do when something goes wrong is written in `help_texts`; the inputs and outputs
come from the node's own definition, so that they are never out of date.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import ROOT

from .help_pictures import take_pictures
from .help_texts import PAGES
from .newer_hosts import complete

FOLDER = ROOT / "web" / "docs"


def page(kind: str, definition: Mapping[str, Any]) -> str:
    """Return one help page in Markdown."""
    intro, advice = PAGES[kind]
    lines = [
        f"# {definition['display_name']}",
        "",
        f"![{definition['display_name']}](images/{kind}.jpg)",
        "",
        intro,
        "",
    ]
    lines += ["## What to do when", "", "| you see | do |", "|---|---|"]
    lines += [f"| {see} | {do} |" for see, do in advice]
    lines += ["", "## Inputs", "", "| input | what it does |", "|---|---|"]
    for section in ("required", "optional"):
        for name, spec in definition["input"].get(section, {}).items():
            options = spec[1] if len(spec) > 1 else {}
            label = options.get("display_name")
            shown = f"`{name}`" + (f" ({label})" if label else "")
            lines.append(f"| {shown} | {options.get('tooltip', '').replace('|', ' ')} |")
    lines += ["", "## Outputs", "", "| output | what it is |", "|---|---|"]
    for name, tooltip in zip(
        definition["output_name"], definition.get("output_tooltips") or [], strict=False
    ):
        lines.append(f"| `{name}` | {(tooltip or '').replace('|', ' ')} |")
    return "\n".join(lines) + "\n"


def write_pages(info: Mapping[str, Any]) -> None:
    """Write all pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for kind in PAGES:
        (FOLDER / f"{kind}.md").write_text(page(kind, complete(info)[kind]), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    from harness.host import running_host

    with running_host() as host:
        write_pages(host.object_info())
        take_pictures(host, PAGES, FOLDER / "images")

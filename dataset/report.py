"""The report: one HTML file with everything in it, pictures too; it opens offline and loads nothing."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ..boundary.files import PRIVATE, written
from .figures import PITCHES, SIMILARITIES, YAWS, Figures, measure
from .layout import examples_table

_STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1e;--soft:#6b6b70;--line:#d9d9de;--bar:#3867d6;--bar2:#e1702c;
--back:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#eee;--soft:#a0a0a8;--line:#3a3a40;--bar:#6c93f5;
--bar2:#f0955a;--back:#17171a}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:1000px;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
h3{font-size:.95rem;margin:1rem 0 .4rem}
p.note{color:var(--soft);margin:.2rem 0 .8rem}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
figure{display:inline-block;width:112px;margin:0 .6rem .8rem 0;vertical-align:top;font-size:.72rem;
color:var(--soft);overflow-wrap:anywhere}
figure img{width:112px;height:112px;object-fit:contain;background:var(--line)}
.big{display:flex;gap:2.5rem;flex-wrap:wrap}.big b{display:block;font-size:1.7rem}
svg{max-width:100%}svg text{fill:var(--soft);font-size:11px}
"""


def write_report(out: Path, result: dict[str, Any]) -> None:
    """Write ``report.html`` of a data set whose tables are there.

    Raises
    ------
    SaveError
        It cannot be written.
    """
    found = measure(out)
    sheet = result["settings"]["sheet"]
    parts = [
        f"<h1>Data set: {html.escape(sheet['name'])}</h1>",
        f"<p class=note>Source: {html.escape(sheet['source'])}. Licence: {html.escape(sheet['licence'])}. "
        f"Consent: {html.escape(sheet['consent'])}. It shows people: keep it as private as the pictures.</p>",
        _totals(result),
        _stages(result),
        _examples(out),
        _people(found),
        _pose(found),
        _expression(found),
        _similarity(found),
        _shards(found),
    ]
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>Data set: {html.escape(sheet["name"])}</title>'
        f"<style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )
    with written(out / "report.html", PRIVATE) as part:
        part.write_text(page, encoding="utf-8", errors="replace")


def _totals(result: dict[str, Any]) -> str:
    rejected = sum(sum(found.values()) for found in result["rejected"].values())
    numbers = {"people": result["people"], "pictures kept": result["pictures"], "rejected": rejected}
    return f"<div class=big>{''.join(f'<div><b>{n}</b>{what}</div>' for what, n in numbers.items())}</div>"


def _stages(result: dict[str, Any]) -> str:
    left = result["pictures"] + sum(sum(found.values()) for found in result["rejected"].values())
    rows = [("given", "", left, left)]
    for stage, found in result["rejected"].items():
        for why, count in found.items():
            left -= count
            rows.append((stage, why, count, left))
    return "<h2>Stages</h2>" + _table(("stage", "reason", "pictures", "left"), rows)


def _examples(out: Path) -> str:
    parts = ["<h2>Examples of rejected pictures</h2>"]
    shown = ""
    for row in pq.read_table(examples_table(out)).to_pylist():
        title = f"{row['stage']}: {row['reason']}"
        if title != shown:
            parts.append(f"<h3>{html.escape(title)}</h3>")
            shown = title
        data = base64.b64encode(row["picture"]).decode()
        image = f'<img src="data:image/jpeg;base64,{data}" alt="">' if data else ""
        numbers = row["numbers"].strip("{}").replace('"', "")
        parts.append(f"<figure>{image}{html.escape(row['name'])}<br>{html.escape(numbers[:120])}</figure>")
    return "".join(parts) if len(parts) > 1 else ""


def _people(found: Figures) -> str:
    edges = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 1 << 40]
    counts = np.histogram(found.pictures_of_people, edges)[0]
    names = [str(a) if b == a + 1 else f"{a}-{b - 1}" for a, b in pairwise(edges)]
    names[-1] = f"{edges[-2]}+"
    return "<h2>People by number of pictures</h2>" + _bars(names, [counts])


def _pose(found: Figures) -> str:
    most = max(int(found.pose.max()), 1)
    cells = []
    for i, row in enumerate(found.pose[::-1]):
        for j, count in enumerate(row.tolist()):
            x, y = 60 + j * 44, 6 + i * 26
            depth = 0.08 + 0.92 * (count / most) ** 0.5 if count else 0.04
            ink = ' style="fill:var(--back)"' if depth > 0.55 else ""
            cells.append(
                f'<rect x="{x}" y="{y}" width="42" height="24" fill="var(--bar)" fill-opacity="{depth:.3f}">'
                f"<title>{count}</title></rect>"
            )
            cells.append(f'<text x="{x + 21}" y="{y + 16}" text-anchor="middle"{ink}>{count or ""}</text>')
    rows, columns = found.pose.shape
    cells += [
        f'<text x="52" y="{10 + 26 * k}" text-anchor="end">{p:+d}</text>' for k, p in enumerate(PITCHES[::-1])
    ]
    cells += [
        f'<text x="{60 + 44 * k}" y="{rows * 26 + 20}" text-anchor="middle">{y:+d}</text>'
        for k, y in enumerate(YAWS)
    ]
    note = "<p class=note>Pictures by yaw (across; the picture's right) and pitch (upwards), degrees.</p>"
    size = f'viewBox="0 0 {80 + columns * 44} {rows * 26 + 28}" width="{80 + columns * 44}"'
    return f"<h2>Poses</h2>{note}<svg {size}>{''.join(cells)}</svg>"


def _expression(found: Figures) -> str:
    ranked = sorted(found.expression.items(), key=lambda item: (-item[1][1], item[0]))
    rows = [(name, f"{mean:.2f}", f"{100 * share:.0f} %") for name, (mean, share) in ranked]
    note = "<p class=note>ARKit coefficients that the 3D fit can see; most frequent first.</p>"
    return "<h2>Expressions</h2>" + note + _table(("expression", "mean", "above 0.3"), rows)


def _similarity(found: Figures) -> str:
    names = [f"{low:.2f}" if k % 4 == 0 else "" for k, low in enumerate(SIMILARITIES[:-1])]
    note = (
        "<p class=note>Cosine similarity: blue of one person's pictures, orange of different people's means. "
        "Where they overlap, people may be mixed or doubled.</p>"
    )
    rows = [(a, b, f"{value:.3f}") for a, b, value in found.nearest]
    near = (
        "<h2>Near-misses</h2><p class=note>People who look most alike: is it one person?</p>"
        + _table(("person", "person", "similarity"), rows)
        if rows
        else ""
    )
    bars = _bars(names, [100 * found.within, 100 * found.between])
    return f"<h2>Similarity within and between people</h2>{note}{bars}{near}"


def _shards(found: Figures) -> str:
    rows = [
        (
            r["shard"],
            r["pictures"],
            f"{r['quality']:.2f}",
            f"{r['size_px']:.0f}",
            f"{r['abs_yaw']:.1f}",
            f"{r['drift']:.2f}",
        )
        for r in found.shards
    ]
    note = (
        "<p class=note>Drift: a shard's mean embedding from the whole's, median of its dimensions in "
        "standard errors of independent pictures; as a person's are not independent, several are usual.</p>"
    )
    heads = ("shard", "pictures", "quality", "face px", "|yaw|", "drift")
    return "<h2>Drift between shards</h2>" + note + _table(heads, rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    def cell(tag: str, value: object) -> str:
        text = str(value)
        number = text[:1].isdigit() or text[:1] == "-"
        return f"<{tag}{' class=n' if number else ''}>{html.escape(text)}</{tag}>"

    body = list(rows)
    first = body[0] if body else heads
    head = "".join(
        f"<th{' class=n' if str(v)[:1].isdigit() else ''}>{html.escape(h)}</th>"
        for h, v in zip(heads, first, strict=True)
    )
    lines = "".join(f"<tr>{''.join(cell('td', value) for value in row)}</tr>" for row in body)
    return f"<table><tr>{head}</tr>{lines}</table>"


def _bars(names: Sequence[str], series: Sequence[np.ndarray]) -> str:
    most = max(1e-9, *(float(values.max(initial=0)) for values in series))
    width, parts = 900 / len(names), []
    for k, name in enumerate(names):
        for s, values in enumerate(series):
            height = 120 * float(values[k]) / most
            x, wide = k * width + s * width / len(series), width / len(series) - 2
            colour = ("--bar", "--bar2")[s]
            parts.append(
                f'<rect x="{x:.1f}" y="{130 - height:.1f}" width="{wide:.1f}" height="{height:.1f}" '
                f'fill="var({colour})">'
                f"<title>{values[k]:g}</title></rect>"
            )
            if len(series) == 1 and values[k]:
                parts.append(
                    f'<text x="{x + wide / 2:.1f}" y="{126 - height:.1f}" text-anchor="middle">'
                    f"{values[k]}</text>"
                )
        parts.append(f'<text x="{k * width + width / 2:.1f}" y="146" text-anchor="middle">{name}</text>')
    return f'<svg viewBox="0 0 900 152" width="900">{"".join(parts)}</svg>'

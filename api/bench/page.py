"""The page of all figures: HTML with SVG charts drawn here, no script, nothing loaded from anywhere."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from api.bench.figure import Figure

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1b1b1f; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .3rem; } p { margin: .2rem 0; }
svg { display: block; margin: .6rem 0; max-width: 100%; height: auto; } text { font: 12px system-ui, sans-serif; }
.ours { fill: #8e1f33; } .other { fill: #b9bcc9; } .limit { stroke: #1b1b1f; stroke-dasharray: 4 3; }
details { margin: .4rem 0; } pre { background: #f6f5f4; padding: .7rem; overflow-x: auto; font-size: 12px; }
"""
_WIDTH, _LABEL, _ROW = 760, 330, 26
_COLUMN_HEIGHT = 140


def page(figures: Sequence[Figure]) -> str:
    """The whole document."""
    body = "".join(_section(figure) for figure in figures)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>eid-perso: measured speed</title><style>{_STYLE}</style></head><body>"
        "<h1>Measured speed</h1><p>Each figure stands beside a reference measured in the same run on the same machine;"
        f" ratios travel to other machines, seconds do not.</p>{body}</body></html>\n"
    )


def _section(figure: Figure) -> str:
    reference = figure.reference
    same_unit = reference.unit.split("/")[-1] == figure.unit.split("/")[-1] or figure.name == "encode"
    bars = [(f"{figure.name} ({figure.unit})", figure.value, "ours")]
    if same_unit:
        bars.append((f"{reference.name} ({reference.unit})", reference.value, "other"))
    charts = _bars(bars) + "".join(_charts(figure.details))
    told = html.escape(json.dumps(figure.to_json(), indent=1, ensure_ascii=False))
    return (
        f"<h2>{html.escape(figure.name)}</h2>"
        f"<p>{figure.value:,.1f} {html.escape(figure.unit)}, ratio <b>{figure.ratio:.3f}</b> to "
        f"{html.escape(reference.name)} ({reference.value:,.1f} {html.escape(reference.unit)})</p>"
        f"{charts}<details><summary>all of it</summary><pre>{told}</pre></details>"
    )


def _charts(details: Mapping[str, Any]) -> Iterable[str]:
    """What of the details is better seen than read."""
    if rounds := details.get("wall_ratio_of_each_round"):
        yield "<p>Ratio of each round</p>" + _columns([(str(n), ratio) for n, ratio in enumerate(rounds, start=1)])
    if "cpu_ms" in details:
        yield _bars(
            [
                ("CPU, ms each", details["cpu_ms"], "ours"),
                ("CPU of the reference, ms each", details["reference_cpu_ms"], "other"),
            ]
        )
    if two := details.get("two_processes"):
        yield _bars(
            [
                ("CPU ms a card, one process", two["cpu_ms_one"], "other"),
                ("CPU ms a card, two processes", two["cpu_ms_two"], "ours"),
            ]
        )
    if waiting := details.get("waiting"):
        few, many = waiting["jobs"]
        yield _bars(
            [
                (f"CPU ms a card, {few:,} jobs waiting", waiting["cpu_ms_few"], "other"),
                (f"CPU ms a card, {many:,} jobs waiting", waiting["cpu_ms_many"], "ours"),
            ]
        )
    if accept := details.get("accept"):
        yield _bars(
            [
                ("CPU ms to accept a record", accept["cpu_ms"], "ours"),
                ("CPU ms to decode its pictures alone", accept["reference_cpu_ms"], "other"),
            ]
        )
    cards = details.get("cards")
    if isinstance(cards, list):
        yield "<p>Bytes on the line over content, by content in bytes (line: 1.05)</p>" + _columns(
            [(f"{card['content_bytes']:,}", card["line_over_content"]) for card in cards], limit=1.05
        )


def _bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """Horizontal bars, one a row: label, value, class."""
    most = max(value for _, value, _ in rows) or 1.0
    drawn = []
    for index, (label, value, kind) in enumerate(rows):
        top, length = index * _ROW, (_WIDTH - _LABEL - 90) * value / most
        drawn.append(
            f'<text x="{_LABEL - 8}" y="{top + 17}" text-anchor="end">{html.escape(_short(label))}</text>'
            f'<rect class="{kind}" x="{_LABEL}" y="{top + 4}" width="{max(length, 1):.1f}" height="{_ROW - 8}"/>'
            f'<text x="{_LABEL + length + 6:.1f}" y="{top + 17}">{value:,.4g}</text>'
        )
    return _svg(len(rows) * _ROW, drawn)


def _columns(values: Sequence[tuple[str, float]], limit: float | None = None) -> str:
    """Columns from 0: label, value; a dashed line at the limit."""
    most = max([value for _, value in values] + [limit or 0.0]) * 1.1 or 1.0
    step = min(70.0, _WIDTH / max(len(values), 1))
    drawn = []
    for index, (label, value) in enumerate(values):
        left, height = index * step, _COLUMN_HEIGHT * value / most
        middle = left + step / 2
        drawn.append(
            f'<rect class="ours" x="{left + 3:.1f}" y="{_COLUMN_HEIGHT - height + 16:.1f}" width="{step - 6:.1f}" '
            f'height="{height:.1f}"/><text x="{middle:.1f}" y="{_COLUMN_HEIGHT - height + 12:.1f}" '
            f'text-anchor="middle">{value:.3g}</text>'
            f'<text x="{middle:.1f}" y="{_COLUMN_HEIGHT + 32}" text-anchor="middle">{html.escape(label)}</text>'
        )
    if limit is not None:
        at = _COLUMN_HEIGHT * (1 - limit / most) + 16
        drawn.append(f'<line class="limit" x1="0" x2="{step * len(values):.1f}" y1="{at:.1f}" y2="{at:.1f}"/>')
    return _svg(_COLUMN_HEIGHT + 40, drawn)


def _svg(height: int, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img">{"".join(parts)}</svg>'
    )


def _short(label: str) -> str:
    return label if len(label) <= 52 else f"{label[:50]}…"

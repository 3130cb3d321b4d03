"""Plots: small line charts as SVG, readable on a phone and on a wide screen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from nas.inspection.findings import Chart
from nas.report.html.colours import HUES

WIDTH, HEIGHT, LEFT, RIGHT, TOP = 400, 250, 46, 14, 10
"""The size of a chart and its margins, in px of a narrow page; on a wide one it is up to 1.5 times as large."""

BOTTOM = 40
"""The margin below the axis, for numbers and the title; names are written aslant, and need more."""

COLOURS = tuple(HUES[i][0] for i in (2, 3, 0, 1))


@dataclass(frozen=True, slots=True)
class _Scale:
    """The ranges of both axes, and the height above the names or numbers of the lower one."""

    left: float
    right: float
    low: float
    high: float
    bottom: float

    def x(self, value: float) -> float:
        share = (value - self.left) / ((self.right - self.left) or 1)
        return round(LEFT + (WIDTH - LEFT - RIGHT) * share, 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1)
        return round(TOP + (HEIGHT - self.bottom - TOP) * (1 - share), 1)


def plot(chart: Chart) -> str:
    """Return a chart: its legend, where there are several lines, and its axes, bars, diagonal and lines."""
    scale = _scale_of(chart)
    parts = [*_axes(chart, scale), *_bars(chart, scale)]
    if chart.diagonal:
        ends = f"M{scale.x(scale.left)} {scale.y(scale.low)}L{scale.x(scale.right)} {scale.y(scale.high)}"
        parts.append(f'<path d="{ends}" style="stroke:var(--pale);stroke-dasharray:5 4"/>')
    for place, points in enumerate(chart.lines.values()):
        colour, found = COLOURS[place % len(COLOURS)], [(scale.x(x), scale.y(y)) for x, y in points]
        line = " ".join(f"{x},{y}" for x, y in found)
        parts.append(f'<polyline points="{line}" style="fill:none;stroke:{colour};stroke-width:2"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="2.8" style="fill:{colour}"/>' for x, y in found]
    label = escape(f"{chart.y} against {chart.x}", quote=True)
    drawn = f'<svg class="plot" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" aria-label="{label}">{"".join(parts)}</svg>'
    return (_legend(chart) if len(chart.lines) > 1 else "") + drawn


def _scale_of(chart: Chart) -> _Scale:
    xs = [x for points in chart.lines.values() for x, _ in points]
    ys = [y for points in chart.lines.values() for _, y in points]
    if chart.diagonal:
        return _Scale(0, 100, 0, 100, BOTTOM)
    # a letter is about 6 px wide, and 4 px high where it is written aslant
    bottom = BOTTOM + max((4 * len(name) - 8 for name in chart.ticks), default=0)
    low = 0.0 if min(ys) >= 0 else min(ys)
    high = 100.0 if "%" in chart.y and 50 < max(ys) <= 100 else max(ys)
    return _Scale(min(xs), max(xs), low, high if high > low else low + 1, bottom)


def _axes(chart: Chart, scale: _Scale) -> Iterator[str]:
    """Yield the marks of both axes, with their numbers or names, and the titles of the axes."""
    for value in _rounded(scale.low, scale.high):
        y = scale.y(value)
        yield f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" style="stroke:var(--line)"/>' + _text(
            LEFT - 5, y + 4, "end", value
        )
    below = HEIGHT - scale.bottom
    if chart.ticks:
        for place, name in enumerate(chart.ticks):
            x = scale.x(place)
            yield _text(x + 3, below + 14, "end", name, f' transform="rotate(-40 {x} {below + 12})"')
    else:
        for value in _rounded(scale.left, scale.right):
            yield _text(scale.x(value), below + 15, "middle", value)
    yield _text((LEFT + WIDTH) / 2, HEIGHT - 4, "middle", chart.x)
    middle = (TOP + below) / 2
    yield _text(11, middle, "middle", chart.y, f' transform="rotate(-90 11 {middle})"')


def _rounded(low: float, high: float) -> list[float]:
    """Return about five round numbers between two."""
    step: float = 10 ** math.floor(math.log10((high - low) / 4))
    step = next(step * each for each in (1, 2, 2.5, 5, 10) if (high - low) / (step * each) <= 5)
    return [step * i for i in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def _bars(chart: Chart, scale: _Scale) -> Iterator[str]:
    """Yield the counts as bars up to a third of the height."""
    most = max((count for _, count in chart.bars), default=0)
    wide = (WIDTH - LEFT - RIGHT) / max(1, len(chart.bars)) - 3
    for x, count in chart.bars:
        height = round((HEIGHT - scale.bottom - TOP) / 3 * count / (most or 1), 1)
        place = f'x="{scale.x(x) - wide / 2:.1f}" y="{HEIGHT - scale.bottom - height:.1f}"'
        title = f"<title>{count:,.0f}</title>"
        yield f'<rect {place} width="{wide:.1f}" height="{height}" style="fill:var(--accent-soft)">{title}</rect>'


def _legend(chart: Chart) -> str:
    items = (
        f'<li><svg viewBox="0 0 26 12"><path d="M1 6H25" style="stroke:{COLOURS[i % len(COLOURS)]};stroke-width:3"/></svg>'
        f"{escape(name)}</li>"
        for i, name in enumerate(chart.lines)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _text(x: float, y: float, anchor: str, text: str | float, more: str = "") -> str:
    written = text if isinstance(text, str) else f"{text:g}"
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{more}>{escape(written)}</text>'

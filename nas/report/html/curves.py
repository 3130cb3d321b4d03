"""Charts of the best so far of searches, and of its test scores, against evaluations and seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean

import numpy as np

from nas.report.html.colours import HUES
from nas.report.summary.compared import SearchedSeeds, by_budget, least_spent, units_of

WIDTH, HEIGHT, LEFT, BOTTOM = 640, 320, 64, 40
"""The size of a chart in px, and its margins for the labels of the axes."""

POINTS = 100
"""The number of budgets at which a curve is drawn."""

HUE_ORDER = (2, 3, 0, 1, 4, 5)
"""Blue and vermilion first, as in the report."""

BANDS = "The bands are 1.96 standard errors of the mean over seeds."

Point = tuple[float, float, float]
"""A budget, the mean score, and 1.96 times its standard error."""


def charts(searches: Sequence[SearchedSeeds], tests: Sequence[str]) -> str:
    """Return the charts of the objective and of test scores of the best so far, side by side for each unit of a budget."""
    titles = {None: f"Best {searches[0].objective} so far"} | {test: f"{test} of the best so far" for test in tests}
    return "\n".join(
        f'<div class="columns more">{"".join(_titled(searches, unit, test, title) for unit in units_of(searches))}</div>'
        for test, title in titles.items()
    )


def _titled(searches: Sequence[SearchedSeeds], unit: str, test: str | None, title: str) -> str:
    label = f"{escape(title)}, against {unit}"
    return f"<div><h3>{label}</h3>{curves(searches, unit, test, label)}</div>"


def colour_of(place: int) -> str:
    """Return the colour of a search by its place."""
    hue, shade = HUE_ORDER[place % len(HUE_ORDER)], place // len(HUE_ORDER)
    return HUES[hue][shade % len(HUES[hue])]


def legend(searches: Sequence[SearchedSeeds]) -> str:
    """Return the names of the searches with their colours."""
    items = (
        f'<li><svg viewBox="0 0 26 12"><path d="M1 6H25" style="stroke:{colour_of(place)};stroke-width:3"/></svg>'
        f"{escape(each.name)}</li>"
        for place, each in enumerate(searches)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def curves(searches: Sequence[SearchedSeeds], unit: str, test: str | None, label: str) -> str:
    """Return the mean best so far of each search, or its score `test`, against a budget as an SVG; `label` is HTML."""
    last = least_spent(searches, unit)
    budgets = [last * (point + 1) / POINTS for point in range(POINTS)]
    drawn = [_points(each, budgets, unit, test) for each in searches]
    # the first budgets are the worst by far: the axis begins where all curves have spent a twentieth
    seen = [point for points in drawn for point in points[POINTS // 20 :]] or [p for points in drawn for p in points]
    if not seen:
        return f'<p class="empty">No number of {unit} after which every seed has a score, and none has ended.</p>'
    low, high = min(y - band for _, y, band in seen), max(y + band for _, y, band in seen)
    scale = _Scale(last, low, high if high > low else low + 1)
    lines = "".join(_line(points, colour_of(place), scale) for place, points in enumerate(drawn))
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {HEIGHT}" style="max-width:900px;width:100%" aria-label="{label}">'
        f"{_axes(scale, unit)}{lines}</svg>"
    )


def _points(search: SearchedSeeds, budgets: Sequence[float], unit: str, test: str | None) -> list[Point]:
    """Return the points of a curve, from the first budget at which every seed has a score."""
    found = zip(budgets, by_budget(search, budgets, unit, test), strict=True)
    return [(budget, fmean(scores), _band(scores)) for budget, scores in found if scores is not None]


def _band(scores: Sequence[float]) -> float:
    return 1.96 * float(np.std(scores, ddof=1)) / len(scores) ** 0.5 if len(scores) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class _Scale:
    """The places of budgets and scores in a chart, in px."""

    last: float
    low: float
    high: float

    def x(self, budget: float) -> float:
        return round(LEFT + (WIDTH - LEFT - 25) * budget / self.last, 1)

    def y(self, score: float) -> float:
        share = min(max((score - self.low) / (self.high - self.low), 0.0), 1.0)
        return round(10 + (HEIGHT - BOTTOM - 10) * (1 - share), 1)


def _line(points: Sequence[Point], colour: str, scale: _Scale) -> str:
    points = [point for point in points if scale.low <= point[1] <= scale.high]
    above = [f"{scale.x(x)} {scale.y(y + band)}" for x, y, band in points]
    below = [f"{scale.x(x)} {scale.y(y - band)}" for x, y, band in reversed(points)]
    middle = " ".join(f"{scale.x(x)},{scale.y(y)}" for x, y, _ in points)
    return (
        f'<path d="M{"L".join(above + below)}Z" style="fill:{colour};opacity:.18"/>'
        f'<polyline points="{middle}" style="fill:none;stroke:{colour};stroke-width:2"/>'
    )


def _axes(scale: _Scale, unit: str) -> str:
    """Return five marks on either axis, with their numbers, and the unit of the budget."""
    parts = []
    for mark in range(5):
        score, budget = scale.low + (scale.high - scale.low) * mark / 4, scale.last * mark / 4
        y, x = scale.y(score), scale.x(budget)
        parts.append(f'<path d="M{LEFT} {y}H{WIDTH - 25}" style="stroke:var(--line)"/>')
        parts.append(_text(LEFT - 6, y + 4, "end", f"{score:.4g}") + _text(x, HEIGHT - 22, "middle", f"{budget:,.0f}"))
    return "".join(parts) + _text((WIDTH + LEFT) / 2, HEIGHT - 5, "middle", unit)


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" style="fill:var(--soft);font-size:11px">{escape(text)}</text>'

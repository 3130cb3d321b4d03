"""Transfers: a plot of the accuracy of transferred weights over the percentage of labels used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from math import log10
from operator import itemgetter
from pathlib import Path
from statistics import fmean
from textwrap import wrap
from typing import TYPE_CHECKING, final

from nas.figures.colours import LineStyle, line_styles
from nas.figures.figure import LEADING, End, Points, finish_percents, name_ends, plot_line, rows_of, write_figure
from nas.figures.page import FigurePage
from nas.records import RecordError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Sizes in inches; the height of the page depends on its content, and its font is large enough for a slide.
LEFT, INNER, RIGHT, BOTTOM, TOP, TITLE, NOTE, LEAST = 0.85, 5.4, 2.6, 0.65, 0.4, 0.34, 0.24, 3.4
SIZE, LETTERS = 10.5, 24
STYLE = {"axes.labelsize": 11.0, "xtick.labelsize": 10.5, "ytick.labelsize": 10.5}

MARKERS = "osD^vPX*"
"""The markers of the lines, which distinguish them without colours too."""


def plot_transfer(curves: Mapping[str, Sequence[tuple[float, float]]], path: Path, title: str = "") -> bool:
    """Plot accuracy over labels, a line per way, to `path`, an SVG or a PNG by its suffix; return whether a file was written.

    `curves` holds, for each way of transfer, (percent of the labels, accuracy in percent) of each run. Several runs at the
    same percentage are drawn as their mean, with a band from the lowest to the highest. Writes nothing where there is no run
    or matplotlib is not installed. The same runs give the same SVG. Raises RecordError where a run uses 0 % of the labels,
    and for another suffix.
    """
    ways = [_Way(name, runs) for name, runs in curves.items() if runs]
    if least := [way for way in ways if way.mean[0][0] <= 0]:
        raise RecordError(f"{least[0].name!r} was given {least[0].mean[0][0]:g} % of the labels: give more than 0 %")
    if not ways:
        return False
    sheet = _Sheet(ways, title)
    return write_figure(path, (LEFT + INNER + RIGHT, sheet.height), sheet.draw, STYLE)


@final
class _Way:
    """The runs of one way of transfer, by the percentage of labels: their mean, lowest and highest accuracy."""

    def __init__(self, name: str, runs: Sequence[tuple[float, float]]) -> None:
        at = {x: [y for _, y in group] for x, group in groupby(sorted(runs), key=itemgetter(0))}
        self.name = name
        self.mean: Points = [(x, fmean(values)) for x, values in at.items()]
        self.least, self.most = [min(values) for values in at.values()], [max(values) for values in at.values()]
        self.runs = max(map(len, at.values()))
        self.rows = rows_of(f"{self.mean[-1][1]:.1f} {name}", LETTERS)


@final
class _Sheet:
    """The content and layout of the page, from top to bottom."""

    def __init__(self, ways: Sequence[_Way], title: str) -> None:
        self.ways, self.titles = ways, wrap(title, 56)
        self.lines = line_styles(way.name for way in ways)
        self.percents = sorted({x for way in ways for x, _ in way.mean})
        runs = max(way.runs for way in ways)
        note = f"Means of up to {runs} runs; bands reach from the lowest to the highest." if runs > 1 else ""
        self.notes = wrap(note, 90)
        self.notes_y = TOP + TITLE * len(self.titles)
        self.panel_y = self.notes_y + NOTE * len(self.notes)
        self.ends = [End(*way.mean[-1], way.rows, self.lines[way.name]) for way in ways]
        self.inner = max(LEAST, LEADING * SIZE * sum(len(end.rows) for end in self.ends))
        self.height = self.panel_y + self.inner + BOTTOM

    def draw(self, page: FigurePage) -> None:
        """Draw everything on a page of the sheet's height."""
        for i, title in enumerate(self.titles):
            page.text(LEFT, TOP + i * TITLE, title, 14, bold=True)
        for i, note in enumerate(self.notes):
            page.text(LEFT, self.notes_y + i * NOTE, note, SIZE)
        axes = page.panel(LEFT, self.panel_y, INNER, self.inner)
        for i, way in enumerate(self.ways):
            self.draw_way(axes, way, self.lines[way.name], MARKERS[i % len(MARKERS)])
        self.finish(axes)
        name_ends(axes, self.ends, self.inner, SIZE)

    def draw_way(self, axes: Axes, way: _Way, line: LineStyle, marker: str) -> None:
        """Draw the mean line of a way, and the band of its runs."""
        if way.runs > 1:
            percents = [x for x, _ in way.mean]
            axes.fill_between(percents, way.least, way.most, color=line.colour, alpha=0.15, linewidth=0)
            axes.vlines(percents, way.least, way.most, color=line.colour, linewidth=1)
        plot_line(axes, way.mean, line, 2.2, marker, 6.0)

    def finish(self, axes: Axes) -> None:
        """Set a logarithmic x axis with ticks at the percentages used, as far as they fit."""
        axes.set_xscale("log")
        first, last = self.percents[0], self.percents[-1]
        margin = (last / first) ** 0.03 if last > first else 2.0
        axes.set_xlim(first / margin, last * margin)
        axes.set_xticks(_readable(self.percents), [f"{x:g}" for x in _readable(self.percents)])
        axes.minorticks_off()
        axes.set(xlabel="labels used, %", ylabel="accuracy, %")
        axes.locator_params(axis="y", nbins=6)
        finish_percents(axes)


def _readable(percents: Sequence[float]) -> list[float]:
    """Return percentages at least 1/15 of the logarithmic axis apart, chosen downwards from the last one."""
    least = log10(percents[-1] / percents[0]) / 15
    found = [percents[-1]]
    for each in reversed(percents[:-1]):
        if log10(found[-1] / each) >= least:
            found.append(each)
    return found[::-1]

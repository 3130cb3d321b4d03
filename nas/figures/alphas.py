"""Alphas: a plot of the strengths of the options over the epochs of a supernet search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from math import ceil, isfinite
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, final

from nas.figures.colours import INK, LineStyle, line_styles
from nas.figures.curves import CurveGroup, LearntChoice, Points, blocks, kind, learnt_choices, overview
from nas.figures.figure import write_figure
from nas.figures.page import LETTER, FigurePage, shortened
from nas.supernets.search import SupernetResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 48
"""The maximum number of choices in one plot; the page states how many are left out."""

# Sizes in inches; the height of the page depends on its content.
LEFT, INNER, RIGHT, BOTTOM, GAP, SPACE = 0.55, 11.2, 0.25, 0.1, 0.16, 0.45
TOP, TITLE, LINE, OVERVIEW, NAME, PANEL, TICKS = 0.3, 0.32, 0.2, 1.1, 0.27, 0.82, 0.4

OVERVIEW_LINES = (LineStyle(INK), LineStyle("#d55e00"))

READING = (
    "Each small panel is a choice, each of its lines an option: how much that option counts after each epoch. Above a panel "
    "stands the option that counts most in the end; its line is thick, and the bar has its colour."
)


def plot_alphas(searched: SupernetResult, path: Path, title: str = "") -> bool:
    """Plot the strengths of a supernet's options to `path`, an SVG or a PNG by its suffix; return whether a file was written.

    One panel per choice shows the strengths of its options over the epochs; above them are losses, accuracies, entropy and
    skips. Writes nothing where nothing was learnt or matplotlib is not installed. The same search gives the same SVG.
    Raises RecordError for another suffix.
    """
    choices = learnt_choices(searched)
    if not choices:
        return False
    sheet = _Sheet(searched, choices, title)
    return write_figure(path, (LEFT + INNER + RIGHT, sheet.height), sheet.draw)


@final
class _Sheet:
    """The content and layout of the page, from top to bottom; its `height` is known before it is drawn."""

    def __init__(self, searched: SupernetResult, choices: Sequence[LearntChoice], title: str) -> None:
        self.epochs, self.titles = searched.epochs, wrap(title, 85)
        self.blocks = blocks(choices[:SHOWN])
        # the fewest rows over all blocks, and of these the fewest columns, so the widest panels
        self.columns = min(range(4, 9), key=lambda columns: (sum(_rows(b, columns) for b in self.blocks), columns))
        self.lines = line_styles(
            label for block in self.blocks for each in block.choices.values() for label in each.curves
        )
        self.ends = [a.epoch for a, b in pairwise(self.epochs) if a.phase != b.phase]
        self.notes = [line for paragraph in self.said(choices) for line in wrap(paragraph, 165)]
        self.abreast = max(1, min(8, int(INNER / (0.55 + max(map(len, self.lines)) * 8 * LETTER))))
        self.keys = _keys(self.lines, self.abreast)
        self.notes_y = TOP + TITLE * len(self.titles)
        self.overview_y = self.notes_y + LINE * len(self.notes) + NAME
        self.keys_y = self.overview_y + OVERVIEW + TICKS + LINE
        self.blocks_y = self.keys_y + LINE * len(self.keys)
        self.height = self.blocks_y + sum(map(self.height_of, self.blocks)) + BOTTOM

    def height_of(self, block: CurveGroup) -> float:
        """Return the height of a block: its heading, its panels, and the tick labels below them."""
        return 1.5 * LINE * bool(block.heading) + _rows(block, self.columns) * (NAME + PANEL) + TICKS

    def said(self, choices: Sequence[LearntChoice]) -> Iterator[str]:
        """Yield the notes above the plots, one paragraph each."""
        never = any(choice.takable != choice.left for choice in choices)
        yield READING + " “none” is there for the search alone and is never taken." * never
        if self.ends:
            ends = " and epoch ".join(map(str, self.ends))
            yield f"A phase ends at each dotted line, after epoch {ends}; the lines of options that are dropped end there."
        if len(choices) > SHOWN:
            yield f"Only the first {SHOWN} of {len(choices)} choices are shown; {len(choices) - SHOWN} are left out."
        if self.epochs[-1].warning:
            yield f"Warning: {self.epochs[-1].warning}."

    def draw(self, page: FigurePage) -> None:
        """Draw everything on a page of the sheet's height."""
        for i, title in enumerate(self.titles):
            page.text(LEFT, TOP + i * TITLE, title, 13, bold=True)
        for i, note in enumerate(self.notes):
            page.text(LEFT, self.notes_y + i * LINE, note, 8.5)
        self.draw_overview(page)
        for row, labels in enumerate(self.keys):
            for column, label in enumerate(labels):
                page.key(LEFT + column * INNER / self.abreast, self.keys_y + row * LINE, self.lines[label], label)
        y = self.blocks_y
        for block in self.blocks:
            self.draw_block(page, block, y)
            y += self.height_of(block)

    def draw_overview(self, page: FigurePage) -> None:
        """Draw the measurements of each epoch as panels side by side."""
        panels = overview(self.epochs)
        pitch = (INNER + SPACE) / len(panels)
        for i, (name, curves) in enumerate(panels.items()):
            x, y = LEFT + i * pitch, self.overview_y
            axes = page.panel(x, y, pitch - SPACE, OVERVIEW)
            page.text(x, y - 0.07, name, bold=True)
            for line, (label, points) in zip(OVERVIEW_LINES, curves.items(), strict=False):
                _plot(axes, points, line, 1.6, label)
            self.finish(axes)
            if name == "loss":
                axes.legend(fontsize=7, framealpha=1, edgecolor="none", handlelength=1.6)
            elif name.startswith("entropy"):
                axes.set_ylim(0, 1.05)
            elif name.startswith("skips"):
                most = max(1, *(each.skippable for each in self.epochs))
                axes.set_ylim(-0.04 * most, 1.04 * most)
                axes.locator_params(axis="y", nbins=5, integer=True)

    def draw_block(self, page: FigurePage, block: CurveGroup, y: float) -> None:
        """Draw a heading and its panels."""
        pitch, rows = (INNER + GAP) / self.columns, _rows(block, self.columns)
        if block.heading:
            y += 1.5 * LINE
            page.text(LEFT, y, block.heading, 10.5, bold=True)
        highest = self.highest(block.kind)
        for i, (name, choice) in enumerate(block.choices.items()):
            row, column = divmod(i, self.columns)
            x, top = LEFT + column * pitch, y + NAME + row * (NAME + PANEL)
            strongest = shortened(choice.strongest, 0.8 * (pitch - GAP))
            page.text(x, top - 0.06, shortened(name, pitch - GAP - (len(strongest) + 1) * 8 * LETTER), bold=True)
            page.text(x + pitch - GAP, top - 0.06, strongest, side="right")
            axes = page.panel(x, top, pitch - GAP, PANEL)
            self.draw_choice(axes, choice)
            axes.set(ylim=(0, highest), ylabel="strength" if column == row == 0 else "")
            axes.tick_params(labelleft=column == 0, labelbottom=i + self.columns >= len(block.choices))
            axes.set_xlabel("epoch" if column == 0 and row == rows - 1 else "", labelpad=1)

    def draw_choice(self, axes: Axes, choice: LearntChoice) -> None:
        """Draw the lines of a choice, with its strongest option's line on top."""
        for label, points in choice.curves.items():
            strongest = label == choice.strongest
            _plot(axes, points, self.lines[label], 2.4 if strongest else 1.1, above=strongest)
        axes.spines["top"].set(color=self.lines[choice.strongest].colour, linewidth=3)
        axes.set_gid(choice.name)
        self.finish(axes)

    def highest(self, kind: str) -> float:
        """Return the upper limit of the y axis, which all choices of a kind share."""
        shown = (choice for block in self.blocks if block.kind == kind for choice in block.choices.values())
        values = (value for choice in shown for points in choice.curves.values() for _, value in points)
        return 1.08 * max(filter(isfinite, values), default=1.0) or 1.0

    def finish(self, axes: Axes) -> None:
        """Set the x axis to the epochs, the same in all panels, and mark the ends of phases."""
        first, last = self.epochs[0].epoch, self.epochs[-1].epoch
        margin = 0.02 * (last - first) or 0.5
        axes.set_xlim(first - margin, last + margin)
        axes.locator_params(axis="x", nbins=4, integer=True, min_n_ticks=1)
        axes.locator_params(axis="y", nbins=4)
        for end in self.ends:
            axes.axvline(end + 0.5, color=INK, linestyle=(0, (1, 2)), linewidth=0.8)


def _keys(labels: Iterable[str], abreast: int) -> list[list[str]]:
    """Return the labels in each row of the legend; operations, edges and values each begin a new row."""
    kinds = [list(group) for _, group in groupby(labels, lambda label: kind([label]))]
    return [each[i : i + abreast] for each in kinds for i in range(0, len(each), abreast)]


def _rows(block: CurveGroup, columns: int) -> int:
    return ceil(len(block.choices) / columns)


def _plot(axes: Axes, points: Points, line: LineStyle, width: float, label: str = "", above: bool = False) -> None:
    """Draw one line; up to 5 points are marked with dots too."""
    epochs, values = [epoch for epoch, _ in points], [value for _, value in points]
    (drawn,) = axes.plot(epochs, values, color=line.colour, linestyle=line.style, linewidth=width, label=label)
    drawn.set(marker="o" if len(points) <= 5 else "", markersize=3.5, zorder=3 if above else 2)

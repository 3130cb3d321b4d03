"""Trainings: a plot of the measurements of a training by epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, final

from nas.figures.colours import INK, LineStyle
from nas.figures.figure import End, Points, finish_percents, name_ends, plot_line, write_figure
from nas.figures.page import FigurePage
from nas.training.reports import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Sizes in inches; the height of the page depends on its content.
LEFT, INNER, RIGHT, BOTTOM, GAP = 0.6, 8.0, 1.75, 0.55, 0.7
TOP, TITLE, NOTE, NAME, LARGE, SMALL, TICKS = 0.32, 0.32, 0.21, 0.34, 2.3, 1.15, 0.4

STYLE = {"axes.labelsize": 9.0, "xtick.labelsize": 8.5, "ytick.labelsize": 8.5}

TRAINED, VALIDATED, AVERAGED = LineStyle(INK), LineStyle("#d55e00"), LineStyle("#0072b2")


def plot_training(epochs: Sequence[Epoch], path: Path, title: str = "") -> bool:
    """Plot the epochs of a training to `path`, an SVG or a PNG by its suffix; return whether a file was written.

    It shows the loss, the top-1 on training and validation images (and with the EMA weights, if any), the learning rate, the
    throughput, and the share of time spent waiting for images. Writes nothing where there is no epoch or matplotlib is not
    installed. The same epochs give the same SVG. Raises RecordError for another suffix.
    """
    if not epochs:
        return False
    sheet = _Sheet(epochs, title)
    return write_figure(path, (LEFT + INNER + RIGHT, sheet.height), sheet.draw, STYLE)


@dataclass(frozen=True, slots=True)
class TrainingCurve:
    """One line of a panel; its label is written at its end."""

    label: str
    line: LineStyle
    points: Points

    @property
    def end(self) -> End:
        """The end of the line, labelled with its last value."""
        x, y = self.points[-1]
        return End(x, y, [f"{y:.1f} {self.label}"], self.line)


@final
class _Sheet:
    """The content and layout of the page, from top to bottom; of an epoch reported twice, the later report counts."""

    def __init__(self, epochs: Sequence[Epoch], title: str) -> None:
        self.epochs = sorted({each.epoch: each for each in epochs}.values(), key=lambda each: each.epoch)
        self.titles, self.notes = wrap(title, 75), wrap(" ".join(epoch_notes(self.epochs)), 120)
        self.notes_y = TOP + TITLE * len(self.titles)
        self.large_y = self.notes_y + NOTE * len(self.notes) + NAME - 0.12
        self.small_y = self.large_y + LARGE + TICKS + NAME
        self.height = self.small_y + SMALL + BOTTOM

    def draw(self, page: FigurePage) -> None:
        """Draw everything on a page of the sheet's height."""
        for i, title in enumerate(self.titles):
            page.text(LEFT, TOP + i * TITLE, title, 13, bold=True)
        for i, note in enumerate(self.notes):
            page.text(LEFT, self.notes_y + i * NOTE, note, 9)
        self.draw_row(page, learnt(self.epochs), self.large_y, INNER, LARGE)
        self.draw_row(page, worked(self.epochs), self.small_y, INNER + RIGHT - 0.25, SMALL)

    def draw_row(
        self, page: FigurePage, panels: Mapping[str, Sequence[TrainingCurve]], y: float, width: float, height: float
    ) -> None:
        """Draw panels side by side, each below its title."""
        pitch = (width + GAP) / len(panels)
        for i, (name, curves) in enumerate(panels.items()):
            x = LEFT + i * pitch
            page.text(x, y - 0.09, name, 9.5, bold=True)
            axes = page.panel(x, y, pitch - GAP, height)
            axes.set_gid(name.split(",")[0].replace(" ", "-"))
            for curve in curves:
                plot_line(axes, curve.points, curve.line, 1.4)
            self.finish(axes, name)
            name_ends(axes, [curve.end for curve in curves if curve.label], height, 9.0)

    def finish(self, axes: Axes, name: str) -> None:
        """Set the x axis to the epochs, the same in all panels, and the y axis to limits that suit the measurement."""
        first, last = self.epochs[0].epoch, self.epochs[-1].epoch
        margin = 0.02 * (last - first) or 0.5
        axes.set_xlim(first - margin, last + margin)
        axes.set_xlabel("epoch", labelpad=1)
        axes.locator_params(axis="x", nbins=6, integer=True, min_n_ticks=1)
        axes.locator_params(axis="y", nbins=5)
        if name.endswith("%"):
            finish_percents(axes, whole=name.startswith("waiting"))
        elif name != "loss":
            axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def epoch_notes(epochs: Sequence[Epoch]) -> Sequence[str]:
    """Return the notes above the plots; `epochs` must be in order."""
    last, notes = epochs[-1], list[str]()
    if last.epoch < last.epochs:
        notes.append(f"Epoch {last.epoch} of {last.epochs}.")
    known = [(each.validation_top1_percent, each.epoch) for each in epochs if each.validation_top1_percent is not None]
    if known:
        best = max(known, key=lambda each: (each[0], -each[1]))
        notes.append(
            f"On validation images: {known[-1][0]:.2f} % at last, {best[0]:.2f} % at best, after epoch {best[1]}."
        )
    if broken := max(each.broken_images for each in epochs):
        notes.append(f"Up to {broken} images in an epoch could not be decoded.")
    return notes


def learnt(epochs: Sequence[Epoch]) -> dict[str, list[TrainingCurve]]:
    """Return the curves of loss and accuracy, by the title of their panel."""
    accuracies = [
        TrainingCurve("training", TRAINED, _known(epochs, lambda each: each.train_top1_percent)),
        TrainingCurve("validation", VALIDATED, _known(epochs, lambda each: each.validation_top1_percent)),
        TrainingCurve("validation, EMA", AVERAGED, _known(epochs, lambda each: each.ema_top1_percent)),
    ]
    return {
        "loss": [TrainingCurve("", TRAINED, _known(epochs, lambda each: each.loss))],
        "accuracy, %": [each for each in accuracies if each.points],
    }


def worked(epochs: Sequence[Epoch]) -> dict[str, list[TrainingCurve]]:
    """Return the curves of learning rate, throughput and waiting time, by the title of their panel."""
    return {
        "learning rate": [TrainingCurve("", TRAINED, _known(epochs, lambda each: each.lr))],
        "images a second": [TrainingCurve("", TRAINED, _known(epochs, lambda each: each.images_per_second))],
        "waiting for images, %": [TrainingCurve("", TRAINED, _known(epochs, lambda each: each.waiting_percent))],
    }


def _known(epochs: Sequence[Epoch], value: Callable[[Epoch], float | None]) -> Points:
    values = ((each.epoch, value(each)) for each in epochs)
    return [(epoch, known) for epoch, known in values if known is not None and isfinite(known)]

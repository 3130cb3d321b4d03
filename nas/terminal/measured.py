"""Tables of a trained network's accuracy and speed, for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.table import Table
from rich.text import Text

from nas.runs.scores import informative_scores
from nas.training.measure import Accuracy, TestResult

WORST, BEST = 10, 5
"""The numbers of classes to show where there are more: those with the worst and the best accuracy."""

LETTERS = 40
"""The maximum length of a class's name."""

FIVE = "top-5 accuracy, %"

ROWS: Mapping[str, Callable[[Accuracy], str]] = {
    "top-1 accuracy, %": lambda each: f"{each.top1_percent:.2f}",
    FIVE: lambda each: f"{each.top5_percent:.2f}",
    "loss": lambda each: f"{each.loss:.4f}",
    "calibration error, %": lambda each: f"{each.calibration_error_percent:.2f}",
    "images": lambda each: f"{each.images:,}",
}


def test_table(measured: TestResult) -> Table:
    """Return the table of a network's accuracy and speed, for its weights and, next to them, their moving average."""
    found = _by_weights(measured)
    table = _table("Tested", "", *(name or "weights" for name in found))
    for name, written in ROWS.items():
        if name != FIVE or informative_scores({"top5_percent": 0.0}, len(measured.classes)):
            table.add_row(name, *map(written, found.values()))
    if (speed := measured.speed) is not None:
        table.add_row(f"images/s at batch size {speed.batch}", f"{speed.images_per_second:,.0f}")
        latency = f"{speed.latency_milliseconds:.2f} (slowest tenth: {speed.latency_p90_milliseconds:.2f})"
        table.add_row("latency of one image, ms", latency)
    return table


def source_line(measured: TestResult) -> str:
    """Return which images were tested, and how many, such as "Tested on 90 images: 20% of the 450 in the folder"."""
    return f"Tested on {measured.raw.images:,} images: {measured.source or 'their source is unknown'}"


def class_table(measured: TestResult) -> Table:
    """Return the accuracy of each class, the worst class first; of many classes only the worst and the best."""
    found = _by_weights(measured)
    counts = measured.raw.class_images
    rights = {name: _percent(each) for name, each in found.items()}
    decisive = list(rights.values())[-1]  # the EMA's, where there is one
    order = sorted((i for i, images in enumerate(counts) if images), key=lambda i: decisive[i])
    table = _table("Classes", "class", "images", *(f"accuracy, % {name}".strip() for name in found))
    left_out = len(order) - WORST - BEST
    # leaving out a single class would save no line: its row would say "1 more"
    shown = order if left_out <= 1 else [*order[:WORST], *order[-BEST:]]
    for place, i in enumerate(shown):
        if place == WORST and left_out > 1:
            table.add_row(f"… {left_out} more", style="dim")
        table.add_row(
            Text(_short(measured.classes[i])), f"{counts[i]:,}", *(f"{each[i]:.2f}" for each in rights.values())
        )
    return table


def _by_weights(measured: TestResult) -> dict[str, Accuracy]:
    """Return the accuracies by the name of the weights; unnamed where there is only one."""
    return {"": measured.raw} if measured.ema is None else {"raw": measured.raw, "EMA": measured.ema}


def _percent(accuracy: Accuracy) -> list[float]:
    counted = zip(accuracy.class_right, accuracy.class_images, strict=True)
    return [100 * right / max(1, images) for right, images in counted]


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table

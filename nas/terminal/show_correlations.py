"""Terminal output of rank correlations."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from nas.runs.correlation import BEST_PERCENT, Correlations
from nas.runs.statistics import Interval


def print_correlations(found: Correlations, console: Console) -> None:
    """Print a row for each score, the best first."""
    left_out = f"; {found.left_out} without all scores are left out" if found.left_out else ""
    console.print(
        f"Rank correlation with {found.truth} over {found.architectures} architectures{left_out}",
        style="italic",
        soft_wrap=True,
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("score")
    best = f"in the best {BEST_PERCENT:.0f} %"
    for name in ("Spearman", "95 % interval", "Kendall", best, "95 % interval"):
        table.add_column(name, justify="right")
    for row in found.rows:
        table.add_row(
            row.score,
            _number(row.spearman),
            _interval(row.interval),
            _number(row.kendall),
            _number(row.within_best),
            _interval(row.within_best_interval),
        )
    console.print(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _interval(limits: Interval | None) -> str:
    return "" if limits is None else f"{limits[0]:.2f} to {limits[1]:.2f}"

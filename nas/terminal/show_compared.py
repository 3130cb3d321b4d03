"""Terminal output of searches compared over their seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nas.report.summary.compared import (
    PAIR_COLUMNS,
    SUMMARY_COLUMNS,
    Budgets,
    Compared,
    pair_cells,
    summary_cells,
)


def print_comparison(compared: Compared, console: Console) -> None:
    """Print the summaries, the best so far at some budgets, and the paired tests."""
    console.print(f"{compared.metric}, mean ± standard deviation over seeds", style="italic", soft_wrap=True)
    table = _table(SUMMARY_COLUMNS, 1)
    for name, each in compared.summaries.items():
        table.add_row(*summary_cells(name, each))
    console.print(table)
    for budgets in compared.tables:
        console.print(_title(budgets, compared.objective), style="italic", soft_wrap=True)
        console.print(_at_budgets(budgets))
    if compared.pairs:
        title = f"{compared.metric}, paired by seed: two-sided sign-flip tests, and Holm's correction"
        console.print(title, style="italic", soft_wrap=True)
        console.print(_pairs(compared))
    elif len(compared.searches) > 1:
        console.print("No test: it needs at least two seeds that both searches have", style="yellow", soft_wrap=True)


def _title(budgets: Budgets, objective: str) -> str:
    what = f"Best {objective} so far" if budgets.test is None else f"{budgets.test} of the best {objective} so far"
    return f"{what}, mean over seeds, after so many {budgets.unit}"


def _table(columns: Sequence[str], names: int) -> Table:
    """Return an empty table, whose first columns are names."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < names else "right")
    return table


def _at_budgets(budgets: Budgets) -> Table:
    table = _table(["search", *(f"{budget:,.0f}" for budget in budgets.budgets)], 1)
    for name, means in budgets.means.items():
        table.add_row(name, *("" if mean is None else f"{mean:.3f}" for mean in means))
    return table


def _pairs(compared: Compared) -> Table:
    table = _table(PAIR_COLUMNS, 2)
    for each in compared.pairs:
        table.add_row(*pair_cells(each))
    return table


def print_comparison_json(compared: Compared) -> None:
    """Print the comparison as JSON."""
    print(json.dumps(_as_plain(compared), indent=1))


def _as_plain(compared: Compared) -> dict[str, Any]:
    searches = [
        {
            "search": each.name,
            "folder": str(Path(each.folder)),
            **asdict(compared.summaries[each.name]),
            "standard_error": compared.summaries[each.name].standard_error,
        }
        for each in compared.searches
    ]
    return {
        "metric": compared.metric,
        "objective": compared.objective,
        "searches": searches,
        "best_so_far": [asdict(each) for each in compared.tables],
        "pairs": [asdict(each) for each in compared.pairs],
    }

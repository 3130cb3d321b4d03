"""Terminal output of searches compared over their seeds."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nas.report.summary.compared import Budgets, Compared


def print_comparison(compared: Compared, console: Console) -> None:
    """Print the summaries, the best so far at some budgets, and the paired tests."""
    console.print(f"{compared.metric}, mean ± standard deviation over seeds", style="italic", soft_wrap=True)
    table = _table()
    for column in ("search", "seeds", "mean", "95 % interval"):
        table.add_column(column, justify="left" if column == "search" else "right")
    for name, each in compared.summaries.items():
        spread = "" if each.std is None else f" ± {each.std:.3f}"
        table.add_row(name, str(each.seeds), f"{each.mean:.3f}{spread}", _interval(each.interval))
    console.print(table)
    for budgets in compared.tables:
        title = f"Best {compared.objective} so far, mean over seeds, after so many {budgets.unit}"
        console.print(title, style="italic", soft_wrap=True)
        console.print(_at_budgets(budgets))
    if compared.pairs:
        title = f"{compared.metric}, paired by seed: two-sided sign-flip tests, and Holm's correction"
        console.print(title, style="italic", soft_wrap=True)
        console.print(_pairs(compared))
    elif len(compared.searches) > 1:
        console.print("No test: it needs at least two seeds that both searches have", style="yellow", soft_wrap=True)


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0))


def _at_budgets(budgets: Budgets) -> Table:
    table = _table()
    table.add_column("search")
    for budget in budgets.budgets:
        table.add_column(f"{budget:,.0f}", justify="right")
    for name, means in budgets.means.items():
        table.add_row(name, *("" if mean is None else f"{mean:.3f}" for mean in means))
    return table


def _pairs(compared: Compared) -> Table:
    table = _table()
    for column in ("search", "minus", "pairs", "difference", "95 % interval", "Cohen's d", "p", "p, Holm"):
        table.add_column(column, justify="left" if column in ("search", "minus") else "right")
    for each in compared.pairs:
        effect = "" if each.effect_size is None else f"{each.effect_size:.2f}"
        numbers = (str(each.pairs), f"{each.mean_difference:+.3f}", _interval(each.interval), effect)
        table.add_row(each.first, each.second, *numbers, f"{each.p_value:.2g}", f"{each.holm_p_value:.2g}")
    return table


def _interval(limits: tuple[float, float] | None) -> str:
    return "" if limits is None else f"{limits[0]:.3f} to {limits[1]:.3f}"


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

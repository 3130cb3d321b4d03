"""Terminal output of reproductions: published and own numbers side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from nas.records import RecordError
from nas.runs.experiment import Experiment
from nas.runs.reproduce import Comparison, reproduce


@dataclass(frozen=True, slots=True)
class ReproductionRequest:
    """How to reproduce: the number of seeds, the folder that keeps them, and the number of processes, None for a fitting one."""

    seeds: int
    folder: Path
    workers: int | None


def show_reproduction(experiment: Experiment, asked: ReproductionRequest, as_json: bool, console: Console) -> bool:
    """Run the seeds, and print published and own numbers side by side; return whether none is outside its tolerance."""
    if not experiment.expect:
        raise RecordError("the experiment has no `expect:`: there is nothing to compare with")
    with Progress(console=Console(stderr=True), transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{asked.seeds} runs", total=asked.seeds)
        compared = reproduce(
            experiment, asked.seeds, lambda ended: bar.update(task, completed=ended), asked.folder, asked.workers
        )
    if as_json:
        print(json.dumps([as_plain(each) for each in compared], indent=1))
    else:
        print_compared(compared, asked.seeds, console)
    return all(each.holds is not False for each in compared)


def as_plain(compared: Comparison) -> dict[str, Any]:
    """Return a comparison as plain data."""
    derived = {name: getattr(compared, name) for name in ("standard_error", "difference", "outside", "holds")}
    return {**asdict(compared), **derived}


def print_compared(compared: Sequence[Comparison], seeds: int, console: Console) -> None:
    """Print published and own numbers, a row each, with a verdict where there are enough seeds for one."""
    title = f"Mean ± standard deviation of {seeds} runs" if seeds > 1 else "1 run, with seed 0"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    columns = (
        ("score", "published", "own", "95 % interval", "standard error", "tolerance", "")
        if seeds > 1
        else ("score", "published", "own", "difference", "tolerance", "")
    )
    for column in columns:
        table.add_column(column, justify="left" if column in ("score", "") else "right", no_wrap=column == "score")
    for each in compared:
        table.add_row(each.name, published(each), *_own(each), f"{each.published.tolerance:g}", verdict(each))
    console.print(table)
    if seeds == 1:
        console.print("1 seed: no deviation, and no verdict; give --seeds 2 or more", style="yellow", soft_wrap=True)


def published(compared: Comparison) -> str:
    """Return the published number as text."""
    spread = f" ± {compared.published.std:.2f}" if compared.published.std is not None else ""
    return f"{compared.published.mean:g}{spread}"


def verdict(compared: Comparison) -> Text:
    """Return whether the own mean is inside the tolerance, and by how much it is outside."""
    if compared.holds is None:
        return Text("no verdict")
    return Text("holds", "green") if compared.holds else Text(f"does not hold, by {compared.outside:.3f}", "red")


def _own(compared: Comparison) -> tuple[str, ...]:
    """Return the own mean, its interval and its standard error; for one seed, the score and its difference."""
    if compared.own_std is None:
        return f"{compared.own_mean:.3f}", f"{compared.difference:+.3f}"
    return (
        f"{compared.own_mean:.3f} ± {compared.own_std:.3f}",
        interval(compared.interval),
        f"{compared.standard_error:.3f}",
    )


def interval(limits: tuple[float, float] | None) -> str:
    """Return an interval as text; empty where there is none."""
    return "" if limits is None else f"{limits[0]:.3f} to {limits[1]:.3f}"

"""Terminal output of reproductions: expected and own numbers side by side, and the best so far over the search."""

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
from nas.report.html.page import check_target
from nas.report.html.reproduced import write_reproduced
from nas.report.summary.compared import SearchedSeeds, budget_tables, read_searched, tests_of
from nas.runs.declared import experiments
from nas.runs.experiment import Experiment
from nas.runs.reproduce import Comparison, reproduce
from nas.runs.reproduce_all import Listed, Reproduced, listed, read_header, reproduce_listed
from nas.runs.statistics import interval_text


@dataclass(frozen=True, slots=True)
class ReproductionRequest:
    """How to reproduce the experiment in `file`: the number of seeds, the folder that keeps them, and the page to write, if any.

    `workers` is the number of processes, None for a fitting one.
    """

    name: str
    file: Path
    seeds: int
    folder: Path
    workers: int | None
    html: Path | None = None


@dataclass(frozen=True, slots=True)
class AllRequest:
    """How to reproduce all: `seeds` of each, None for what its header says, and whether also the slow ones; the page to write."""

    seeds: int | None
    folder: Path
    workers: int | None
    slow: bool
    html: Path


def show_reproduction(experiment: Experiment, asked: ReproductionRequest, as_json: bool, console: Console) -> bool:
    """Run the seeds, and print expected and own numbers side by side; return whether none is outside its tolerance."""
    if not experiment.expect:
        raise RecordError("the experiment has no `expect:`: there is nothing to compare with")
    if asked.html is not None:
        check_target(asked.html, may_replace=False, repair="give another --html")
    with Progress(console=Console(stderr=True), transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{asked.seeds} runs", total=asked.seeds)
        compared = reproduce(
            experiment, asked.seeds, lambda ended: bar.update(task, completed=ended), asked.folder, asked.workers
        )
    if asked.html is not None:
        named = Listed(asked.name, experiment, read_header(asked.file), asked.seeds)
        write_reproduced(asked.html, [Reproduced(named, compared, asked.folder)], [])
    if as_json:
        print(json.dumps([as_plain(each) for each in compared], indent=1))
    else:
        print_compared(compared, asked.seeds, console)
        print_over_search(read_searched(asked.folder, asked.name, asked.seeds), console)
        if asked.html is not None:
            console.print(f"Page: {asked.html}", soft_wrap=True)
    return all(each.holds is not False for each in compared)


def print_over_search(searched: SearchedSeeds, console: Console) -> None:
    """Print the best so far of a search, and its test scores where they cost nothing, at some budgets."""
    tests = tests_of([searched])
    tables = budget_tables([searched], tests)
    for unit in dict.fromkeys(each.unit for each in tables):
        of_unit = [each for each in tables if each.unit == unit]
        title = f"Best {searched.objective} so far{' and its tests' if tests else ''}, mean over seeds, after so many {unit}"
        console.print(title, style="italic", soft_wrap=True)
        table = Table(box=None, padding=(0, 2, 0, 0))
        for place, column in enumerate(["score", *(f"{budget:,.0f}" for budget in of_unit[0].budgets)]):
            table.add_column(column, justify="right" if place else "left", no_wrap=True)
        for each in of_unit:
            means = ("" if mean is None else f"{mean:.3f}" for mean in each.means[searched.name])
            table.add_row(each.test or searched.objective, *means)
        console.print(table)


def show_all(asked: AllRequest, as_json: bool, console: Console) -> bool:
    """Reproduce every experiment that can be, print one table and write one page; return whether all are within tolerance."""
    check_target(asked.html, may_replace=False, repair="give another --html")
    known = listed(experiments(), asked.seeds, asked.slow)
    left_out = [each for each in known if each.left_out]
    found = [_watched(each, asked, console) for each in known if not each.left_out]
    write_reproduced(asked.html, found, left_out)
    if as_json:
        print(json.dumps(_all_as_plain(found, left_out), indent=1))
        return all(each.holds for each in found)
    print_all(found, console)
    for each in left_out:
        console.print(f"Left out: {each.name}: {each.left_out}", style="dim", soft_wrap=True)
    console.print(f"Page: {asked.html}", soft_wrap=True)
    return all(each.holds for each in found)


def _watched(each: Listed, asked: AllRequest, console: Console) -> Reproduced:
    with Progress(console=Console(stderr=True), transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{each.name}, {each.seeds} runs", total=each.seeds)
        return reproduce_listed(each, asked.folder, asked.workers, lambda ended: bar.update(task, completed=ended))


LINE = 220
"""The width, in characters, that rows of all experiments fit in."""


def print_all(found: Sequence[Reproduced], console: Console) -> None:
    """Print the numbers of all experiments as one table."""
    title = "Mean ± standard deviation over seeds"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    left = ("experiment", "score", "")
    columns = ("experiment", "seeds", "score", "expected", "re-derived", "own", "95 % interval", "tolerance", "")
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", no_wrap=column in left[:2])
    for each in found:
        if each.failure:
            table.add_row(each.listed.name, str(each.listed.seeds), "", *[""] * 5, Text(each.failure, "red"))
        for place, compared in enumerate(each.compared):
            name, seeds = ("", "") if place else (each.listed.name, str(compared.seeds))
            expected, own, tolerance = compared.published, _own(compared)[:1], f"{compared.published.tolerance:g}"
            texts = (compared.name, expected.text, expected.rederived_text, *own, interval_text(compared.interval))
            table.add_row(name, seeds, *texts, tolerance, verdict(compared))
    # in a file or a pipe a row is one line
    wide = console if console.is_terminal else Console(file=console.file, width=max(console.width, LINE))
    wide.print(table)
    for each in found:
        print_notes(each.compared, console)


def print_notes(compared: Sequence[Comparison], console: Console) -> None:
    """Print what the experiment says of its numbers that are outside their tolerances."""
    for note in dict.fromkeys(each.published.note for each in compared if each.holds is False and each.published.note):
        console.print(note, style="yellow", soft_wrap=True)


def _all_as_plain(found: Sequence[Reproduced], left_out: Sequence[Listed]) -> dict[str, Any]:
    return {
        "reproduced": [
            {
                "experiment": each.listed.name,
                "seeds": each.listed.seeds,
                "failure": each.failure or None,
                "scores": list(map(as_plain, each.compared)),
            }
            for each in found
        ],
        "left_out": {each.name: each.left_out for each in left_out},
    }


def as_plain(compared: Comparison) -> dict[str, Any]:
    """Return a comparison as plain data."""
    derived = {name: getattr(compared, name) for name in ("standard_error", "difference", "outside", "holds")}
    return {**asdict(compared), **derived}


def print_compared(compared: Sequence[Comparison], seeds: int, console: Console) -> None:
    """Print expected and own numbers, a row each, with a verdict where there are enough seeds for one."""
    title = f"Mean ± standard deviation of {seeds} runs" if seeds > 1 else "1 run, with seed 0"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    own = ("own", "95 % interval", "standard error") if seeds > 1 else ("own", "difference")
    further = _further(compared)
    for column in ("score", "expected", *own, *further, "tolerance", ""):
        table.add_column(column, justify="left" if column in ("score", "") else "right", no_wrap=column == "score")
    for place, each in enumerate(compared):
        more = (texts[place] for texts in further.values())
        tolerance = f"{each.published.tolerance:g}"
        table.add_row(each.name, each.published.text, *_own(each), *more, tolerance, verdict(each))
    console.print(table)
    print_notes(compared, console)
    if seeds == 1:
        console.print("1 seed: no deviation, and no verdict; give --seeds 2 or more", style="yellow", soft_wrap=True)


def _further(compared: Sequence[Comparison]) -> dict[str, list[str]]:
    """Return the columns that only some experiments have: deviations of retrainings, and re-derived numbers."""
    columns = {
        "retraining std": ["" if each.retraining_std is None else f"{each.retraining_std:.3f}" for each in compared],
        "re-derived": [each.published.rederived_text for each in compared],
    }
    return {name: texts for name, texts in columns.items() if any(texts)}


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
        interval_text(compared.interval),
        f"{compared.standard_error:.3f}",
    )

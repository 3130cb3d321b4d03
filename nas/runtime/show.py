"""What the commands print: results, runs, lists, profiles and reproductions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from nas.build import Node
from nas.evaluation.evaluator import Evaluator
from nas.family import families
from nas.history import Evaluated, History, replay
from nas.notation import name_of
from nas.record import RecordError, import_all, nearest, record_classes
from nas.report.shares import plot_shares
from nas.runtime.costs import print_architecture
from nas.runtime.declared import experiments_folder
from nas.runtime.executor import Executor
from nas.runtime.experiment import Experiment
from nas.runtime.full_training import recipes
from nas.runtime.reproduce import reproduce
from nas.runtime.run import Result, by_role, load_run
from nas.runtime.supernets import SUPERNET_OBJECTIVE, SUPERNETS, draw_searched, searched_in
from nas.runtime.terminal import best_so_far, number, print_failure, sparkline
from nas.supernets.search import Searched


def show_result(experiment: Experiment, result: Result, folder: Path, console: Console) -> None:
    """Print what a run found, tested beside a random architecture if that was asked for, and where it is."""
    _show_searched(result.searched, folder, console)
    _show_best(experiment, result.best, console)
    _show_shares(experiment, result.history, folder, console)
    if result.finals:
        console.print(_finals_table(result.finals))
    for role, done in result.finals.items():
        if done.failure is not None:
            print_failure(role, done, console)
    if (folder / "best.svg").is_file():
        console.print(f"Picture: {folder / 'best.svg'}", highlight=False, soft_wrap=True)
    console.print(f"Run folder: {folder}  (nas show {folder})", highlight=False, soft_wrap=True)


def _show_searched(searched: Sequence[Searched], folder: Path, console: Console) -> None:
    """Print how each search with a supernet ended, with the monitor's last warning, and where its plot is."""
    if not searched:
        return
    shown = ("validation_top1_percent", "supernet_top1_percent", "entropy", "skips", "epochs", "seconds")
    table = Table(title="Searched with a supernet", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("seed", *shown):
        table.add_column(column, justify="right")
    for each in searched:
        scores = each.scores or _so_far(each)
        cells = [number(scores[name]) if name in scores else "" for name in shown]
        if each.epochs and each.epochs[-1].skippable:
            cells[shown.index("skips")] += f" of {each.epochs[-1].skippable}"
        table.add_row(str(each.number), *cells)
    console.print(table)
    for each in searched:
        if each.epochs and (warning := each.epochs[-1].warning):
            console.print(
                f"seed {each.number}: {warning}", style="yellow", markup=False, highlight=False, soft_wrap=True
            )
        if (plot := folder / SUPERNETS / f"{each.number}.svg").is_file():
            console.print(f"Alphas over time: {plot}", highlight=False, soft_wrap=True)


def _so_far(searched: Searched) -> dict[str, float]:
    """Return what is known of a search that has not ended."""
    if not searched.epochs:
        return {}
    last, seconds = searched.epochs[-1], sum(epoch.seconds for epoch in searched.epochs)
    supernet = last.top1_percent if last.alphas_top1_percent is None else last.alphas_top1_percent
    scores = {"supernet_top1_percent": supernet, "entropy": last.entropy, "skips": last.skips}
    return {**scores, "epochs": len(searched.epochs), "seconds": seconds}


def _show_best(experiment: Experiment, best: Evaluated, console: Console) -> None:
    scores = "  ".join(f"{name} {number(value)}" for name, value in best.scores.items())
    console.print(f"\n[bold]Best of the search[/bold]: #{best.number}, {scores}", highlight=False, soft_wrap=True)
    print_architecture(experiment.family().describe(best.architecture), console)


def _show_shares(experiment: Experiment, history: History, folder: Path, console: Console) -> None:
    """Draw what the population chose, where a strategy proposed and there is something to see, and say where it is."""
    if experiment.strategy is None or len(history.scored) < 2:
        return
    window = getattr(experiment.strategy, "population", 25)
    title = f"{type(experiment.strategy).__name__} on {experiment.space_name}"
    architectures = [each.architecture for each in history.scored]
    if plot_shares(experiment.open_space(), architectures, window, folder / "shares.svg", title):
        console.print(f"What the population chose: {folder / 'shares.svg'}", highlight=False, soft_wrap=True)


def _finals_table(finals: Mapping[str, Evaluated]) -> Table:
    table = Table(title="Tested once, when the search was over", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for role in finals:
        table.add_column(role, justify="right")
    for name in dict.fromkeys(name for done in finals.values() for name in done.scores):
        table.add_row(name, *(number(done.scores[name]) if name in done.scores else "" for done in finals.values()))
    return table


def show_run(folder: Path, console: Console) -> None:
    """Print a run so far: counts, the curve of the best, the best, the last failures, the final trainings."""
    experiment = load_run(folder)
    if not (folder / "best.json").is_file():
        console.print(f"Not ended; if it was stopped, go on with: nas resume {folder}", style="yellow", highlight=False)
    journal = folder / "history.jsonl"
    history = replay(journal, experiment.rules.objective) if journal.is_file() else None
    draw_searched(searched := searched_in(folder), folder, experiment)
    _print_failed_seeds(folder, console)
    if searched and (history is None or not history.finished):
        _show_searched(searched, folder, console)
        return
    if history is None or not history.finished:
        under_way = f", {len(history.in_flight)} under way" if history and history.in_flight else ""
        console.print(f"{folder}: nothing was evaluated yet{under_way}", highlight=False)
        return
    _show_searched(searched, folder, console)
    counts = f"{len(history.scored)} evaluated, {len(history.in_flight)} in flight, {len(history.failures)} failed"
    console.print(f"[bold]{folder}[/bold]: {counts}", highlight=False)
    if history.best is not None:
        console.print(sparkline(best_so_far(history), width=60), style="green")
        _show_best(experiment, history.best, console)
        _show_shares(experiment, history, folder, console)
    for done in history.failures[-3:]:
        print_failure(f"#{done.number}", done, console)
    if experiment.final is not None and (folder / "final.jsonl").is_file():
        finals = replay(folder / "final.jsonl", experiment.final.objective)
        console.print(_finals_table(by_role(finals)))


def _print_failed_seeds(folder: Path, console: Console) -> None:
    journal = folder / f"{SUPERNETS}.jsonl"
    for done in replay(journal, SUPERNET_OBJECTIVE).failures if journal.is_file() else ():
        print_failure(f"supernet, seed {done.number}", done, console)


def show_list(what: str | None, console: Console) -> None:
    """Print what there is, each with a line on what it does. Raises RecordError for an unknown section."""
    sections = _sections()
    if what is not None and what not in sections:
        raise RecordError(f"there is no list of {what!r}: {nearest(what, sections)}")
    for title in [what] if what else sections:
        console.print(f"[bold]{title}[/bold]")
        for name, line in sections[title]:
            console.print(f"  {name}  [dim]{line}[/dim]", highlight=False, soft_wrap=True)


def _sections() -> dict[str, list[tuple[str, str]]]:
    from nas.data import Data
    from nas.strategies.strategy import Strategy
    from nas.supernets.method import Method

    for package in (
        "nas.layers",
        "nas.operations",
        "nas.topology",
        "nas.strategies",
        "nas.supernets",
        "nas.evaluation",
        "nas.runtime",
    ):
        import_all(package)
    known = families()
    published = (
        (f"{name}:{member}", each.source_of(member)) for name, each in known.items() for member in each.published
    )
    return {
        "spaces": [(name, _first_line(each.space)) for name, each in known.items()],
        "networks": list(published),
        "strategies": list(_described(record_classes(Strategy).values())),
        "methods": list(_described(record_classes(Method).values())),
        "evaluators": list(_described(record_classes(Evaluator).values())),
        "data": list(_described(record_classes(Data).values())),
        "operations": list(_nodes("nas.operations")),
        "layers": list(_nodes("nas.layers")),
        "topology": list(_nodes("nas.topology")),
        "executors": list(_described(record_classes(Executor).values())),
        "experiments": [(str(path), _claim(path)) for path in _experiments()],
        "recipes": [(name, _claim(path)) for name, path in recipes().items()],
    }


def _nodes(package: str) -> Iterator[tuple[str, str]]:
    """Yield the nodes of a package by their class, and what they are called in notation."""
    for cls in record_classes(Node).values():
        if cls.__module__.startswith(f"{package}."):
            yield f"{cls.__name__} ({name_of(cls)})", _first_line(cls)


def _described(classes: Iterable[type[Any]]) -> Iterator[tuple[str, str]]:
    yield from ((cls.__name__, _first_line(cls)) for cls in classes)


def _first_line(documented: object) -> str:
    return (documented.__doc__ or "").strip().split("\n")[0]


def _experiments() -> list[Path]:
    known = set(recipes().values())
    return [path for path in sorted(experiments_folder().rglob("*.yaml")) if path not in known]


def _claim(path: Path) -> str:
    """Return what the file's header says before its first colon or full stop."""
    header = path.read_text(encoding="utf-8").split("\n# Source")[0].replace("\n#", "").lstrip("# ")
    return re.split(r"[:.]\s", header, maxsplit=1)[0]


def show_reproduction(experiment: Experiment, seeds: int, folder: Path, as_json: bool, console: Console) -> bool:
    """Run and print published and own numbers side by side; return whether all hold."""
    if not experiment.expect:
        raise RecordError("the experiment has no `expect:`: there is nothing to compare with")
    with Progress(console=Console(stderr=True), transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{seeds} runs", total=seeds)
        compared = reproduce(experiment, seeds, lambda seed: bar.update(task, completed=seed + 1), folder)
    if as_json:
        print(json.dumps([{**asdict(each), "holds": each.holds} for each in compared], indent=1))
        return all(each.holds for each in compared)
    table = Table(
        title=f"Mean ± standard deviation of {seeds} runs", title_justify="left", box=None, padding=(0, 2, 0, 0)
    )
    for column in ("score", "published", "own", "standard error", "tolerance", ""):
        table.add_column(column, justify="left" if column in ("score", "") else "right", no_wrap=column == "score")
    for each in compared:
        spread = f" ± {each.published.std:.2f}" if each.published.std is not None else ""
        verdict = "[green]holds[/green]" if each.holds else "[red]does not hold[/red]"
        own, error = f"{each.own_mean:.3f} ± {each.own_std:.3f}", f"{each.standard_error:.3f}"
        table.add_row(
            each.name, f"{each.published.mean:g}{spread}", own, error, f"{each.published.tolerance:g}", verdict
        )
    console.print(table)
    return all(each.holds for each in compared)

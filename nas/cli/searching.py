"""The commands that search: one experiment, or many runs of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.options import (
    Address,
    AsJson,
    Assignments,
    ExecutorName,
    ExperimentFile,
    GpusPerWorker,
    RunFolder,
    Workers,
    executor_of,
    stoppable,
    stopped_with,
    terminal,
)

if TYPE_CHECKING:
    from rich.console import Console

    from nas.runs.experiment import Experiment
    from nas.runs.run import SearchPlan


def search(
    experiment: ExperimentFile,
    assignments: Assignments = None,
    executor: ExecutorName = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    address: Address = None,
    run_dir: RunFolder = None,
    seed: Annotated[int | None, typer.Option(help="Short for rules.seed=N.")] = None,
) -> None:
    """Run the search of an experiment, and its final training and test of the best architecture.

    Everything is kept in a run folder. However a search was interrupted, `nas resume` continues it.
    """
    from dataclasses import replace

    from nas.places import absolute
    from nas.runs.declared import explained
    from nas.runs.experiment import experiment_file, load
    from nas.runs.folder import new_run
    from nas.runs.run import create_folder, plan

    changes = [*(assignments or []), *([f"rules.seed={seed}"] if seed is not None else [])]
    loaded = load(experiment, changes)
    chosen = executor_of(loaded.executor, executor, workers, gpus_per_worker, address)
    with explained(experiment_file(experiment), changes):
        planned = plan(absolute(replace(loaded, executor=chosen)))
    with new_run(run_dir, experiment.stem, lambda folder: create_folder(folder, planned)) as (folder, _):
        run_search(planned, folder)


Reproducible = Annotated[Path | None, typer.Argument(help="A YAML file, or the name of an experiment of the library.")]
Seeds = Annotated[
    int | None,
    typer.Option(
        min=1, help="The number of runs, with the seeds 0, 1, ...; by default 1, with --all as the files say."
    ),
]
Processes = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes for searches in memory; by default the processors."),
]
Kept = Annotated[
    Path | None,
    typer.Option(
        "--run-dir",
        help="The folder that keeps what has ended; by default one under runs/ for each experiment and its changed settings.",
    ),
]
Every = Annotated[
    bool, typer.Option("--all", help="All fast experiments of the library: in memory, and a minute by their header.")
]
Slow = Annotated[bool, typer.Option("--slow", help="With --all: also those that take longer.")]
Html = Annotated[
    Path | None,
    typer.Option(help="A page to write, with the curves; with --all by default reproduced.html in the run folder."),
]


def reproduce(
    experiment: Reproducible = None,
    assignments: Assignments = None,
    seeds: Seeds = None,
    workers: Processes = None,
    run_dir: Kept = None,
    as_json: AsJson = False,
    every: Every = False,
    slow: Slow = False,
    html: Html = None,
) -> None:
    """Run an experiment with several seeds and compare it with its expected numbers: exit code 0 within tolerance, else 1.

    Each seed that has ended is kept: the same command, also with more seeds, runs those that are missing.

    nas reproduce nasbench201/random_search --seeds 500

    nas reproduce --all
    """
    from nas.runs.experiment import experiment_file
    from nas.terminal.show_reproduction import AllRequest, ReproductionRequest, show_all, show_reproduction

    console = terminal()
    _check_asked(experiment, every, slow)
    if experiment is None:
        folder = run_dir or Path("runs", "reproduce-all")
        request = AllRequest(seeds, folder, workers, slow, html or folder / "reproduced.html")
        with reproducing(console):
            holds = show_all(request, as_json, console)
    else:
        kept, file = run_dir or _kept_in(experiment, assignments or []), experiment_file(experiment)
        asked = ReproductionRequest(experiment.with_suffix("").as_posix(), file, seeds or 1, kept, workers, html)
        with reproducing(console), _explained(experiment, assignments or []) as loaded:
            holds = show_reproduction(loaded, asked, as_json, console)
    if not holds:
        raise typer.Exit(1)


def _kept_in(experiment: Path, changes: list[str]) -> Path:
    """Return the folder that keeps the seeds of an experiment; changed settings have one of their own."""
    from nas.records import digest

    parts = experiment.with_suffix("").parts
    # names in the library may have a folder, as nasbench201/random_search
    name = parts[-1] if experiment.is_file() else "-".join(parts[-2:])
    return Path("runs", f"reproduce-{name}" + (f"-{digest(tuple(changes))[:6]}" if changes else ""))


def _check_asked(experiment: Path | None, every: bool, slow: bool) -> None:
    """Raise RecordError where neither or both of an experiment and --all are given, or --slow without --all."""
    from nas.records import RecordError

    if (experiment is None) != every:
        raise RecordError("give an EXPERIMENT, or --all for those of the library, and not both")
    if slow and not every:
        raise RecordError("--slow is for --all: leave it out")


@contextmanager
def _explained(name: Path, changes: list[str]) -> Iterator[Experiment]:
    """Yield an experiment; an error of the block about a key of its file gets the file and the line."""
    from nas.places import absolute
    from nas.runs.declared import explained
    from nas.runs.experiment import experiment_file, load

    with explained(experiment_file(name), changes):
        yield absolute(load(name, changes))


@contextmanager
def reproducing(console: Console) -> Iterator[None]:
    """Say, where a signal stops the block, that what has ended is kept; end the command where a search fails."""
    from nas.runtime.queue import SearchFailed

    try:
        with stopped_with(lambda: "What has ended is kept: the same command does the rest", console):
            yield
    except SearchFailed as error:
        print(f"nas: the search was aborted: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def run_search(planned: SearchPlan, folder: Path) -> None:
    """Search to the end, and print the result."""
    from nas.runs.run import run
    from nas.runtime.queue import SearchFailed
    from nas.terminal.live import Panels
    from nas.terminal.show import show_result

    console = terminal()
    try:
        with (
            stoppable(folder, console, planned.experiment.executor),
            Panels(console) as panels,
        ):
            result = run(planned, folder.resolve(), panels.view)
    except SearchFailed as error:
        see = f"\nSee {folder / 'failures'}" if (folder / "failures").is_dir() else ""
        text = f"The search was aborted: {error}{see}"
        console.print(text, style="red", soft_wrap=True)
        raise typer.Exit(1) from None
    show_result(planned.experiment, result, folder, console)
    if any(done.failure for done in result.finals.values()):
        raise typer.Exit(1)

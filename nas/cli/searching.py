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


def reproduce(
    experiment: ExperimentFile,
    assignments: Assignments = None,
    seeds: Annotated[int, typer.Option(min=1, help="The number of runs, with the seeds 0, 1, ...")] = 1,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes for searches in memory; by default the processors.")
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(help="The folder that keeps what has ended; by default runs/reproduce-EXPERIMENT."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run an experiment with several seeds and compare it with its published numbers: exit code 0 within tolerance, else 1.

    Each seed that has ended is kept: the same command, also with more seeds, runs those that are missing.
    """
    from nas.places import absolute
    from nas.runs.declared import explained
    from nas.runs.experiment import experiment_file, load
    from nas.terminal.show_reproduction import ReproductionRequest, show_reproduction

    changes, console = assignments or [], terminal()
    asked = ReproductionRequest(seeds, run_dir or Path("runs", f"reproduce-{experiment.stem}"), workers)
    with reproducing(console), explained(experiment_file(experiment), changes):
        holds = show_reproduction(absolute(load(experiment, changes)), asked, as_json, console)
    if not holds:
        raise typer.Exit(1)


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

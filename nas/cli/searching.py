"""The commands that search: one experiment, or many runs of it."""

from __future__ import annotations

import sys
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
    run_dir: Annotated[
        Path | None, typer.Option(help="The folder in which runs with workers are kept and resumed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run an experiment with several seeds and compare it with its published numbers: exit code 0 within tolerance, else 1."""
    from nas.places import absolute
    from nas.runs.declared import explained
    from nas.runs.experiment import experiment_file, load
    from nas.runtime.queue import SearchFailed
    from nas.terminal.show import show_reproduction

    changes = assignments or []
    folder, console = run_dir or Path("runs", f"reproduce-{experiment.stem}"), terminal()
    try:
        with (
            explained(experiment_file(experiment), changes),
            stopped_with(lambda: "Runs that have a folder are kept: the same command resumes them", console),
        ):
            loaded = absolute(load(experiment, changes))
            holds = show_reproduction(loaded, seeds, folder, as_json, console)
    except SearchFailed as error:
        print(f"nas: the search was aborted: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    if not holds:
        raise typer.Exit(1)


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

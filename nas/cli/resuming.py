"""The command that resumes an interrupted run of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import Address, ExecutorName, GpusPerWorker, Workers, executor_of, sharing_executor
from nas.cli.searching import run_search
from nas.cli.training import run_train, run_transfer

Run = Annotated[Path, typer.Argument(help="The folder of an interrupted run.")]
Changes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Changed settings: of budget, executor or final, of a training's execution, or paths of data that moved.",
    ),
]
ChangedData = Annotated[
    bool, typer.Option("--changed-data", help="Continue although images or tables have changed since the start.")
]


def resume(
    run: Run,
    assignments: Changes = None,
    executor: ExecutorName = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    address: Address = None,
    changed_data: ChangedData = False,
) -> None:
    """Resume an interrupted run: no result is lost, and none is evaluated twice.

    A larger budget, such as rules.budget.evaluations=200, extends a search that has ended. Where the data have moved, give
    their new path, such as data.path=/mnt/images: they must be the same images.
    """
    from dataclasses import replace
    from functools import partial

    from nas.runs.full_training import load_training
    from nas.runs.run import load_run, plan
    from nas.runs.run_data import check_places, hold_to_data
    from nas.runs.transfer import load_transfer

    given = assignments or []
    if (run / "transfer.yaml").is_file():
        transfer = load_transfer(run, given, changed_data)
        chosen = executor_of(transfer.executor, executor, workers, gpus_per_worker, address)
        run_transfer(replace(transfer, executor=chosen.settled()), run)
    elif (run / "training.yaml").is_file():
        training = load_training(run, given, changed_data)
        chosen = sharing_executor(training.declared.executor, executor, workers, gpus_per_worker, address)
        run_train(replace(training, declared=replace(training.declared, executor=chosen.settled())), run)
    else:
        searched = load_run(run, given)
        chosen = executor_of(searched.executor, executor, workers, gpus_per_worker, address)
        check_places(run, searched)
        hold = partial(hold_to_data, run, changed_data=changed_data)
        run_search(plan(replace(searched, executor=chosen), hold), run)

"""The command line. Each command imports what it needs, so that help is there at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from nas.runtime.experiment import Experiment
    from nas.runtime.run import Plan, Result

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Search neural architectures, look at what was found, and reproduce published searches.",
    epilog="Begin with: nas search experiments/quickstart.yaml",
)

ExperimentFile = Annotated[
    Path, typer.Argument(metavar="EXPERIMENT", help="A YAML file, as experiments/quickstart.yaml.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change, as strategy.population=20 or rules.seed=1."),
]
ArchitectureName = Annotated[
    str, typer.Argument(metavar="ARCH", help="A run folder, a JSON or YAML file, or space:name as darts:DARTS_V2.")
]
ExecutorName = Annotated[str | None, typer.Option("--executor", help="inline, ray_tune or ray_train.")]
Workers = Annotated[
    int | None, typer.Option(help="How many evaluations at once (ray_tune), or processes for one (ray_train).")
]
GpusPerWorker = Annotated[float | None, typer.Option(help="GPUs of each worker; with ray_tune also a fraction.")]
Address = Annotated[str | None, typer.Option(help="A Ray cluster: auto, or host:port; else one is started here.")]


def main() -> None:
    """Run the command line; what the user can mend is one line on stderr and exit code 2."""
    from nas.record import RecordError

    try:
        app()
    except RecordError as error:
        print(f"nas: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # as in `nas list | head`
        sys.stderr.close()
        sys.exit(0)


@app.command()
def search(
    experiment: ExperimentFile,
    assignments: Assignments = None,
    executor: ExecutorName = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    address: Address = None,
    run_dir: Annotated[Path | None, typer.Option(help="The run folder to make; else one under runs/.")] = None,
    seed: Annotated[int | None, typer.Option(help="Short for rules.seed=N.")] = None,
) -> None:
    """Search: launch an experiment, and train and test what it found.

    Everything is kept in a run folder. A search that was cut off, in whatever way, goes on with `nas resume`.
    """
    from datetime import datetime

    from nas.record import RecordError
    from nas.runtime.experiment import load
    from nas.runtime.run import create_folder, discard_if_empty, plan

    changes = [*(assignments or []), *([f"rules.seed={seed}"] if seed is not None else [])]
    loaded = _with_executor(load(experiment, changes), executor, workers, gpus_per_worker, address)
    folder = run_dir or Path("runs", f"{experiment.stem}-{datetime.now():%Y%m%d-%H%M%S}")
    planned = plan(loaded)
    create_folder(folder, planned)
    try:
        _run(planned, folder)
    except RecordError:
        discard_if_empty(folder)
        raise


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="The folder of a run that was cut off.")],
    assignments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings of budget, executor or final to change."),
    ] = None,
    executor: ExecutorName = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    address: Address = None,
) -> None:
    """Go on with a run that was cut off: nothing that was found is lost, nor evaluated twice.

    With rules.budget.evaluations=200 a run that has ended goes on as well.
    """
    from nas.runtime.run import load_run, plan

    _run(plan(_with_executor(load_run(run, assignments or []), executor, workers, gpus_per_worker, address)), run)


@app.command()
def show(what: Annotated[str, typer.Argument(metavar="RUN|ARCH", help="A run folder, or an architecture.")]) -> None:
    """Show a run so far, or an architecture: what it is and what it costs."""
    from nas.runtime.costs import show_architecture
    from nas.runtime.show import show_run

    console = _console()
    if (Path(what) / "experiment.yaml").is_file():
        show_run(Path(what), console)
    else:
        show_architecture(what, console)


@app.command(name="list")
def list_(
    what: Annotated[
        str | None, typer.Argument(help="spaces, networks, strategies, methods, ...; all of them, if none.")
    ] = None,
) -> None:
    """List what there is: spaces, published networks, strategies, supernet methods, evaluators, data, operations, executors,
    experiments."""
    from nas.runtime.show import show_list

    show_list(what, _console())


@app.command()
def profile(
    architecture: ArchitectureName,
    assignments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="How to stack it, as channels=48 layers=14 stem=imagenet."),
    ] = None,
    input: Annotated[str | None, typer.Option(help="Channels, height and width of an image, as 3,224,224.")] = None,
    against: Annotated[str | None, typer.Option(help="Another architecture, to stand beside this one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count parameters, multiply-adds and memory, and find the receptive field, layer by layer, without allocating the network.

    The architecture may be typed too: nas profile "conv3-64 x2 pool3 residual\\[conv3 conv3] x3-128"
    """
    from nas.runtime.costs import Asked, show_profile

    show_profile(Asked(architecture, assignments or [], input), against, as_json, _console())


@app.command()
def reproduce(
    experiment: ExperimentFile,
    assignments: Assignments = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many runs, with the seeds 0, 1, ...")] = 1,
    run_dir: Annotated[Path | None, typer.Option(help="Where runs with workers are kept and go on.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run an experiment with many seeds and compare with the numbers it expects: exit code 0 inside, 1 outside."""
    from nas.runtime.experiment import load
    from nas.runtime.search import SearchFailed
    from nas.runtime.show import show_reproduction

    folder = run_dir or Path("runs", f"reproduce-{experiment.stem}")
    try:
        holds = show_reproduction(load(experiment, assignments or []), seeds, folder, as_json, _console())
    except SearchFailed as error:
        print(f"nas: the search was given up: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    if not holds:
        raise typer.Exit(1)


def _run(planned: Plan, folder: Path) -> None:
    from nas.runtime.run import run
    from nas.runtime.search import SearchFailed
    from nas.runtime.show import show_result
    from nas.runtime.terminal import Phases

    console = _console()
    console.print(f"Run folder: {folder}", highlight=False, soft_wrap=True)
    try:
        with Phases(console, planned.experiment.describe) as phases:
            result: Result = run(planned, folder.resolve(), phases.view)
    except SearchFailed as error:
        see = f"\nSee {folder / 'failures'}" if (folder / "failures").is_dir() else ""
        console.print(
            f"The search was given up: {error}{see}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print(f"\nStopped. Go on with: nas resume {folder}", highlight=False)
        raise typer.Exit(130) from None
    show_result(planned.experiment, result, folder, console)
    if any(done.failure for done in result.finals.values()):
        raise typer.Exit(1)


def _with_executor(
    experiment: Experiment, name: str | None, workers: int | None, gpus: float | None, address: str | None
) -> Experiment:
    """Return the experiment with the executor that the options ask for; `--workers` and the like mean ray_tune at least."""
    from dataclasses import replace

    from nas.record import RecordError, nearest, record_classes
    from nas.runtime.executor import Executor
    from nas.runtime.ray_train import RayTrain
    from nas.runtime.ray_tune import RayTune

    gpus = int(gpus) if gpus is not None and gpus.is_integer() else gpus
    given: dict[str, Any] = {"workers": workers, "gpus_per_worker": gpus, "address": address}
    given = {key: value for key, value in given.items() if value is not None}
    known = {cls.__name__.lower(): cls for cls in record_classes(Executor).values()}
    chosen = experiment.executor
    if name is not None:
        plain = name.replace("_", "").lower()
        if plain not in known:
            raise RecordError(f"--executor {name!r}: there is none of that name; {nearest(plain, known)}")
        chosen = chosen if isinstance(chosen, known[plain]) else known[plain]()
    if given and name is not None and not isinstance(chosen, RayTune | RayTrain):
        raise RecordError(
            f"--executor {name} takes no --{next(iter(given)).replace('_', '-')}: leave it out, or give --executor ray_tune"
        )
    if given:
        chosen = replace(chosen if isinstance(chosen, RayTune | RayTrain) else RayTune(), **given)
    return replace(experiment, executor=chosen)


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160)  # a file or a pipe has no width to keep to


if __name__ == "__main__":
    main()

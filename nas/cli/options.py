"""Shared parts of the commands: options, the executor that they select, and the end of a command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.runtime.stopping import listener

if TYPE_CHECKING:
    from rich.console import Console

    from nas.runtime.executor import Executor

ExperimentFile = Annotated[
    Path,
    typer.Argument(
        metavar="EXPERIMENT",
        help="A YAML file, or the name of an experiment of the library, such as quickstart (nas list experiments).",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Changed settings, such as recipe.epochs=10 or seed=1."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Changed settings, such as strategy.population=20 or rules.seed=1."),
]
ARCH = (
    "A run folder, RUN#17, a JSON or YAML file, space:name such as darts:DARTS_V2, a genotype, or a tree in notation."
)

ArchitectureName = Annotated[
    str,
    typer.Argument(
        metavar="ARCH",
        help=ARCH,
    ),
]
NetworkOptions = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Network options, such as channels=48 layers=14 stem=imagenet."),
]
ImageShape = Annotated[str | None, typer.Option(help="Channels, height and width of an image, such as 3,224,224.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ExecutorName = Annotated[str | None, typer.Option("--executor", help="inline, ray_tune or ray_train.")]
Workers = Annotated[
    int | None, typer.Option(help="Parallel evaluations or, for one training, data-parallel processes.")
]
GpusPerWorker = Annotated[float | None, typer.Option(help="GPUs per worker; with ray_tune also a fraction.")]
Address = Annotated[str | None, typer.Option(help="A Ray cluster: auto, or host:port; by default a local one.")]
Checkpoint = Annotated[
    str, typer.Argument(metavar="CHECKPOINT", help="A run folder with trained weights, or its .safetensors file.")
]
WeightsFile = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="Weights of the named network: a state dict of torchvision, timm or this project, as safetensors or by torch.save.",
    ),
]
TestedOn = Annotated[
    str | None, typer.Option(help="A folder of test images, or a data set by name; by default that of the training.")
]
RunFolder = Annotated[
    Path | None, typer.Option("--run-dir", help="The run folder to create; by default one under runs/.")
]


def terminal() -> Console:
    """Return the console; output that is no terminal is 160 characters wide. Text is printed as it is, with its brackets."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False)


@contextmanager
def telling(console: Console, is_silent: bool = False) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the current step: next to a spinner in a terminal, as lines elsewhere; or nowhere."""
    if is_silent:
        yield lambda line: None
    elif not console.is_terminal:
        yield lambda line: console.print(line, style="dim")
    else:
        with console.status("") as status:
            yield status.update


@contextmanager
def stoppable(folder: Path, console: Console, executor: Executor) -> Iterator[None]:
    """Print the run folder and the workers and, where the user or a signal stops the run, how to resume it."""
    console.print(f"Run folder: {folder}", soft_wrap=True)
    console.print(f"Executor: {executor.describe()}", soft_wrap=True)
    with stopped_with(lambda: how_to_go_on(folder), console):
        yield


@contextmanager
def stopped_with(advice: Callable[[], str], console: Console) -> Iterator[None]:
    """Where a signal stops the block, print the advice on how to resume, and end the command."""
    stop = listener()
    with stop.once():
        try:
            yield
        except BaseException as error:
            if stop.number is None and not isinstance(error, KeyboardInterrupt):
                raise
            console.print(f"\nStopped. {advice()}", soft_wrap=True)
            raise typer.Exit(stop.exit_code) from None


def how_to_go_on(folder: Path) -> str:
    """Return how to resume a run that was stopped; a new run in which nothing has begun leaves no folder."""
    from nas.runs.folder import has_begun

    if has_begun(folder):
        return f"Continue with: nas resume {folder}"
    return "Nothing was evaluated yet: give the same command again."


def executor_of(
    chosen: Executor, name: str | None, workers: int | None, gpus: float | None, address: str | None
) -> Executor:
    """Return the executor that the options select; without a Ray executor, `--workers` and the like select ray_tune."""
    from dataclasses import replace

    from nas.records import RecordError, nearest, record_classes
    from nas.runtime.executor import Executor
    from nas.runtime.ray_train import RayTrain
    from nas.runtime.ray_tune import RayTune

    gpus = int(gpus) if gpus is not None and gpus.is_integer() else gpus
    given: dict[str, Any] = {"workers": workers, "gpus_per_worker": gpus, "address": address}
    given = {key: value for key, value in given.items() if value is not None}
    known = {cls.__name__.lower(): cls for cls in record_classes(Executor).values()}
    if name is not None:
        plain = name.replace("_", "").lower()
        if plain not in known:
            raise RecordError(f"--executor {name!r}: there is no executor of that name; {nearest(plain, known)}")
        # naming the executor that the file declares keeps its settings
        chosen = chosen if isinstance(chosen, known[plain]) else known[plain]()
    if given and name is not None and not isinstance(chosen, RayTune | RayTrain):
        raise RecordError(
            f"--executor {name} takes no --{next(iter(given)).replace('_', '-')}: leave it out, or give --executor ray_tune"
        )
    if given:
        chosen = replace(chosen if isinstance(chosen, RayTune | RayTrain) else RayTune(), **given)
    return chosen


def sharing_executor(
    chosen: Executor, name: str | None, workers: int | None, gpus: float | None, address: str | None
) -> Executor:
    """Return the executor of a single training; without `--executor`, `--workers` and the like select ray_train."""
    from nas.runtime.ray_train import RayTrain

    if name is None and (workers, gpus, address) != (None, None, None):
        name, workers = "ray_train", workers or (None if isinstance(chosen, RayTrain) else 1)
    return executor_of(chosen, name, workers, gpus, address)

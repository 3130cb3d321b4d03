"""The commands that train and test: a network in full, and its features on other data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.options import (
    Address,
    ArchitectureName,
    AsJson,
    Checkpoint,
    ExecutorName,
    GpusPerWorker,
    RunFolder,
    Settings,
    TestedOn,
    WeightsFile,
    Workers,
    executor_of,
    sharing_executor,
    stoppable,
    terminal,
)

if TYPE_CHECKING:
    from nas.runs.full_training import TrainingPlan
    from nas.runs.transfer import TransferPlan

RecipeName = Annotated[
    str, typer.Option(help="A recipe by name, such as darts_cifar (nas list recipes), or a YAML file.")
]
Checkpoints = Annotated[
    list[str],
    typer.Argument(metavar="CHECKPOINT...", help="Run folders with trained weights, or their .safetensors files."),
]
Target = Annotated[
    str,
    typer.Option(help="A folder of images, a subfolder per class; a data set by name, as Digits; or one of the hub."),
]
Ways = Annotated[
    str | None,
    typer.Option(
        help="Any of linear_probe, fine_tune, gradual, scratch, prototypes; by default the first two and scratch."
    ),
]
Labels = Annotated[
    str | None, typer.Option(help="Percentages of the labels to train on, such as 1,5,25,100 for a low-data curve.")
]
Kept = Annotated[float, typer.Option(help="The share of the cost that is left, such as 0.5.")]
CostName = Annotated[str, typer.Option(help="macs or params.")]
RankedBy = Annotated[
    str,
    typer.Option(help="What ranks channels: l1 or l2, norms of their filters; norm_scale, scales of their batch norm."),
]
TunedBy = Annotated[
    str | None,
    typer.Option(help="The recipe of the fine-tuning; by default a quarter of the training, at a tenth of its rate."),
]
SpaceName = Annotated[
    str | None,
    typer.Option(help="Where widths are choices: a name, '{growing: {stages: 2}}' or the run folder of a search."),
]
Seed = Annotated[int | None, typer.Option(help="Short for seed=N.")]


def train(
    architecture: ArchitectureName,
    recipe: RecipeName,
    assignments: Settings = None,
    executor: ExecutorName = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    address: Address = None,
    run_dir: RunFolder = None,
    seed: Seed = None,
    weights: WeightsFile = None,
) -> None:
    """Train an architecture from scratch or from weights, stacked and trained as a recipe specifies, and test it once.

    Settings of the recipe are changed by network.layers=8 or fit.macs=600_000_000. With --workers 8 --gpus-per-worker 1 eight
    processes share every batch. With --weights the training begins from these, with a new head where the classes differ.
    However a training was interrupted, `nas resume` continues it, also with another number of workers.
    """
    from dataclasses import replace

    from nas.places import absolute
    from nas.runs.architecture import find_architecture
    from nas.runs.declared import explained
    from nas.runs.folder import new_run
    from nas.runs.full_training import create_training, load_recipe, plan_training, recipe_file

    changes = _with_seed(assignments, seed)
    declared = load_recipe(recipe, changes)
    chosen = sharing_executor(declared.executor, executor, workers, gpus_per_worker, address)
    with explained(recipe_file(recipe), changes):
        begins = declared.weights if weights is None else str(weights)
        declared = absolute(replace(declared, executor=chosen, weights=begins))
        planned = plan_training(declared, find_architecture(architecture))
    with new_run(run_dir, Path(recipe).stem, lambda folder: create_training(folder, planned)) as (folder, _):
        run_train(planned, folder)


def transfer(
    checkpoint: Checkpoint,
    to: Target,
    assignments: Settings = None,
    ways: Ways = None,
    labels: Labels = None,
    executor: ExecutorName = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    address: Address = None,
    run_dir: RunFolder = None,
    seed: Seed = None,
    weights: WeightsFile = None,
) -> None:
    """Transfer trained features to other data: a table of linear probe, fine-tuning and training from scratch.

    With --weights, CHECKPOINT is the name of the network that these belong to. Images are resized to the size that the network
    was trained with. Settings are changed by recipe.epochs=10 or repeats=3.
    `nas resume` continues an interrupted transfer.
    """
    from nas.runs.folder import new_run
    from nas.runs.transfer import TransferRequest, create_transfer, plan_transfer
    from nas.runtime.inline import Inline

    short = {"ways": ways, "labels_percent": labels}
    changes = [f"{key}=[{value}]" for key, value in short.items() if value is not None]
    chosen = executor_of(Inline(), executor, workers, gpus_per_worker, address)
    asked = TransferRequest(checkpoint, to, [*changes, *_with_seed(assignments, seed)], weights)
    planned = plan_transfer(asked, chosen)
    with new_run(run_dir, "transfer", lambda folder: create_transfer(folder, planned)) as (folder, created):
        run_transfer(created, folder)


def prune(
    checkpoint: Checkpoint,
    assignments: Settings = None,
    keep: Kept = 0.5,
    cost: CostName = "macs",
    by: RankedBy = "l1",
    recipe: TunedBy = None,
    space: SpaceName = None,
    executor: ExecutorName = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    address: Address = None,
    run_dir: RunFolder = None,
    seed: Seed = None,
) -> None:
    """Take the least important channels from a trained network, until a cost is low enough, and train it on.

    The result is a narrower member of the network's space, in an ordinary run folder. Step by step the width whose last
    channels matter least takes its next smaller option, so the space must list widths from the smallest to the largest.
    Settings of the fine-tuning are changed by recipe.epochs=5 or recipe.lr=0.01; `nas resume` continues an interrupted one.

    For example: nas prune runs/mine --keep 0.5 --cost macs --by l1 recipe.epochs=5
    """
    from nas.plain import from_plain
    from nas.runs.folder import new_run
    from nas.runs.pruning import Pruning, PruningRequest, create_pruning, declare_pruning, plan_pruning

    what = from_plain({"Pruning": {"keep": keep, "cost": cost, "by": by, "space": space or ""}}, Pruning)
    asked = PruningRequest(checkpoint, what, recipe or "", _with_seed(assignments, seed))
    declared = declare_pruning(asked)
    chosen = sharing_executor(declared.executor, executor, workers, gpus_per_worker, address)
    planned = plan_pruning(asked, declared, chosen)
    with new_run(run_dir, "pruned", lambda folder: create_pruning(folder, planned)) as (folder, training):
        run_train(training, folder)


def measure(
    checkpoints: Checkpoints,
    on: TestedOn = None,
    views: Annotated[
        str | None,
        typer.Option(help="What is averaged of an image: centre, flip or ten_crop; by default that of the recipe."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Test trained weights on test images: top-1, top-5, calibration, accuracy of each class, throughput and latency.

    Several checkpoints are tested as an ensemble: the mean of their logits.
    """
    from nas.plain import from_plain, write
    from nas.runs.measure_weights import measure_weights
    from nas.terminal.measured import class_table, source_line, test_table
    from nas.training.views import Views

    measured = measure_weights(checkpoints, on, from_plain(views, Views | None, "--views"))
    if as_json:
        print(write(measured))
        return
    console = terminal()
    console.print(test_table(measured))
    console.print(class_table(measured))
    console.print(source_line(measured), soft_wrap=True, markup=False)


def _with_seed(assignments: list[str] | None, seed: int | None) -> list[str]:
    return [*(assignments or []), *([f"seed={seed}"] if seed is not None else [])]


def run_train(planned: TrainingPlan, folder: Path) -> None:
    """Train and test to the end, and print the results."""
    from nas.runs.full_training import run_training
    from nas.terminal.live import Panels
    from nas.terminal.show_training import describe_training, show_trained

    console = terminal()
    describe_training(planned, console)
    with stoppable(folder, console, planned.declared.executor), Panels(console) as panels:
        done = run_training(planned, folder.resolve(), panels.view)
    show_trained(planned.declared, done, folder, console)
    if done.failure:
        raise typer.Exit(1)


def run_transfer(planned: TransferPlan, folder: Path) -> None:
    """Run all trials of a transfer, and print the results."""
    from nas.runs import transfer
    from nas.terminal.live import Panels
    from nas.terminal.show_training import show_transferred

    console = terminal()
    with stoppable(folder, console, planned.executor), Panels(console) as panels:
        history = transfer.run_trials(planned, folder.resolve(), panels.view)
    show_transferred(history, folder, console)
    if history.failures:
        raise typer.Exit(1)

"""Terminal output of a full training or a transfer: what will be trained, its progress, and its results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from rich.console import Console
from rich.table import Table

from nas.data import decoder_name, split
from nas.data.encoded import Encoded
from nas.evaluation.results import read_epochs, read_test
from nas.history import Evaluated, History
from nas.journal import replay
from nas.profiling import profile
from nas.runs.architecture import StackedNetwork, read_found
from nas.runs.full_training import WEIGHTS, FullTraining, TrainingPlan
from nas.runs.pruning import read_pruning
from nas.runs.status import state_of
from nas.runs.transfer import LABELS, by_way, load_transfer, transferred
from nas.terminal.live import duration, number, print_failure
from nas.terminal.measured import class_table, source_line, test_table
from nas.terminal.resume_advice import resume_advice
from nas.training import Epoch

LAST_EPOCHS = 10
"""The number of epochs that `nas show` lists."""


def describe_training(planned: TrainingPlan, console: Console) -> None:
    """Print what will be trained, what it costs and, where images are decoded during training, the decoder."""
    _describe(planned.stacked, console)
    _show_decoding(planned, console)


def _describe(found: StackedNetwork, console: Console) -> None:
    """Print a network's options and its costs."""
    costs = profile(found.tree(), found.input)
    options = "  ".join(f"{key} {value}" for key, value in found.options.items())
    size = "x".join(map(str, found.input))
    console.print(f"{found.family}, {options}", soft_wrap=True)
    console.print(f"{costs.params:,} parameters, {costs.macs:,} MACs at {size}", soft_wrap=True)


def _show_decoding(planned: TrainingPlan, console: Console) -> None:
    """Print the decoder and its processes, where images are decoded during training."""
    evaluator = planned.evaluator
    images = split(evaluator.data, evaluator.validation, evaluator.split_seed, evaluator.images).train
    if isinstance(images, Encoded):
        processes = evaluator.execution.decoders_here()
        console.print(
            f"{len(images):,} images are decoded by {decoder_name()} in {processes} processes",
            soft_wrap=True,
        )


def show_trained(declared: FullTraining, done: Evaluated, folder: Path, console: Console) -> None:
    """Print the results of a training, next to the published numbers if there are any, and its folder."""
    _show_test(folder, console)
    _show_pruning(folder, console)
    for name, expected in declared.expect.items():
        if name in done.scores:
            holds = abs(done.scores[name] - expected.mean) <= expected.tolerance
            verdict = "holds" if holds else "does not hold"
            console.print(
                f"{name}: published {expected.mean:g}, own {done.scores[name]:.2f}, tolerance {expected.tolerance:g}: {verdict}",
                style="green" if holds else "red",
            )
    console.print(f"Run folder: {folder}  (nas show {folder}, nas report {folder})", soft_wrap=True)


def show_training(folder: Path, console: Console) -> None:
    """Print the progress or the results of a training; its data need not exist."""
    _describe(read_found(folder / "best.json"), console)
    if epochs := read_epochs(folder / WEIGHTS):
        console.print(_epochs_table(epochs))
        _show_time(epochs, console)
    _show_test(folder, console)
    _show_pruning(folder, console)
    _show_state(folder, read_test(folder / WEIGHTS) is not None, console)
    journal = folder / "training.jsonl"
    for done in replay(journal, "test_top1_percent").failures if journal.is_file() else ():
        print_failure("training", done, console)


def _show_state(folder: Path, is_complete: bool, console: Console) -> None:
    """Print whether a process works on a run and, where none does, how to resume it."""
    state = state_of(folder, is_complete)
    line = resume_advice(folder, state) or {"running": "Running", "ended": "Ended"}[state]
    console.print(line, style="" if state in ("running", "ended") else "yellow", soft_wrap=True)


def _show_test(folder: Path, console: Console) -> None:
    if (measured := read_test(folder / WEIGHTS)) is not None:
        console.print(test_table(measured))
        console.print(class_table(measured))
        console.print(source_line(measured), soft_wrap=True, markup=False)
        console.print(f"Weights: {folder / WEIGHTS}", soft_wrap=True)


def _show_pruning(folder: Path, console: Console) -> None:
    """Print accuracy and costs before the pruning, after it and, where that has ended, after the fine-tuning."""
    report = read_pruning(folder)
    if report is None:
        return
    tested = read_test(folder / WEIGHTS)
    accuracies = [report.before.top1_percent, report.pruned.top1_percent]
    table = Table(title="Pruned", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("", "before", "pruned", "fine-tuned"):
        table.add_column(column, justify="right" if column else "left")
    tuned = "" if tested is None else f"{tested.decisive.top1_percent:.2f}"
    table.add_row("top-1 accuracy, %", *(f"{each:.2f}" for each in accuracies), tuned)
    for name, title in (("params", "parameters"), ("macs", "MACs")):
        before, after = getattr(report.before, name), getattr(report.pruned, name)
        table.add_row(title, f"{before:,}", f"{after:,}", f"{after:,}" if tuned else "")
    console.print(table)


def _show_time(epochs: list[Epoch], console: Console) -> None:
    last = epochs[-1]
    left = (last.epochs - last.epoch) * last.total_seconds / last.epoch
    text = f"{last.epoch} of {last.epochs} epochs in {duration(last.total_seconds)}"
    console.print(text + (f", about {duration(left)} left" if left else ""))


def _epochs_table(epochs: list[Epoch]) -> Table:
    table = Table(title="Epochs", title_justify="left", box=None, padding=(0, 2, 0, 0))
    columns = ("epoch", "loss", "train, %", "validation, %", "EMA, %", "images/s", "data wait, %", "broken", "lr")
    for column in columns:
        table.add_column(column, justify="right")
    for each in epochs[-LAST_EPOCHS:]:
        accuracies = (each.train_top1_percent, each.validation_top1_percent, each.ema_top1_percent)
        shown = [f"{value:.2f}" if value is not None else "" for value in accuracies]
        rest = [
            f"{each.images_per_second:,.0f}",
            f"{each.waiting_percent:.1f}",
            str(each.broken_images or ""),
            number(each.lr),
        ]
        table.add_row(str(each.epoch), f"{each.loss:.4f}", *shown, *rest)
    return table


def show_transferred(history: History, folder: Path, console: Console) -> None:
    """Print the results of a transfer: one row per way, one column per share of the labels."""
    curves = by_way(history)
    shares = sorted({share for points in curves.values() for share, _ in points})
    table = Table(title="Test accuracy, %", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for share in shares:
        table.add_column(f"{share:g} %", justify="right")
    for way, points in curves.items():
        table.add_row(LABELS[way], *(_spread([value for at, value in points if at == share]) for share in shares))
    if curves:
        console.print(table)
    for done in history.scored:
        if "few_shot_percent" in done.scores:
            mean, half = done.scores["few_shot_percent"], done.scores["few_shot_interval_percent"]
            console.print(f"Few-shot episodes, {done.architecture.name}: {mean:.2f} ± {half:.2f} %", soft_wrap=True)
    tested = [read_test(folder / f"{done.architecture.name}.safetensors") for done in history.scored]
    # once: all trials are tested on the same images
    for measured in [each for each in tested if each is not None and each.source][:1]:
        console.print(source_line(measured), soft_wrap=True, markup=False)
    for done in history.failures:
        print_failure(done.architecture.name, done, console)
    console.print(f"Run folder: {folder}  (nas show {folder}, nas report {folder})", soft_wrap=True)


def show_transfer(folder: Path, console: Console) -> None:
    """Print the progress or the results of a transfer."""
    history, planned = transferred(folder), load_transfer(folder)
    show_transferred(history, folder, console)
    total = len(planned.declared.trials())
    left = total - len(history.scored)
    if left:
        console.print(f"{total - left} of {total} trials are done", soft_wrap=True)
    _show_state(folder, not left, console)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")

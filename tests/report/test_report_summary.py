"""What a report says of a real search, of searches with a supernet, of trainings and of transfers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from journals import events
from report_runs import FINAL, TOY, carried_out, finish, start

from nas.data.digits import Digits
from nas.evaluation.results import append_epoch
from nas.family import family
from nas.plain import write
from nas.profiling import profile
from nas.records import RecordError, digest, to_plain
from nas.report.summary.loaded import load_run_summary
from nas.report.summary.summarise import summarise
from nas.report.summary.summary import to_json
from nas.report.summary.supernets import supernet_curves
from nas.runs import experiment as experiments
from nas.runs.architecture import StackedNetwork
from nas.runs.folder import provenance, write_declared
from nas.runs.full_training import FullTraining
from nas.runs.transfer_trials import Transfer
from nas.runtime.inline import Inline
from nas.supernets.search import SupernetEpoch, SupernetResult
from nas.training.measure import Accuracy, Speed
from nas.training.measure import TestResult as Measured
from nas.training.reports import Epoch

OBJECTIVE = "validation_top1_percent"

SMALL = """\
space: nasbench201
network: {channels: 2, cells_per_stage: 1}
strategy:
  RegularizedEvolution: {population: 2, sample: 1}
evaluator:
  Training:
    data: Digits
    validation: 100
    images: 200
    recipe: {epochs: 1, batch: 50, lr: 0.1, augmentation: {crop_pad: 1, flip: false, cutout: 0}, drop_path: 0.0}
rules:
  budget: {evaluations: 3}
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a real search, by evolution, for strings of bits."""
    return carried_out(TOY + FINAL, tmp_path_factory.mktemp("runs") / "toy")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """Return the folder of a real search by training on scans of digits, with final trainings."""
    return carried_out(SMALL, tmp_path_factory.mktemp("runs") / "small")


# A real search by training


def test_a_real_search_by_training_is_told_whole(small: Path) -> None:
    summary, history = summarise(small), load_run_summary(small).history
    finished = [event for event in events(small) if event["event"] == "finish"]
    best = max(finished, key=lambda event: event["scores"][OBJECTIVE])
    assert summary.best is not None
    assert history.best is not None
    assert (summary.best.number, summary.best.scores) == (best["number"], best["scores"])
    assert summary.best.macs == best["scores"]["macs"]
    assert summary.best.svg.startswith("<svg")
    assert summary.best.text == family("nasbench201").describe(history.best.architecture)
    assert (summary.head.state, summary.head.budget) == ("ended", "3 of 3 evaluations")
    assert {front.cost for front in summary.fronts} == {"macs", "params"}
    assert sum(rows[-1] for rows in summary.shares[0].percent) == pytest.approx(100)
    assert summary.timeline is not None
    busy = sum(event["scores"]["seconds"] for event in finished)
    assert busy <= sum(worker.busy_seconds for worker in summary.timeline.workers) + 1e-6
    assert "nas search" in summary.reproduction.commands[0]


def test_finals_are_told_with_their_epochs_and_tests(toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    copytree(toy, folder)
    measured = Measured(("cat", "dog"), accuracy(4, 5))
    for role in ("best", "random-1"):
        append_epoch(folder / f"{role}.safetensors", Epoch(1, 1, 0.5, 50.0, 60.0, 2.0, 100.0, 0.1))
        (folder / f"{role}.test.json").write_text(write(measured), encoding="utf-8")
    summary = summarise(folder)
    tested = [event["scores"]["true_fitness"] for event in events(toy, "final") if event["event"] == "finish"]
    assert summary.finals is not None
    assert list(summary.finals.roles) == ["best", "random 1", "random 2"]
    assert summary.finals.scores == {"true_fitness": tested}
    assert [each.role for each in summary.trainings] == ["best", "random 1"]
    assert [each.role for each in summary.tests] == ["best", "random 1"]
    assert summary.timeline is not None
    assert summary.timeline.phases == ["search", "final"]
    assert summary.costs is not None
    assert summary.costs.finals == 3


def test_the_yaml_of_a_report_reads_as_the_experiment(small: Path, tmp_path: Path) -> None:
    summary = summarise(small)
    (tmp_path / "again.yaml").write_text(summary.reproduction.yaml, encoding="utf-8")
    assert experiments.load(tmp_path / "again.yaml") == load_run_summary(small).experiment
    assert summary.head.versions
    assert f"# versions: {summary.head.versions}" in summary.reproduction.yaml


# Supernets


def test_alphas_are_columns_by_epoch_with_gaps_where_an_option_is_gone() -> None:
    epochs = tuple(
        SupernetEpoch(
            epoch=i,
            epochs=4,
            phase=phase,
            loss=2.0 / i,
            top1_percent=10.0 * i,
            alphas_loss=None,
            alphas_top1_percent=None,
            seconds=1.0,
            entropy=1 - i / 10,
            skips=i,
            skippable=8,
            warning="collapsing" if i == 4 else "",
            strengths={"a": (0.2, 0.3, 0.5) if phase == 0 else (0.6, 0.4)},
        )
        for i, phase in ((1, 0), (2, 0), (3, 1), (4, 1))
    )
    options = ({"a": ("SepConv 3", "Skip", "Zero")}, {"a": ("SepConv 3", "Skip")})
    told = supernet_curves(SupernetResult(0, None, options, epochs, {}, 3), "PDarts")
    assert (told.seed, told.epochs, told.phases) == (3, [1, 2, 3, 4], [2])
    assert told.measured["skips"] == [1, 2, 3, 4]
    assert "alphas_loss" not in told.measured
    assert told.warnings == {4: "collapsing"}
    (choice,) = told.choices
    assert (choice.name, choice.labels, choice.strongest) == (
        "a",
        ["sep_conv_3x3", "skip_connect", "none"],
        "sep_conv_3x3",
    )
    assert choice.strengths == [[0.2, 0.2, 0.6, 0.6], [0.3, 0.3, 0.4, 0.4], [0.5, 0.5, None, None]]


# Trainings and transfers


def found_small() -> StackedNetwork:
    """Return a small network of the benchmark's first cell."""
    options = {"channels": 2, "cells_per_stage": 1}
    return StackedNetwork("nasbench201", family("nasbench201").published["all_conv_3x3"], options, (1, 8, 8))


def accuracy(*right: int) -> Accuracy:
    """Return what was measured of ten images a class."""
    share = 10 * sum(right) / len(right)
    return Accuracy(share, 100.0, 0.5, 10 * len(right), 1.5, (10,) * len(right), right)


@pytest.fixture
def training(tmp_path: Path) -> Path:
    """Return the folder of a training that is at its second epoch of three."""
    folder = tmp_path / "training"
    folder.mkdir()
    write_declared(folder / "training.yaml", FullTraining(Digits(), seed=4), provenance())
    (folder / "best.json").write_text(write(found_small()), encoding="utf-8")
    for number, validated in ((1, None), (2, 60.0), (2, 65.0)):  # the second was done again
        append_epoch(folder / "best.safetensors", Epoch(number, 3, 1 / number, 50.0, validated, 2.0, 100.0, 0.1))
    (folder / "training.jsonl").write_text('{"cellstack": 1}\n', encoding="utf-8")
    return folder


def test_a_training_under_way_shows_its_epochs(training: Path) -> None:
    summary = summarise(training)
    (curves,) = summary.trainings
    assert (curves.role, curves.epochs, curves.of_epochs) == ("best", [1, 2], 3)
    assert curves.measured["loss"] == [1.0, 0.5]
    assert curves.measured["validation_top1_percent"] == [None, 65.0]
    assert "ema_top1_percent" not in curves.measured
    assert (summary.head.kind, summary.head.state, summary.head.seed) == ("training", "stopped", 4)
    assert summary.head.budget == "2 of 3 epochs"
    assert summary.missing["tests"] == "the weights are tested when the training ends"
    known = profile(family("nasbench201").network(found_small().architecture, 2, 1), (1, 8, 8))
    assert summary.best is not None
    assert (summary.best.params, summary.best.macs) == (known.params, known.macs)
    assert summary.reproduction.commands[0].startswith(
        f"nas train {training}/best.json --recipe {training}/training.yaml"
    )


def test_a_training_that_ended_shows_every_class(training: Path) -> None:
    measured = Measured(("cat", "dog"), accuracy(4, 5), accuracy(10, 7), Speed(1000.0, 64, 1.5, 2.0))
    (training / "best.test.json").write_text(write(measured), encoding="utf-8")
    name = digest(found_small().architecture)
    lines = [
        {**start(0, 10.0, "given"), "digest": name, "architecture": to_plain(found_small().architecture)},
        finish(0, 20.0, "inline", test_top1_percent=85.0, seconds=6.0),
    ]
    with (training / "training.jsonl").open("a", encoding="utf-8") as file:
        file.write("".join(f"{json.dumps(line)}\n" for line in lines))
    summary = summarise(training)
    (test,) = summary.tests
    assert summary.head.state == "ended"
    assert (test.classes, test.images, test.right_percent) == (("cat", "dog"), (10, 10), [100.0, 70.0])
    assert (test.measured["top1_percent"], test.measured["raw_top1_percent"]) == (85.0, 45.0)
    assert test.measured["latency_milliseconds"] == 1.5
    assert summary.costs is not None
    assert summary.costs.worker_hours == pytest.approx(6 / 3600)
    assert to_json([summary])


def test_a_transfer_shows_its_trials_and_what_is_left(tmp_path: Path) -> None:
    declared = Transfer(Digits(), ways=("linear_probe", "scratch"), labels_percent=(10.0, 100.0))
    write_declared(tmp_path / "transfer.yaml", declared, ["# command: __main__.py transfer there --to Digits"])
    (tmp_path / "executor.json").write_text(write(Inline()), encoding="utf-8")
    (tmp_path / "trained.json").write_text(write(found_small()), encoding="utf-8")
    lines: list[dict[str, Any]] = [{"cellstack": 1}]
    for number, trial in enumerate(declared.trials()[:3]):
        begun = {**start(number, 10.0 * number, trial.name), "digest": digest(trial), "architecture": to_plain(trial)}
        scores = {"test_top1_percent": 50.0 + number, "seconds": 4.0} if number != 1 else {}
        lines += [begun, finish(number, 10.0 * number + 5, "inline", **scores)]
    (tmp_path / "trials.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    summary = summarise(tmp_path)
    assert summary.trials is not None
    assert summary.trials.way == ["linear probe", "from scratch", "linear probe"]
    assert summary.trials.labels_percent == [10.0, 10.0, 100.0]
    assert summary.trials.top1_percent == [50.0, None, 52.0]
    assert summary.trials.failure == ["", "out of memory, 1", ""]
    assert (summary.trials.left, summary.head.state, summary.head.kind) == (2, "stopped", "transfer")
    assert summary.reproduction.commands == ["nas transfer there --to Digits"]
    (tmp_path / "executor.json").write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match=r"executor.json cannot be read .*as \{\"Inline\""):
        summarise(tmp_path)


@pytest.mark.slow
def test_real_trainings_and_transfers_are_told(small: Path, tmp_path: Path, nas: Callable[..., Any]) -> None:
    recipe = ("recipe.epochs=1", "recipe.batch=200")
    training, transfer = tmp_path / "training", tmp_path / "transfer"
    command = ("train", small, "--recipe", "nasbench201", "data=Digits", "validation=200", "network.channels=2")
    assert nas(*command, *recipe, "--run-dir", training).returncode == 0
    answer = nas("transfer", training, "--to", "Digits", "--labels", "10,100", *recipe, "--run-dir", transfer)
    assert answer.returncode == 0, answer.stderr
    trained, transferred = summarise(training), summarise(transfer)
    assert trained.head.state == transferred.head.state == "ended"
    assert trained.best is not None
    assert trained.best.scores["test_top1_percent"] == trained.tests[0].measured["top1_percent"]
    assert sum(trained.tests[0].images) == trained.tests[0].measured["images"]
    assert transferred.trials is not None
    assert (len(transferred.trials.way), transferred.trials.left) == (6, 0)
    assert transferred.trials.top1_percent == [test.measured["top1_percent"] for test in transferred.tests]


@pytest.mark.slow
def test_another_process_says_the_same(toy: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from nas.report.summary.summarise import summarise; "
        "from nas.report.summary.summary import to_json; print(to_json([summarise(Path(sys.argv[1]))]))"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", program, toy],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]

"""Trainings that end early: rungs with promotions from checkpoints, and pruners and schedulers that stop them on their curves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import pytest
from journals import events, untimed

from nas.evaluation.evaluator import Job, Progress
from nas.history import Evaluated, History, Objective, Proposal
from nas.journal import replay
from nas.records import import_all
from nas.runs.experiment import load
from nas.runs.run import create_folder, load_run, plan, run
from nas.runtime.stage import RunStage
from nas.runtime.view import Silent, View

Call = Callable[..., Any]

ROOT = Path(__file__).resolve().parents[2]

import_all("nas.operations")  # the records of the journals

SEARCH = """\
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
strategy: STRATEGY
evaluator:
  Training:
    data: Digits
    validation: 200
    images: 150
    execution: {checkpoint_seconds: 0}
    recipe: {epochs: EPOCHS, batch: 50, lr: 0.1, augmentation: {crop_pad: 1, flip: false, cutout: 0}, drop_path: 0.0}
rules:
  budget: {evaluations: EVALUATIONS}
  RULES
"""

HALVING = "{SuccessiveHalving: {epochs: [1, 2, 4], eta: 2, of: {RegularizedEvolution: {population: 3, sample: 2}}}}"
PRUNER = "pruner: {MedianPruner: {n_startup_trials: 2}}"


def declare(folder: Path, strategy: str, rules: str = "", evaluations: int = 10, epochs: int = 4) -> Path:
    text = SEARCH.replace("STRATEGY", strategy).replace("RULES", rules)
    file = folder / "search.yaml"
    file.write_text(text.replace("EVALUATIONS", str(evaluations)).replace("EPOCHS", str(epochs)))
    return file


class Interrupted(Exception):
    """The end of a process, as far as a test in the same process can have it."""


class Interrupting(View):
    """A view that interrupts at a report, before or after it is in the journal is up to the queue."""

    def __init__(self, after: int) -> None:
        self.left = after

    def started(self, number: int, proposal: Proposal) -> None:
        pass

    def progress(self, number: int, worker: str, progress: Progress) -> None:
        self._count()

    def finished(self, done: Evaluated, history: History) -> None:
        self._count()

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted


def silent(stage: RunStage) -> View:
    return Silent()


def searched(file: Path, folder: Path, interrupted_after: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """Search, with interruptions; return the journal without times."""
    create_folder(folder, plan(load(file)))
    for after in interrupted_after:
        with pytest.raises(Interrupted):
            run(plan(load_run(folder)), folder, lambda stage, after=after: Interrupting(after))  # type: ignore[misc]
    run(plan(load_run(folder)), folder, silent)
    journal = untimed(folder)[1:]
    for event in journal:
        assert event.get("scores", {"seconds": 1}).pop("seconds") > 0
    return journal


@pytest.mark.parametrize(
    ("strategy", "rules"),
    [(HALVING, ""), pytest.param("RandomSearch", PRUNER, marks=pytest.mark.slow)],
    ids=["halving", "pruner"],
)
def test_an_interrupted_search_is_the_same_search(strategy: str, rules: str, tmp_path: Path) -> None:
    file = declare(tmp_path, strategy, rules)
    whole = searched(file, tmp_path / "whole")
    assert any("epochs" in event for event in whole if event["event"] == "finish")
    # the second one interrupts a promotion, or a curve, in the middle
    assert searched(file, tmp_path / "resumed", (3, 8, 6)) == whole


def test_promotions_go_on_from_the_checkpoint_as_one_training(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    journal = searched(declare(tmp_path, HALVING, evaluations=14), folder)
    reports = [event for event in journal if event["event"] == "report"]
    history = replay(folder / "history.jsonl", "validation_top1_percent")
    resumed = [number for number, proposal in enumerate(history.proposals) if proposal.resumes is not None]
    assert resumed
    top = next(number for number in resumed if history.proposals[number].epochs == 4)
    # the two of its last rung were trained in it, the others before
    assert [event["epoch"] for event in reports if event["number"] == top] == [3, 4]
    assert [*history.curve(top)] == [1, 2, 3, 4]
    assert history.finished[top].epochs is None, "four epochs are the recipe's end"
    assert history.epochs == len(reports)
    # the same cell in a training of its own, with the same seed, has the same accuracy
    alone = load(declare(tmp_path, "RandomSearch"))
    assert alone.evaluator is not None
    job = Job(0, history.proposals[top].architecture, history.root(top))
    evaluation, scores = alone.evaluator.evaluate(alone.task(alone.open_space()), job), None
    while scores is None:
        try:
            next(evaluation)
        except StopIteration as end:
            scores = end.value
    assert scores["validation_top1_percent"] == history.finished[top].scores["validation_top1_percent"]


def test_only_checkpoints_that_a_promotion_may_need_are_left(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    strategy = "{SuccessiveHalving: {epochs: [1, 4], eta: 3, cohort: 3}}"
    searched(declare(tmp_path, strategy, evaluations=4), folder)
    assert not list((folder / "checkpoints").iterdir()), "the best of three was promoted, the others never will be"
    searched(declare(tmp_path, strategy, evaluations=3), tmp_path / "before")
    history = replay(tmp_path / "before" / "history.jsonl", "validation_top1_percent")
    assert history.best is not None
    (kept,) = (tmp_path / "before" / "checkpoints").iterdir()
    assert kept.name.startswith(f"history-{history.best.number:05}")


def test_a_stopped_training_is_a_result_everywhere(tmp_path: Path, call: Call) -> None:
    folder = tmp_path / "run"
    searched(declare(tmp_path, "RandomSearch", PRUNER), folder)
    history = replay(folder / "history.jsonl", "validation_top1_percent")
    stopped = [done for done in history.scored if done.is_stopped]
    assert stopped
    assert not history.failures
    assert all(done.epochs == max(history.curve(done.number)) < 4 for done in stopped)
    shown = call("show", folder)
    assert f"{len(stopped)} stopped early" in shown.stdout
    assert call("show", f"{folder}#{stopped[0].number}").returncode == 0
    assert history.epochs == sum(done.epochs or 4 for done in history.scored)


def test_a_budget_in_epochs_counts_what_was_trained(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    file = declare(tmp_path, HALVING)
    create_folder(folder, plan(load(file, ["rules.budget={epochs: 12}"])))
    run(plan(load_run(folder)), folder, silent)
    history = replay(folder / "history.jsonl", "validation_top1_percent")
    # what was handed out before the twelfth was finished
    assert 12 <= history.epochs < 12 + 4


def test_seconds_that_a_promotion_trained_before_are_counted_once(tmp_path: Path) -> None:
    searched(declare(tmp_path, HALVING), tmp_path / "run")
    history = replay(tmp_path / "run" / "history.jsonl", "validation_top1_percent")
    last = {history.root(number): number for number in history.finished}
    assert history.totals["seconds"] == pytest.approx(
        sum(history.finished[number].scores["seconds"] for number in last.values())
    )


@pytest.mark.parametrize(
    ("strategy", "changes", "said"),
    [
        (
            HALVING,
            ["evaluator.Training.recipe.epochs=3"],
            "strategy.SuccessiveHalving.epochs: a rung is 4 epochs, and those ",
        ),
        (
            HALVING,
            ["evaluator={Costs: {}}", "rules.objective=-params"],
            "Costs has no epochs to end after: give a strategy",
        ),
        (
            "RandomSearch",
            ["rules.pruner=Median", "evaluator.Training.validation=0", "rules.objective=-params"],
            "of nothing",
        ),
        ("RandomSearch", ["rules.pruner=Medium"], "Optuna has no pruner 'Medium': "),
        ("RandomSearch", ["rules.pruner={MedianPruner: {n_startup: 1}}"], "MedianPruner has no setting 'n_startup'"),
        (
            HALVING,
            ["rules.pruner=Median"],
            "rules.pruner and the strategy's rungs both stop trainings: leave one of them",
        ),
        (
            "RandomSearch",
            ["executor={RayTune: {scheduler: ASHAScheduler}}", "rules.pruner=Median"],
            "rules.pruner and executor.scheduler both stop trainings",
        ),
        (
            "RandomSearch",
            ["executor={RayTune: {scheduler: ASHA}}"],
            "Ray Tune has no scheduler 'ASHA' that stops trainings",
        ),
        ("RandomSearch", ["executor={RayTune: {scheduler: ASHAScheduler, batch: 2}}"], "give batch 1"),
        (
            "RandomSearch",
            ["rules.budget={epochs: 9}", "evaluator.Training.validation=0", "rules.objective=-params"],
            "report no epochs",
        ),
    ],
)
def test_what_cannot_be_stopped_is_found_before_anything_runs(
    strategy: str, changes: list[str], said: str, tmp_path: Path, call: Call
) -> None:
    answer = call("search", declare(tmp_path, strategy), *changes, "--run-dir", tmp_path / "run")
    assert answer.returncode == 2
    assert said in answer.stderr, answer.stderr
    assert not (tmp_path / "run").exists()


def test_reports_without_the_objective_are_no_metrics_of_a_scheduler() -> None:
    # those of a final training have validation accuracies, and its objective is that of the test
    pytest.importorskip("ray")
    from nas.runtime.tune.trials import EPOCH, VALUE, JobTrainable

    trainable = object.__new__(JobTrainable)
    trainable.jobs, trainable.objective = deque([Job(0, None, 0)]), Objective("test_top1_percent", 1.0)
    trainable.epoch, trainable.value = 0, -inf
    assert trainable._metrics([(0, Progress(1, 2, {"validation_top1_percent": 9.0}))]) == {}
    trainable.objective = Objective("validation_top1_percent", -1.0)
    assert trainable._metrics([(0, Progress(1, 2, {"validation_top1_percent": 9.0}))]) == {EPOCH: 1, VALUE: -9.0}


def test_results_within_an_epoch_decide_nothing() -> None:
    pytest.importorskip("ray")
    from ray.tune.experiment import Trial

    from nas.runtime.tune.schedulers import KNOWN, made_by_tune

    for name in KNOWN:
        scheduler = made_by_tune(name)
        scheduler.set_search_properties("value", "max")
        trial: Any = Trial("a", stub=True)
        scheduler.on_trial_add(None, trial)  # type: ignore[arg-type]
        assert scheduler.on_trial_result(None, trial, {"done": False}) == scheduler.CONTINUE  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------- real processes, real Ray


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["pruner", "ASHAScheduler", "HyperBandScheduler", "MedianStoppingRule"])
def test_ray_stops_trainings_too(setting: str, tmp_path: Path, nas: Call) -> None:
    settings = {
        "ASHAScheduler": "{grace_period: 1, reduction_factor: 2, max_t: 4}",
        "HyperBandScheduler": "{max_t: 4, reduction_factor: 2}",
    }
    settings["MedianStoppingRule"] = "{grace_period: 1, min_samples_required: 2}"
    scheduler = "" if setting == "pruner" else f", scheduler: {{{setting}: {settings[setting]}}}"
    file = declare(tmp_path, "RandomSearch", PRUNER if setting == "pruner" else "", evaluations=16)
    executor = f"executor={{RayTune: {{workers: 2{scheduler}}}}}"
    # HyperBand compares trainings that run together, and the second worker may start late
    images = "evaluator.Training.images=1200"
    answer = nas("search", file, executor, images, "--run-dir", tmp_path / "run")
    assert answer.returncode == 0, answer
    history = replay(tmp_path / "run" / "history.jsonl", "validation_top1_percent")
    assert len(history.scored) == 16
    assert any(done.is_stopped for done in history.scored)
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


@pytest.mark.slow
def test_workers_that_train_together_are_stopped_by_a_pruner(tmp_path: Path, nas: Call) -> None:
    file = declare(tmp_path, "RandomSearch", PRUNER, evaluations=4)
    answer = nas("search", file, "executor={RayTrain: {workers: 2}}", "--run-dir", tmp_path / "run")
    assert answer.returncode == 0, answer
    history = replay(tmp_path / "run" / "history.jsonl", "validation_top1_percent")
    assert len(history.scored) == 4
    assert any(done.is_stopped for done in history.scored)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "ray"])
def test_a_driver_that_is_killed_in_a_promotion_loses_nothing(executor: str, tmp_path: Path) -> None:
    file = declare(tmp_path, HALVING.replace("[1, 2, 4]", "[2, 12]"), evaluations=8, epochs=12)
    flags = ["--executor", "inline"] if executor == "inline" else ["--workers", "2"]

    def launch(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-m", "nas.cli", *arguments], cwd=ROOT, text=True)

    folder = tmp_path / "run"
    with launch("search", str(file), *flags, "--run-dir", str(folder)) as search:
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline and search.poll() is None:
            lines = events(folder) if (folder / "history.jsonl").is_file() else []
            under_way = [event for event in lines if event["event"] == "report" and event["epoch"] >= 4]
            if under_way and lines[-1] is under_way[-1]:
                os.kill(search.pid, signal.SIGKILL)
                break
            time.sleep(0.005)
    before = events(folder)
    with launch("resume", str(folder)) as resumed:
        assert resumed.wait(timeout=240) == 0
    after = events(folder)
    assert after[: len(before)] == before
    finished = [event for event in after if event["event"] == "finish"]
    assert sorted(event["number"] for event in finished) == list(range(8))
    assert all("scores" in event for event in finished)
    # no epoch is reported twice: a promotion went on where its checkpoint was
    reported = [(event["number"], event["epoch"]) for event in after if event["event"] == "report"]
    assert len(reported) == len(set(reported))
    if executor == "inline":
        whole = searched(file, tmp_path / "whole")
        again = untimed(folder)[1:]
        for event in again:
            event.get("scores", {"seconds": 1}).pop("seconds")
        assert again == whole

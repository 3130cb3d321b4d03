"""The final training of a run, and reproductions, which end with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_evaluators import TOYS_EVALUATOR, declare, ends, error_of, share

from nas.evaluation.evaluator import Evaluator, Job, at_once
from nas.records import record
from nas.runs.declared import dump
from nas.runs.experiment import load
from nas.runs.reproduce import reproduce
from nas.runs.run import create_folder, plan
from nas.runtime.executor import Executor
from nas.runtime.inline import Inline

Call = Callable[..., Any]
Toy = Callable[..., Path]


pytestmark = pytest.mark.usefixtures("own_records")


def test_a_final_training_that_failed_is_told_and_repeated_on_resume(
    toy: Toy, call: Call, run_folder: Path, tmp_path: Path
) -> None:
    marker, tested = tmp_path / "failed_once", []

    def test(job: Job) -> dict[str, float]:
        tested.append(job.number)
        if not marker.exists():
            marker.touch()
            raise OSError("the disk is full")
        return share(job)

    declare("FailsOnce", test=test)
    path = toy((TOYS_EVALUATOR, "FailsOnce: {}"), more="final: {objective: fitness, beside_random: true}\n")
    first = call("search", path, "--run-dir", run_folder)
    assert first.returncode == 1
    assert "best failed: OSError: the disk is full" in first.stdout
    before = ends(run_folder)
    assert call("resume", run_folder).returncode == 0
    assert tested == [0, 1, 0], "what did not fail is not repeated"
    assert ends(run_folder) == before
    assert all("scores" in end for end in ends(run_folder, "final"))


STACKED = """\
space: nasbench201
strategy: RandomSearch
evaluator: Stacked
rules: {budget: {evaluations: 2}}
network: {channels: 4}
"""


@pytest.fixture
def stacked(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes an experiment on networks whose data have 7 classes."""
    declare("Stacked", classes=7, input=(1, 8, 8))

    def write(more: str = "") -> Path:
        path = tmp_path / "experiment.yaml"
        path.write_text(STACKED + more, encoding="utf-8")
        return path

    return write


def test_what_the_final_network_does_not_say_is_as_while_searching(stacked: Callable[[str], Path]) -> None:
    planned = plan(load(stacked("final: {network: {cells_per_stage: 2}}\n")))
    assert planned.final is not None
    assert planned.task.options == {"channels": 4, "cells_per_stage": 5, "classes": 7}
    assert planned.final[1].options == {"channels": 4, "cells_per_stage": 2, "classes": 7}
    other = plan(load(stacked("final: {network: {channels: 8}}\n")))
    assert other.final is not None
    assert other.final[1].options["channels"] == 8


def test_the_resolved_experiment_has_every_option_of_space_and_network(
    stacked: Callable[[str], Path], run_folder: Path
) -> None:
    path = stacked("final: {}\n")
    path.write_text(path.read_text(encoding="utf-8").replace("nasbench201", "{nasnet: {combinations: 3}}"))
    create_folder(run_folder, plan(load(path)))
    resolved = yaml.safe_load((run_folder / "experiment.yaml").read_text(encoding="utf-8"))
    assert resolved["space"].keys() == {"nasnet"}
    assert resolved["space"]["nasnet"]["combinations"] == 3
    assert len(resolved["space"]["nasnet"]["operations"]) == 13
    network = {"channels": 4, "cells_per_stage": 6, "classes": 7, "stem": "cifar", "stem_channels": None}
    assert resolved["network"] == {**network, "skip_reduction": False, "auxiliary": False, "count_reductions": False}
    assert resolved["final"]["Final"]["network"] == resolved["network"]
    again = load(run_folder / "experiment.yaml")
    assert yaml.safe_load(dump(again.resolved([plan(again).task]))) == resolved


@pytest.mark.parametrize("key", ["network.classes", "final.network.classes"])
def test_classes_that_the_data_do_not_have_are_refused(
    key: str, stacked: Callable[[str], Path], call: Call, run_folder: Path
) -> None:
    answer = call("search", stacked("final: {}\n"), f"{key}=10", "--run-dir", run_folder)
    assert f"{key} is 10, and the data have 7: leave it out" in error_of(answer)
    assert not run_folder.exists()


def test_a_reproduction_tests_with_the_evaluator_and_the_network_of_the_end(stacked: Callable[[str], Path]) -> None:
    stacks: list[Any] = []

    @record
    class Tests(Evaluator):
        """Tests otherwise than the search."""

        def evaluate(self, task: Any, job: Job) -> Any:
            raise AssertionError("it only tests")

        def test(self, task: Any, job: Job, *weights: Any) -> Any:
            stacks.append(task.options["channels"])
            return at_once({"validation_top1_percent": 42.0})

    declare("Stacked", lambda job: {"validation_top1_percent": 1.0}, lambda job: {"validation_top1_percent": 2.0})
    more = "expect: {validation_top1_percent: {mean: 42, tolerance: 0}}\n"
    path = stacked(f"final: {{evaluator: Tests, network: {{channels: 9}}}}\n{more}")
    (compared,) = reproduce(load(path), 2, lambda seed: None)
    assert (compared.own_mean, compared.seeds, compared.holds) == (42.0, 2, True)
    assert stacks == [9, 9]


def test_a_reproduction_by_another_executor_keeps_its_runs_and_goes_on(toy: Toy, tmp_path: Path) -> None:
    asked: list[int] = []

    def scoring(job: Job) -> dict[str, float]:
        asked.append(job.number)
        if len(asked) == 17:
            raise KeyboardInterrupt
        return share(job)

    @record
    class Elsewhere(Executor):
        """Does as Inline, and is another."""

        def run(self, session: Any, work: Any, folder: Path | None) -> None:
            Inline().run(session, work, folder)

    declare("CutOff", scoring, test=lambda job: {"fitness": 42.0})
    expect = "executor: Elsewhere\nfinal: {objective: fitness}\nexpect: {fitness: {mean: 42, tolerance: 0}}\n"
    rules = ("objective: fitness", "objective: fitness\n  duplicates: evaluate")
    experiment = load(toy((TOYS_EVALUATOR, "CutOff: {}"), rules, more=expect))
    with pytest.raises(KeyboardInterrupt):
        reproduce(experiment, 2, lambda seed: None, tmp_path / "runs")
    (compared,) = reproduce(experiment, 2, lambda seed: None, tmp_path / "runs")
    assert compared.own_mean == 42.0
    assert asked == [*range(12), *range(5), *range(4, 12)], "seed 1 was cut off at #4"
    for seed in range(2):
        folder = tmp_path / "runs" / f"seed-{seed}"
        assert len(ends(folder)) == 12
        assert len(ends(folder, "final")) == 1
        assert load(folder / "experiment.yaml").rules.seed == seed

"""What can be known before the first evaluation is checked before it, and nothing that fails before it leaves a folder."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nas.records import RecordError
from nas.runs.declared import experiments
from nas.runs.experiment import load
from nas.runs.folder import make_folder, new_run
from nas.runs.run import plan
from nas.runs.scores import check_scores
from nas.runtime.tune import cluster

Call = Callable[..., Any]
Toy = Callable[..., Path]

OWN = """\
from random import Random
from nas.evaluation.evaluator import Evaluator, at_once
from nas.records import record
from nas.strategies.strategy import Strategy


@record
class Undeclared(Evaluator):
    def evaluate(self, task, job):
        print("evaluated")
        return at_once({"bits": sum(job.architecture.values), "cost": 1.0})

    def test(self, task, job, weights=None):
        return at_once({"tested": 1.0})


@record
class Interrupted(Strategy):
    def propose(self, space, history, rng):
        raise KeyboardInterrupt
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_records: None) -> None:
    """Put a module with an evaluator that does not say what its scores are called on the path."""
    (tmp_path / "own_parts.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "own_parts", raising=False)


# ----------------------------------------------------------------------------------------------------- names of scores


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("rules.objective=fitnes",), "rules.objective is 'fitnes', and the scores are fitness, true_fitness: did you mean"),
        (("rules.objective=-params",), "rules.objective is '-params'"),
        (("rules.objective=acc",), "rules.objective is 'acc'"),
        (("final={}", "final.objective=test_accuracy"), "final.objective is 'test_accuracy', and the scores are true_fitness"),
        (("final={}",), "final.objective is 'test_top1_percent'"),
        (("expect={fitness: {mean: 1, tolerance: 1}}",), "expect.fitness: the runs have no such score"),
        (("expect={highest_acc: {mean: 1, tolerance: 1}}",), "did you mean"),
        (("rules.budget={seconds: 3}",), "rules.budget.seconds: the evaluations have no score `seconds`"),
    ],
)  # fmt: skip
def test_a_score_that_no_evaluator_gives_costs_no_evaluation(
    changes: tuple[str, ...], said: str, toy: Toy, call: Call, run_folder: Path
) -> None:
    answer = call("search", toy(), *changes, "--run-dir", run_folder)
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer
    assert said in answer.stderr
    assert not run_folder.exists()


def test_the_file_and_line_of_an_unknown_score_are_named(toy: Toy, call: Call, run_folder: Path) -> None:
    file = toy(("objective: fitness", "objective: acc"))
    line = next(i for i, text in enumerate(file.read_text().splitlines(), 1) if "objective" in text)
    assert f"{file}, line {line}: rules.objective is 'acc'" in call("search", file, "--run-dir", run_folder).stderr


@pytest.mark.parametrize("path", experiments().values(), ids=experiments())
def test_every_experiment_asks_for_scores_that_its_evaluators_give(path: Path) -> None:
    check_scores(load(path))


@pytest.mark.usefixtures("own")
def test_an_evaluator_that_does_not_say_its_scores_works_and_is_checked_at_the_first(
    toy: Toy, call: Call, tmp_path: Path
) -> None:
    file = toy(("NoisyBits: {noise: 0.01}", "Undeclared"), more="imports: [own_parts]\n")
    assert call("search", file, "rules.objective=bits", "--run-dir", tmp_path / "right").returncode == 0
    answer = call("search", file, "rules.objective=bit", "--run-dir", tmp_path / "wrong")
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer
    assert "rules.objective is 'bit', and the scores are bits, cost: did you mean 'bits'?" in answer.stderr
    assert answer.stdout.count("evaluated") == 1


@pytest.mark.usefixtures("own")
def test_a_final_objective_that_turns_out_unknown_can_be_mended(toy: Toy, call: Call, run_folder: Path) -> None:
    file = toy(("NoisyBits: {noise: 0.01}", "Undeclared"), more="imports: [own_parts]\nfinal: {objective: teste}\n")
    answer = call("search", file, "rules.objective=bits", "--run-dir", run_folder)
    assert "final.objective is 'teste', and the scores are tested" in answer.stderr
    assert call("resume", run_folder, "final.objective=tested").returncode == 0


# ------------------------------------------------------------------------------------------------------------- folders


def test_commands_given_in_one_second_get_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def make(_: int) -> Path:
        with new_run(None, "toy", make_folder) as (folder, _none):
            (folder / "history.jsonl").write_text('{"cellstack": 1}\n{"event": "start"}\n')
            return folder

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(make, range(8)))
    assert len(set(made)) == 8
    assert all(folder.is_dir() for folder in made)


def test_searches_without_a_run_dir_end_both(
    toy: Toy, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(3):
        assert call("search", toy()).returncode == 0
    assert len(list((tmp_path / "runs").iterdir())) == 3


@pytest.mark.parametrize(
    "error", [RecordError("x"), OSError("x"), KeyboardInterrupt(), SystemExit(1), RuntimeError("x")]
)
def test_what_ends_before_anything_is_handed_out_leaves_no_folder(error: BaseException, run_folder: Path) -> None:
    with pytest.raises(type(error)), new_run(run_folder, "x", make_folder):
        raise error
    assert not run_folder.exists()


def test_a_folder_that_was_there_is_never_removed(run_folder: Path) -> None:
    run_folder.mkdir()
    with pytest.raises(RecordError, match="exists"), new_run(run_folder, "x", make_folder):
        pass
    assert run_folder.is_dir()


@pytest.mark.usefixtures("own")
def test_ctrl_c_before_the_first_evaluation_leaves_no_folder(toy: Toy, call: Call, run_folder: Path) -> None:
    file = toy(("RegularizedEvolution: {population: 4, sample: 2}", "Interrupted"), more="imports: [own_parts]\n")
    answer = call("search", file, "--run-dir", run_folder)
    assert answer.returncode == 130
    assert "Nothing was evaluated yet: give the same command again" in answer.stdout
    assert "nas resume" not in answer.stdout
    assert not run_folder.exists()


def test_a_cluster_of_another_python_is_one_line_and_leaves_no_folder(
    toy: Toy, call: Call, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray itself finds the difference: what it compares with is made another version in this process."""
    from ray._private import utils

    def join(*_: object, **__: object) -> None:
        utils.check_version_info({"ray_version": "2.0.0", "python_version": "3.9.1"}, "127.0.0.1")

    monkeypatch.setattr(cluster.ray, "init", join)
    answer = call("search", toy(), "--address", "auto", "--run-dir", run_folder)
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer
    assert "Python: 3.9.1" in answer.stderr
    assert "the same versions of Python and Ray" in answer.stderr
    assert not run_folder.exists()


def test_ray_that_is_not_installed_is_said_before_data_are_read(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.runtime.ray_workers.find_spec", lambda name: None)
    with pytest.raises(RecordError, match=r"ray is not installed: pip install 'cellstack\[ray\]'"):
        plan(load(toy(), ["executor=RayTune"]))

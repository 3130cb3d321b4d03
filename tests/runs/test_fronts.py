"""Searches of several objectives and within limits, as a user runs them: the front, its members, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from journals import events

from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task, at_once
from nas.evaluation.table_file import load_table
from nas.history import REUSED, Limit, Scores
from nas.records import RecordError, record
from nas.runs.architecture import find_architecture

Call = Callable[..., Any]


@record
class OnesAndChanges(Evaluator):
    """An evaluator of strings of bits: their ones, and their changes; both are known without an evaluation."""

    def scores(self) -> tuple[str, ...]:
        return "ones", "changes"

    def costs(self, task: Task, architecture: Any) -> Scores:
        bits = architecture.values
        return {"ones": float(sum(bits)), "changes": float(sum(a != b for a, b in pairwise(bits)))}

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        return at_once(self.costs(task, job.architecture))


SEARCH = """
space: {bits: {length: 12}}
strategy: {Nsga2: {population: 10}}
evaluator: OnesAndChanges
rules: {budget: {evaluations: 60}, objective: [ones, changes]}
"""


@pytest.fixture
def search(tmp_path: Path) -> Path:
    (tmp_path / "search.yaml").write_text(SEARCH)
    return tmp_path / "search.yaml"


def test_a_search_of_two_objectives_ends_with_its_front(search: Path, call: Call, run_folder: Path) -> None:
    done = call("search", search, "--run-dir", run_folder)
    assert done.returncode == 0, done
    assert "Pareto front" in done.stdout
    front = json.loads((run_folder / "front.json").read_text())["front"]
    scores = [(each["StackedNetwork"]["scores"]["ones"], each["StackedNetwork"]["scores"]["changes"]) for each in front]
    assert len(scores) > 1
    assert scores == sorted(scores, reverse=True)
    finished = [event["scores"] for event in events(run_folder) if event["event"] == "finish"]
    for each in finished:
        assert any(ones >= each["ones"] and changes >= each["changes"] for ones, changes in scores)
    last = find_architecture(f"{run_folder}:front/{len(front) - 1}")
    assert last.scores["ones"] == scores[-1][0]
    shown = call("show", run_folder)
    assert f"{run_folder}:front/0" in shown.stdout
    assert call("report", run_folder).returncode == 0


def test_a_member_that_the_front_has_not_is_one_line(search: Path, call: Call, run_folder: Path) -> None:
    call("search", search, "rules.budget.evaluations=12", "--run-dir", run_folder)
    answer = call("profile", f"{run_folder}:front/99")
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert "members: give" in answer.stderr
    for damage in ("{", "[]", '{"front": 3}', '{"front": [{"Nothing": {}}]}'):
        (run_folder / "front.json").write_text(damage)
        damaged = call("show", f"{run_folder}:front/0")
        assert (damaged.returncode, damaged.stderr.count("\n")) == (2, 1), damaged
        assert "front.json" in damaged.stderr
    (run_folder / "front.json").unlink()
    assert "has no front.json: give a run folder of a search of several" in call("show", f"{run_folder}:front/0").stderr


@pytest.mark.parametrize(
    "strategy", ["{RegularizedEvolution: {population: 8, sample: 3}}", "RandomSearch", "LocalSearch"]
)
def test_what_is_outside_a_limit_takes_nothing_of_the_budget(
    strategy: str, search: Path, call: Call, run_folder: Path
) -> None:
    limits = "rules.limits={ones: {least: 6, most: 8}}"
    done = call("search", search, f"strategy={strategy}", "rules.objective=-changes", limits, "--run-dir", run_folder)
    assert done.returncode == 0, done
    # reused scores take nothing of it either
    assert len([event for event in events(run_folder) if event.get("worker", REUSED) != REUSED]) == 60
    assert all(6 <= event["scores"]["ones"] <= 8 for event in events(run_folder) if event["event"] == "finish")
    rejected = [event["costs"]["ones"] for event in events(run_folder) if event["event"] == "reject"]
    assert rejected
    assert not any(6 <= ones <= 8 for ones in rejected)
    assert f"{len(rejected)} proposals rejected: not within 6 <= ones <= 8" in done.stdout


def test_a_search_with_rejections_resumes_as_if_it_had_not_been_cut(
    search: Path, call: Call, tmp_path: Path, run_folder: Path
) -> None:
    arguments = [search, "rules.limits={ones: {most: 6}}", "--run-dir"]
    call("search", *arguments, run_folder)
    call("search", *arguments, tmp_path / "cut", "rules.budget.evaluations=25")
    assert call("resume", tmp_path / "cut", "rules.budget.evaluations=60").returncode == 0
    whole, resumed = ([told(event) for event in events(folder)] for folder in (run_folder, tmp_path / "cut"))
    assert whole == resumed


def told(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in ("at", "worker")}


def test_an_architecture_whose_costs_cannot_be_known_fails_by_itself(
    search: Path, call: Call, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def costs(self: object, task: Task, architecture: Any) -> Scores:
        if architecture.values[0]:
            raise RecordError("it cannot be built")
        return {"ones": float(sum(architecture.values)), "changes": 0.0}

    monkeypatch.setattr(OnesAndChanges, "costs", costs)
    changes = ["strategy=RandomSearch", "rules.limits={ones: {most: 9}}", "rules.budget.evaluations=20"]
    assert call("search", search, *changes, "--run-dir", run_folder).returncode == 0
    failures = [event["failure"] for event in events(run_folder) if "failure" in event]
    assert 0 < len(failures) < 20
    assert all("it cannot be built" in failure for failure in failures)


def test_limits_that_nothing_satisfies_are_said_with_the_numbers(search: Path, call: Call, run_folder: Path) -> None:
    answer = call("search", search, "rules.limits={ones: {least: 13}}", "--run-dir", run_folder)
    assert answer.returncode != 0
    said = " ".join((answer.stdout + answer.stderr).split())
    assert "0 of 2,000 proposals are within 13 <= ones, and of the last 2,000 none is: widen the limits" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            ["strategy=RandomSearch", "rules.objective=[ones, -chnages]"],
            "rules.objective is '-chnages', and the scores are",
        ),
        (
            ["rules.objective=[ones, -ones]"],
            "objective is ['ones', '-ones']: give one score, or several different ones",
        ),
        (["rules.objective=[]"], "objective is []: give one score"),
        (
            ["strategy=LocalSearch"],
            "rules.objective has 2 objectives, and LocalSearch goes by one: take Exhaustive, Hyperband",
        ),
        (
            ["rules.limits={onse: {most: 3}}"],
            "rules.limits.onse is 'onse', and the scores are ones, changes: did you mean 'ones'?",
        ),
        (["rules.limits={ones: {}}"], "rules.limits.ones: the limit has no bound: give `most`, `least` or both"),
        (["rules.limits={ones: {mots: 3}}"], "rules.limits.ones.mots: no such key; did you mean 'most'?"),
        (["evaluator=[OnesAndChanges, OnesAndChanges]"], "both give the score ones: leave one of them out"),
        (["evaluator=[]"], "the list of evaluators is empty"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_runs(
    changes: list[str], said: str, search: Path, call: Call, run_folder: Path
) -> None:
    answer = call("search", search, *changes, "--run-dir", run_folder)
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer
    assert said in answer.stderr
    assert not run_folder.exists()


def test_a_chain_of_evaluators_has_the_scores_of_all(search: Path, call: Call, run_folder: Path) -> None:
    chain = "evaluator=[OnesAndChanges, {NoisyBits: {noise: 0.0}}]"
    done = call("search", search, chain, "rules.objective=[fitness, -changes]", "--run-dir", run_folder)
    assert done.returncode == 0, done
    for event in events(run_folder):
        if event["event"] == "finish":
            assert event["scores"]["fitness"] == pytest.approx(event["scores"]["ones"] / 12)
            assert event["scores"].keys() - {"seconds"} == {"ones", "changes", "fitness", "true_fitness"}


@pytest.mark.parametrize(
    "strategy", ["RandomSearch", "{RegularizedEvolution: {population: 8, sample: 3}}", "{Optuna: {}}"]
)
def test_repeats_can_be_skipped_and_the_search_ends_where_nothing_is_new(
    strategy: str, search: Path, call: Call, run_folder: Path
) -> None:
    small = ["space={bits: {length: 5}}", f"strategy={strategy}", "rules.objective=ones", "rules.duplicates=skip"]
    done = call("search", search, *small, "rules.budget.evaluations=25", "--run-dir", run_folder)
    assert done.returncode == 0, done
    starts = [event for event in events(run_folder) if event["event"] == "start"]
    assert len({event["digest"] for event in starts}) == len(starts) == 25
    assert [event["event"] for event in events(run_folder)].count("skip")
    if "Optuna" in strategy:
        return  # its last few of 32 take a while
    assert call("resume", run_folder, "rules.budget.evaluations=20000").returncode == 0
    digests = [event["digest"] for event in events(run_folder) if event["event"] == "start"]
    assert len(set(digests)) == len(digests) <= 32


def test_the_data_of_every_evaluator_in_a_chain_are_those_that_a_run_began_with(
    search: Path, call: Call, tmp_path: Path, run_folder: Path
) -> None:
    np.savez(tmp_path / "bits.npz", ops=TABLE, columns=np.array(["ms"]), values=TABLE.sum(1, keepdims=True) * 1.0)
    small = ["space={bits: {length: 4}}", "rules.budget.evaluations=10", "rules.objective=[fitness, -latency_ms]"]
    chain = f"evaluator=[NoisyBits, {{LatencyTable: {{table: {tmp_path / 'bits.npz'}, columns: {{latency_ms: ms}}}}}}]"
    done = call("search", search, *small, chain, "rules.limits={latency_ms: {most: 2}}", "--run-dir", run_folder)
    assert done.returncode == 0, done
    assert all(event["scores"]["latency_ms"] <= 2 for event in events(run_folder) if event["event"] == "finish")
    np.savez(tmp_path / "bits.npz", ops=TABLE, columns=np.array(["ms"]), values=TABLE.sum(1, keepdims=True) * 2.0)
    load_table.cache_clear()
    refused = call("resume", run_folder, "rules.budget.evaluations=20")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused
    assert "began with other data (evaluator[1]: " in refused.stderr


TABLE = np.array(list(product((0, 1), repeat=4)))
"""All strings of four bits."""


@pytest.mark.parametrize(
    ("length", "column", "said"),
    [(4, "sm", "has no column 'sm': known are ms"), (5, "ms", "is of another space: its decisions have")],
)
def test_a_table_of_latencies_is_checked_before_anything_runs(
    length: int, column: str, said: str, search: Path, call: Call, tmp_path: Path, run_folder: Path
) -> None:
    np.savez(tmp_path / "bits.npz", ops=TABLE, columns=np.array(["ms"]), values=TABLE.sum(1, keepdims=True) * 1.0)
    table = f"evaluator={{LatencyTable: {{table: {tmp_path / 'bits.npz'}, columns: {{latency_ms: {column}}}}}}}"
    changes = [f"space={{bits: {{length: {length}}}}}", table, "rules.objective=-latency_ms", "strategy=RandomSearch"]
    answer = call("search", search, *changes, "--run-dir", run_folder)
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer
    assert said in answer.stderr
    assert not run_folder.exists()


def test_an_enumeration_ends_by_itself(search: Path, call: Call, run_folder: Path) -> None:
    changes = ["space={bits: {length: 5}}", "strategy=Exhaustive", "rules.budget.evaluations=100"]
    done = call("search", search, *changes, "--run-dir", run_folder)
    assert done.returncode == 0, done
    assert [event["event"] for event in events(run_folder)].count("finish") == 32


def test_a_limit_is_told_in_words() -> None:
    assert Limit(most=5e6).describe("params") == "params <= 5e+06"
    assert Limit(least=1, most=2).describe("ms") == "1 <= ms <= 2"

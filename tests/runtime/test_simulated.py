"""The simulated clock: results in the order of simulated time, the same after an interruption, and inline with one worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from journals import events, untimed

from nas.evaluation.evaluator import Job, Progress
from nas.history import History, Scores
from nas.records import RecordError
from nas.runtime.executor import Executor
from nas.runtime.inline import Inline
from nas.runtime.queue import Queue
from nas.runtime.rules import Budget, Rules
from nas.runtime.simulated import Simulated
from nas.runtime.stage import RunStage
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.strategy import Strategy
from nas.strategies.successive_halving import SuccessiveHalving
from search_spaces.bits import bits

EVOLUTION = RegularizedEvolution(population=6, sample=3)


def seconds_of(job: Job) -> float:
    return float(Random(f"{job.number}/{job.architecture}").randint(1, 9))


def work(job: Job) -> Iterator[Progress]:
    yield Progress(0.5, 1)
    values = job.architecture.values
    return {"fitness": sum(values) / len(values), "seconds": seconds_of(job)}


def searched(
    executor: Executor,
    folder: Path | None = None,
    strategy: Strategy = EVOLUTION,
    rules: Rules | None = None,
    **stage: Any,
) -> History:
    """Search strings of 16 bits with a budget of 60 evaluations."""
    rules = rules or Rules(Budget(60), "fitness", duplicates="evaluate")
    made = RunStage("search", strategy, stage.pop("work", work), rules, str, bits(16), retries_failures=False, **stage)
    if folder is not None:
        folder.mkdir(exist_ok=True)
    session = Queue(made, [], folder, is_simulated=executor.simulates)
    try:
        executor.run(session, made.work, None)
    finally:
        session.close()
    return session.history


def times(folder: Path) -> tuple[dict[int, float], dict[int, float]]:
    """Return the times at which evaluations began and ended."""
    begun, ended = (
        {each["number"]: each["at"] for each in events(folder) if each["event"] == kind} for kind in ("start", "finish")
    )
    return begun, ended


@pytest.mark.parametrize("workers", [1, 4, 32])
def test_each_job_takes_its_seconds_and_as_many_run_as_there_are_workers(workers: int, tmp_path: Path) -> None:
    history = searched(Simulated(workers), tmp_path)
    begun, ended = times(tmp_path)
    for number, done in history.finished.items():
        assert ended[number] - begun[number] == done.scores["seconds"]
    moments = sorted({*begun.values(), *ended.values()})
    running = [sum(begun[i] <= at < ended[i] for i in begun) for at in moments]
    assert max(running) == workers
    assert all(count == workers for count in running[: -workers - 1]), "nobody is idle before the last jobs"
    order = [each["at"] for each in events(tmp_path)]
    assert order == sorted(order)


def test_a_strategy_sees_only_what_has_ended_by_then(tmp_path: Path) -> None:
    searched(Simulated(8), tmp_path)
    begun, ended = times(tmp_path)
    for event in events(tmp_path):
        if event["event"] == "start":
            assert all(ended[parent] <= event["at"] for parent in event["parents"])
    assert any(ended[i] > ended[j] for i, j in zip(begun, list(begun)[1:], strict=False)), "some overtake others"


def test_one_worker_writes_the_journal_of_the_inline_executor(tmp_path: Path) -> None:
    searched(Simulated(1), tmp_path / "simulated")
    searched(Inline(), tmp_path / "inline")

    def lines(name: str) -> list[dict[str, Any]]:
        return [{**each, "worker": None} for each in untimed(tmp_path / name)]

    assert lines("simulated") == lines("inline")


@pytest.mark.parametrize("cut", [30, 61, 90])
@pytest.mark.parametrize("settings", [Simulated(5), Simulated(5, 0.2, 0.3)], ids=["steady", "failing"])
def test_an_interrupted_simulation_goes_on_as_if_it_had_not_been(settings: Simulated, cut: int, tmp_path: Path) -> None:
    whole, again = tmp_path / "whole", tmp_path / "again"
    searched(settings, whole)
    lines = (whole / "history.jsonl").read_bytes().splitlines(keepends=True)
    again.mkdir()
    (again / "history.jsonl").write_bytes(b"".join(lines[:cut]))
    searched(settings, again)

    def without(folder: Path) -> list[dict[str, Any]]:
        # which of equal workers took it, and that it was handed out twice, may differ
        return [{key: each[key] for key in each if key not in ("worker", "again")} for each in events(folder)]

    assert without(again) == without(whole)


def test_failures_and_stragglers_come_at_their_rates(tmp_path: Path) -> None:
    rules = Rules(Budget(400), "fitness", duplicates="evaluate")
    history = searched(Simulated(8, failure_rate=0.25, straggler_rate=0.1, straggler_factor=20), tmp_path, rules=rules)
    assert 70 <= len(history.failures) <= 130
    assert {done.failure for done in history.failures} == {"the simulated worker failed"}
    begun, ended = times(tmp_path)
    slow = [ended[done.number] - begun[done.number] == 20 * done.scores["seconds"] for done in history.scored]
    assert 0.05 < sum(slow) / len(slow) < 0.16


def test_hours_are_those_of_the_simulated_clock(tmp_path: Path) -> None:
    history = searched(Simulated(4), tmp_path, rules=Rules(Budget(hours=0.1), "fitness", duplicates="evaluate"))
    begun, ended = times(tmp_path)
    assert max(begun.values()) < 360 <= max(ended.values())
    assert len(history.finished) > 200


def test_curves_stop_a_training_in_simulated_time(tmp_path: Path) -> None:
    def epochs(job: Job) -> Iterator[Progress]:
        share = sum(job.architecture.values) / len(job.architecture.values)
        scores: Scores = {}
        for epoch in range(1, 5):
            scores = {"fitness": share * epoch, "seconds": 10.0 * epoch}
            yield Progress(epoch, 4, scores)
        return scores

    rules = Rules(Budget(40), "fitness", duplicates="evaluate", pruner={"MedianPruner": {"n_startup_trials": 4}})
    pytest.importorskip("optuna")
    history = searched(Simulated(4), tmp_path, rules=rules, work=epochs)
    assert history.stopped > 5
    begun, ended = times(tmp_path)
    for done in history.scored:
        assert ended[done.number] - begun[done.number] == 10.0 * (done.epochs or 4)


def test_halving_on_simulated_workers(tmp_path: Path) -> None:
    def rungs(job: Job) -> Iterator[Progress]:
        yield Progress()
        share = sum(job.architecture.values) / len(job.architecture.values)
        return {"fitness": share, "seconds": float(job.epochs or 9)}

    history = searched(
        Simulated(6), tmp_path, SuccessiveHalving(epochs=(1, 3, 9)), work=rungs, full_epochs=9, has_checkpoints=False
    )
    reached = [done.epochs for done in history.scored]
    assert reached.count(1) > reached.count(3) > reached.count(None) > 0


def test_scores_without_seconds_are_an_error() -> None:
    def timeless(job: Job) -> Iterator[Progress]:
        yield Progress()
        return {"fitness": 1.0}

    with pytest.raises(
        RecordError, match="Simulated orders results by the score `seconds`, and the scores are fitness"
    ):
        searched(Simulated(2), work=timeless)

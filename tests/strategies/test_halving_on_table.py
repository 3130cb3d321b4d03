"""Halving on the two fidelities of NAS-Bench-201 beside random search, in the same simulated seconds.

Each training is paid for: one of 200 epochs does not go on from that of 12, whose schedule is another.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from statistics import fmean

import pytest

from nas.evaluation.evaluator import Evaluator, Task
from nas.evaluation.table import Fidelity, Table
from nas.runs.experiment import task_of
from nas.runtime.inline import Inline
from nas.runtime.queue import Queue
from nas.runtime.rules import Budget, Rules
from nas.runtime.stage import RunStage
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.hyperband import Hyperband
from nas.strategies.random_search import RandomSearch
from nas.strategies.strategy import Strategy
from nas.strategies.successive_halving import SuccessiveHalving
from search_spaces.nasbench201 import nasbench201

SEEDS, SECONDS = 60, 100_000.0
RUNGS = (12, 200)

STRATEGIES: dict[str, Strategy] = {
    "random": RandomSearch(),
    "asha": SuccessiveHalving(epochs=RUNGS),
    "hyperband": Hyperband(epochs=RUNGS),
    "asha around evolution": SuccessiveHalving(of=RegularizedEvolution(10, 3), epochs=RUNGS),
}


def table(folder: Path) -> Table:
    return Table(
        str(folder / "nasbench201.npz"),
        "c10_valid200",
        {"test_top1_percent": "c10_test200"},
        "train_s_per_epoch_c10valid",
        seconds_per_unit=204.08,
        epochs=200,
        earlier=(Fidelity(12, "c10_valid12", 12.2446, 1.028),),
    )


def searched(evaluator: Evaluator, task: Task, strategy: Strategy, seed: int) -> Queue:
    rules = Rules(Budget(seconds=SECONDS), seed=seed, duplicates="evaluate")
    work = partial(evaluator.evaluate, task)
    stage = RunStage("search", strategy, work, rules, str, task.space, full_epochs=200, has_checkpoints=False)
    queue = Queue(stage)
    Inline().run(queue, work, None)
    return queue


def prepared(folder: Path) -> tuple[Table, Task]:
    evaluator, space = table(folder), nasbench201()
    return evaluator, task_of("nasbench201", space, evaluator.prepare(space), {}, "network")


def test_a_promotion_in_a_table_is_paid_for_as_a_whole(shared_data: Path) -> None:
    evaluator, task = prepared(shared_data)
    history = searched(evaluator, task, STRATEGIES["asha"], 0).history
    assert history.totals["seconds"] == pytest.approx(sum(done.scores["seconds"] for done in history.scored))
    short = [done for done in history.scored if done.epochs == 12]
    whole = [done for done in history.scored if done.epochs is None]
    assert len(short) > len(whole) > 5
    assert history.best in whole


@pytest.mark.slow
def test_halving_is_no_worse_than_random_in_the_same_seconds(shared_data: Path) -> None:
    evaluator, task = prepared(shared_data)
    means = {}
    for name, strategy in STRATEGIES.items():
        histories = [searched(evaluator, task, strategy, seed).history for seed in range(SEEDS)]
        best = [history.best for history in histories]
        accuracy = fmean(done.scores["validation_top1_percent"] for done in best if done is not None)
        means[name] = round(accuracy, 3), round(fmean(len(history.finished) for history in histories), 1)
    print(means)
    for name in ("asha", "hyperband", "asha around evolution"):
        assert means[name][0] >= means["random"][0], means

"""Speed of a whole search over a table in one process: evaluations a second, and the cost of a proposal as it grows.

Needs nasbench201.npz in the folder NAS_DATA. The journal is written, as in any search.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from random import Random

from _timing import microseconds, report

from nas.records import RecordError
from nas.runs.experiment import load
from nas.runtime.executor import Executor
from nas.runtime.inline import Inline
from nas.runtime.queue import Queue
from nas.runtime.rules import Budget, Rules
from nas.runtime.simulated import Simulated
from nas.runtime.stage import RunStage

EVALUATIONS = 20_000


def main() -> None:
    experiment = load(Path(__file__).parents[2] / "experiments/nasbench201/regularized_evolution.yaml")
    space = experiment.open_space()
    assert experiment.evaluator is not None
    assert experiment.strategy is not None
    try:
        task = experiment.task(space)
    except RecordError as error:
        print(f"  skipped: {error}")
        return
    rules = Rules(Budget(evaluations=EVALUATIONS), duplicates="evaluate")
    runs: tuple[tuple[str, Executor, bool, str], ...] = (
        ("evolution over the table, without journal", Inline(), False, "> 12,000"),
        ("evolution over the table, with journal", Inline(), True, "> 12,000"),
        ("32 simulated workers, with journal", Simulated(32), True, "> 5,000"),
    )
    for name, executor, has_journal, goal in runs:
        with tempfile.TemporaryDirectory() as folder:
            work = partial(experiment.evaluator.evaluate, task)
            stage = RunStage("search", experiment.strategy, work, rules, str, space, has_checkpoints=False)
            search = Queue(stage, folder=Path(folder) if has_journal else None)
            start = time.process_time()
            executor.run(search, work, Path(folder))
            report(name, EVALUATIONS / (time.process_time() - start), "evaluations/s", goal)
    history, rng = search.history, Random(0)
    for size in (100, 1000, EVALUATIONS):
        history.scored = search.history.scored[-size:]
        cost = microseconds(partial(experiment.strategy.propose, space, history, rng), 500)
        report(f"one proposal after {size:,} evaluations", cost, "us", "< 30, flat")


if __name__ == "__main__":
    main()

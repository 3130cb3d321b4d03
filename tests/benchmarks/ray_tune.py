"""Throughput of the Ray Tune executor with evaluations that take no time, workers reused; two workers, start-up aside."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

import ray
from _timing import report

from nas.evaluation.evaluator import Progress, Task
from nas.evaluation.noisy_bits import NoisyBits
from nas.history import Evaluated, History, Proposal
from nas.runtime.queue import Queue
from nas.runtime.ray_tune import RayTune
from nas.runtime.rules import Budget, Rules
from nas.runtime.stage import RunStage
from nas.runtime.view import View
from nas.strategies.random_search import RandomSearch
from search_spaces.bits import bits, network


class Stopwatch(View):
    """Notes when each evaluation ended."""

    def __init__(self) -> None:
        self.ended: list[float] = []

    def started(self, number: int, proposal: Proposal) -> None:
        pass

    def progress(self, number: int, worker: str, progress: Progress) -> None:
        pass

    def finished(self, done: Evaluated, history: History) -> None:
        self.ended.append(time.monotonic())


def run(evaluations: int, batch: int) -> list[float]:
    """Return when each evaluation ended, in seconds."""
    space, watch = bits(), Stopwatch()
    rules = Rules(Budget(evaluations=evaluations), "fitness", duplicates="evaluate")
    with tempfile.TemporaryDirectory() as folder:
        work = partial(NoisyBits().evaluate, Task(space, network))
        search = Queue(RunStage("search", RandomSearch(), work, rules, str, space), [watch], Path(folder))
        RayTune(workers=2, batch=batch).run(search, work, Path(folder))
    assert len(search.history.scored) == evaluations
    return watch.ended


def main() -> None:
    ended = run(2000, batch=1)
    for first, last in ((100, 500), (500, 1000), (1000, 1500), (1500, 1999)):
        report(f"trials {first} to {last}", (last - first) / (ended[last] - ended[first]), "trials/s", "> 15, flat")
    ended = run(20_000, batch=32)
    report("batches of 32", (len(ended) - 1000) / (ended[-1] - ended[1000]), "evaluations/s", "> 300")
    ray.shutdown()


if __name__ == "__main__":
    main()

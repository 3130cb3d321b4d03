"""Simulated: many workers on a simulated clock, which the seconds of a table, or of real trainings, move."""

from __future__ import annotations

import heapq
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Annotated, ClassVar

from nas.evaluation.evaluator import Job, Progress
from nas.records import Fraction, Natural, Positive, Range, RecordError, record
from nas.runtime.executor import Executor, Outcome, Session, perform, waits_for_nothing
from nas.runtime.stage import Work

Events = Generator[Progress | Outcome, None, None]


@record
class Simulated(Executor):
    """Run every job in this process, and order the results as `workers` at a time would deliver them.

    A job takes its score `seconds`, on a clock that begins at 0; the journal has the times of that clock, and `hours` of a budget
    are hours on it. A strategy sees what it would see on such a cluster: the results so far, and what is in flight. Searches
    over tables simulate thousands of hours in seconds; a real training is carried out here, and its seconds count.

    A job fails with probability `failure_rate`, somewhere on its way, and takes `straggler_factor` times as long with probability
    `straggler_rate`; both are functions of `seed` and the job's number. An interrupted simulation goes on as if
    it had not been. A promotion takes the seconds that its evaluator says: a table's are those of the whole training.
    """

    workers: Positive = 8
    failure_rate: Fraction = 0.0
    straggler_rate: Fraction = 0.0
    straggler_factor: Annotated[float, Range(1)] = 10.0
    seed: Natural = 0
    simulates: ClassVar[bool] = True

    def describe(self) -> str:
        return f"{self.workers} simulated worker{'s' if self.workers > 1 else ''}"

    def run(self, session: Session, work: Work, folder: Path | None) -> None:
        idle = [f"simulated {number:0{len(str(self.workers))}}" for number in range(1, self.workers + 1)]
        coming: list[_Coming] = []
        while True:
            while idle and (job := session.ask()) is not None:
                fate = _fate(self, job)
                began, worker = session.started_at(job.number), heapq.heappop(idle)
                heapq.heappush(coming, _next(perform(work, job), job.number, worker, began, began, fate))
            if not coming:
                break
            event = heapq.heappop(coming)
            session.set_time(event.at)
            if isinstance(event.event, Outcome):
                session.tell(event.number, event.worker, event.event)
            elif session.progress(event.number, event.worker, event.event):
                event.rest.close()
                session.stop(event.number, event.worker)
            else:
                heapq.heappush(coming, event.following())
                continue
            heapq.heappush(idle, event.worker)
        if not session.finished:
            raise waits_for_nothing()


@dataclass(frozen=True, slots=True)
class _Fate:
    """How much longer a job takes, and the share of its time after which it fails, if it does."""

    factor: float = 1.0
    fails_after: float | None = None


def _fate(settings: Simulated, job: Job) -> _Fate:
    rng = Random(f"{settings.seed}/{job.number}")
    fails, slow, share = rng.random(), rng.random(), rng.random()
    return _Fate(
        settings.straggler_factor if slow < settings.straggler_rate else 1.0,
        share if fails < settings.failure_rate else None,
    )


@dataclass(frozen=True, slots=True, order=True)
class _Coming:
    """An event that a worker will report at a simulated time; those of one time come in the order of their numbers."""

    at: float
    number: int
    worker: str = field(compare=False)
    began: float = field(compare=False)
    event: Progress | Outcome = field(compare=False)
    rest: Events = field(compare=False)
    fate: _Fate = field(compare=False)

    def following(self) -> _Coming:
        return _next(self.rest, self.number, self.worker, self.began, self.at, self.fate)


def _next(rest: Events, number: int, worker: str, began: float, before: float, fate: _Fate) -> _Coming:
    """Return the next event of a job; one that does not say how long the job has taken comes at once."""
    event = next(rest)
    scores = event.scores or {}
    if isinstance(event, Outcome) and event.scores is not None:
        if "seconds" not in event.scores:
            raise RecordError(
                f"executor Simulated orders results by the score `seconds`, and the scores are {', '.join(scores)}: give an "
                "evaluator with seconds, or another executor"
            )
        if fate.fails_after is not None:
            event, taken = Outcome(failure="the simulated worker failed"), fate.fails_after * scores["seconds"]
            return _Coming(max(before, began + fate.factor * taken), number, worker, began, event, rest, fate)
    at = began + fate.factor * scores["seconds"] if "seconds" in scores else before
    return _Coming(max(before, at), number, worker, began, event, rest, fate)

"""The control plane at 1,000 workers: the real queue, journal and strategy on a simulated clock, Ray Tune as it is, and a model.

1. 100,000 evaluations of about a minute by 1,000 simulated workers, of which a hundredth are lost and a hundredth take ten times
   as long: CPU seconds and memory of the driver, size of the journal, seconds to replay it.
2. Ray Tune with as many workers as are asked for, each a process with a hundredth of a CPU, whose evaluations sleep:
   CPU seconds of the driver for each, and the time from the end of an evaluation to the beginning of the worker's next.
3. A model for 1,000 workers with what 2 measured: the driver serves one worker after the other, so that workers wait for it.

    python tests/benchmarks/thousand_workers.py [evaluations] [workers of Ray] [seconds of a sleep in ms]

With 0 workers of Ray the second part is left out, and the third takes 60 ms, the 17 trials/s that plain Tune was measured at.
"""

from __future__ import annotations

import heapq
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import fmean, median

from _timing import report

from nas.evaluation.evaluator import Evaluation, Job, Progress
from nas.history import Evaluated, History, Proposal
from nas.journal import replay
from nas.runtime.executor import Executor
from nas.runtime.queue import Queue
from nas.runtime.ray_tune import RayTune
from nas.runtime.rules import Budget, Rules
from nas.runtime.simulated import Simulated
from nas.runtime.stage import RunStage
from nas.runtime.view import View
from nas.strategies.evolution import RegularizedEvolution
from search_spaces.nasbench201 import nasbench201

WORKERS = 1000
PLAIN_TUNE_SECONDS = 0.06


def about_a_minute(job: Job) -> Evaluation:
    """Score an architecture at random, and say that it took half a minute to a minute and a half."""
    yield Progress()
    rng = Random(job.number)
    return {"fitness": rng.random(), "seconds": rng.uniform(30, 90)}


@dataclass
class Sleeping:
    """An evaluation that sleeps, and notes when it began and ended."""

    seconds: float

    def __call__(self, job: Job) -> Evaluation:
        began = time.time()
        yield Progress()
        time.sleep(self.seconds)
        return {"fitness": Random(job.number).random(), "began": began, "ended": time.time()}


@dataclass
class Notes(View):
    """Notes the worker of each evaluation, and its times."""

    spans: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def started(self, number: int, proposal: Proposal) -> None:
        pass

    def progress(self, number: int, worker: str, progress: Progress) -> None:
        pass

    def finished(self, done: Evaluated, history: History) -> None:
        if done.scores is not None:
            self.spans.setdefault(done.worker, []).append((done.scores["began"], done.scores["ended"]))


def search(executor: Executor, work: object, evaluations: int, folder: Path, *views: View) -> tuple[float, Queue]:
    """Search; return the CPU seconds of this process."""
    rules = Rules(Budget(evaluations=evaluations), "fitness", duplicates="evaluate")
    stage = RunStage("search", RegularizedEvolution(), work, rules, str, nasbench201())  # type: ignore[arg-type]
    queue = Queue(stage, list(views), folder, is_simulated=isinstance(executor, Simulated))
    began = time.process_time()
    executor.run(queue, work, folder)  # type: ignore[arg-type]
    queue.close()
    return time.process_time() - began, queue


def report_simulated(evaluations: int) -> None:
    executor = Simulated(workers=WORKERS, failure_rate=0.01, straggler_rate=0.01)
    with tempfile.TemporaryDirectory() as folder:
        cpu_seconds, queue = search(executor, about_a_minute, evaluations, Path(folder))
        journal = queue.stage.journal(Path(folder))
        began = time.process_time()
        history = replay(journal, "fitness")
        replayed = time.process_time() - began
        size = journal.stat().st_size / 1e6
    assert len(history.closed) == evaluations
    hours = queue.now() / 3600
    report(f"{evaluations:,} evaluations by {WORKERS:,} workers", hours, "hours", "-")
    report("driver, of one core", 100 * cpu_seconds / queue.now(), "%", "<= 100 %")
    report("driver, for an evaluation", 1e6 * cpu_seconds / evaluations, "CPU us", "-")
    report("memory of the process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB", "<= 2,000")
    report("journal", size, "MB", "-")
    report("replay of the journal", replayed, "CPU s", "<= 10 s")


def report_ray(workers: int, seconds: float) -> float:
    """Return the CPU seconds of the driver, this process, for an evaluation."""
    import ray

    notes, evaluations = Notes(), workers * 20
    executor = RayTune(workers=workers, cpus_per_worker=0.01, threads=1)
    with tempfile.TemporaryDirectory() as folder:
        cpu_seconds, _ = search(executor, Sleeping(seconds), evaluations, Path(folder), notes)
    ray.shutdown()
    # the first evaluations of a worker wait for its process
    spans = [sorted(each)[2:] for each in notes.spans.values() if len(each) > 4]
    waits = [later[0] - earlier[1] for each in spans for earlier, later in pairwise(each)]
    slept = sum(end - begin for each in spans for begin, end in each)
    whole = sum(each[-1][1] - each[0][0] for each in spans)
    name = f"Ray Tune, {workers} workers, evaluations of {seconds:g} s"
    report(f"{name}: busy", 100 * slept / whole, "%", "-")
    report(f"{name}: driver for each", 1000 * cpu_seconds / evaluations, "CPU ms", "-")
    report(f"{name}: from an end to the next beginning", 1000 * median(waits), "ms", "-")
    return cpu_seconds / evaluations


def waiting(minutes: float, service_seconds: float, evaluations: int) -> Iterator[float]:
    """Yield how long each evaluation's worker waited for the driver, which serves one after the other."""
    rng, free = Random(0), 0.0
    ends = [rng.uniform(0, 60 * minutes) for _ in range(WORKERS)]
    heapq.heapify(ends)
    for _ in range(evaluations):
        asked = heapq.heappop(ends)
        free = max(free, asked) + service_seconds
        yield free - asked
        length = 60 * minutes * rng.uniform(0.5, 1.5) * (10 if rng.random() < 0.01 else 1)
        heapq.heappush(ends, free + length)


def report_model(service_seconds: float, evaluations: int) -> None:
    for minutes in (1, 10):
        wait = fmean(waiting(minutes, service_seconds, evaluations))
        mean = 60 * minutes * (1 + 9 * 0.01)
        name = f"model, {WORKERS:,} workers, {minutes} min, {1000 * service_seconds:.0f} ms each"
        report(name, 100 * mean / (mean + wait), "% busy", ">= 95 %")


def main(evaluations: int = 100_000, workers: int = 16, sleep_ms: int = 1000) -> None:
    report_simulated(evaluations)
    # with few workers and with many: what an evaluation costs the driver may grow with their number
    measured = [report_ray(number, sleep_ms / 1000) for number in (workers // 4, workers) if number]
    report_model(max(measured, default=PLAIN_TUNE_SECONDS), evaluations)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

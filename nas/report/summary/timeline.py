"""The workers' timeline: which worker was busy with which evaluation when, and which was idle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from nas.report.summary.clock import Clock
from nas.report.summary.journal import Log, Work
from nas.report.summary.sessions import presences, workers_at_once
from nas.report.summary.summary import Failure, Timeline, Worker

BARS = 2000
"""About the maximum number of bars of a timeline; beyond it, neighbouring bars are merged."""

LAST = 200
"""The maximum number of failures listed; the last ones are kept."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One work, or several works of one worker in one phase, in seconds since the run's first event."""

    worker: str
    phase: str
    begin: float
    end: float
    first: int
    works: int = 1
    failed: int = 0


def timeline_of(logs: Mapping[str, Log], works: Sequence[Work], clock: Clock) -> Timeline | None:
    """Return the timeline of all workers; None where no evaluation has ended yet."""
    if not works:
        return None
    by_worker = defaultdict[str, list[Work]](list)
    for work in works:
        by_worker[work.worker].append(work)
    names, phases = {name: i for i, name in enumerate(by_worker)}, {phase: i for i, phase in enumerate(logs)}
    alive = [
        each for log in logs.values() for each in presences(log, [work for work in works if work.phase == log.phase])
    ]
    present = defaultdict[str, float](float)  # seconds alive by worker, over all sessions
    for each in alive:
        present[each.worker] += clock.worked(each.end) - clock.worked(each.begin)
    # keeps the bars below BARS: two neighbours that stay apart span together more than `point` seconds
    point = 2 * len(names) * (clock.last - clock.begin) / BARS if len(works) > BARS else 0.0
    bars = [bar for mine in by_worker.values() for bar in _merged([_bar(work, clock) for work in mine], point)]
    waited = [work.begin - logs[work.phase].proposed[work.number] for work in works]
    return Timeline(
        at_once=workers_at_once(alive),
        workers=[_worker(name, mine, present[name]) for name, mine in by_worker.items()],
        phases=list(phases),
        worker=[names[bar.worker] for bar in bars],
        phase=[phases[bar.phase] for bar in bars],
        begin=[bar.begin for bar in bars],
        end=[bar.end for bar in bars],
        first=[bar.first for bar in bars],
        works=[bar.works for bar in bars],
        failed=[bar.failed for bar in bars],
        pauses=clock.pauses,
        waited_seconds=sum(waited) / len(waited),
        failures=_failures(logs, clock),
    )


def _failures(logs: Mapping[str, Log], clock: Clock) -> list[Failure]:
    found = [
        Failure(phase, done.number, done.worker, clock.since(log.ended[done.number]), done.failure or "")
        for phase, log in logs.items()
        for done in log.history.failures
    ]
    return sorted(found, key=lambda failure: failure.at)[-LAST:]


def _worker(name: str, works: Sequence[Work], present: float) -> Worker:
    """Return how a worker spent the seconds in which it was alive."""
    busy = sum(work.end - work.begin for work in works)
    idle = max(0.0, 100 * (1 - busy / present)) if present > 0 else 0.0
    return Worker(name, len(works), sum(work.failed for work in works), busy, idle)


def _bar(work: Work, clock: Clock) -> Bar:
    begin, end = clock.since(work.begin), clock.since(work.end)
    return Bar(work.worker, work.phase, begin, end, work.number, 1, int(work.failed))


def _merged(bars: Sequence[Bar], point: float) -> Iterator[Bar]:
    """Merge neighbouring bars of one phase while together they span at most `point` seconds."""
    held: Bar | None = None
    for bar in bars:
        if held and bar.phase == held.phase and bar.end - held.begin <= point:
            held = replace(held, end=bar.end, works=held.works + 1, failed=held.failed + bar.failed)
            continue
        if held:
            yield held
        held = bar
    if held:
        yield held

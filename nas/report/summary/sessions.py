"""Sessions: which workers were alive when, across stops and resumptions of a run and replacements of workers that died.

A journal does not record the start or the end of a worker, so both are inferred from the work done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from nas.report.summary.journal import Log, Work


@dataclass(frozen=True, slots=True)
class Presence:
    """The time in which one worker was alive in one session of a phase, in Unix time."""

    worker: str
    begin: float
    end: float


def presences(log: Log, works: Sequence[Work]) -> Iterator[Presence]:
    """Yield when each worker of a phase was alive, inferred from its `works`.

    A worker is alive from its first work to the end of the session. It is alive only to its last work where another worker
    replaced it, or where the session was cut off, since the work it was doing then is in no journal.
    """
    sessions = _sessions(log, works)
    for i, mine in enumerate(sessions):
        following = sessions[i + 1][0].begin if i + 1 < len(sessions) else None
        yield from _alive(mine, _is_cut_off(log, following))


def workers_at_once(found: Sequence[Presence]) -> int:
    """Return the largest number of workers alive at the same time."""
    # -1 sorts before 1: a worker that ends when another begins is not counted with it
    changes = sorted([(each.begin, 1) for each in found] + [(each.end, -1) for each in found])
    alive = most = 0
    for _, change in changes:
        alive += change
        most = max(most, alive)
    return most


def _sessions(log: Log, works: Sequence[Work]) -> list[list[Work]]:
    """Split works into sessions: at idle times after which a resumed run takes up old work, or only new workers follow."""
    ordered = sorted(works, key=lambda work: (work.begin, work.end))
    last = {work.worker: work.begin for work in ordered}  # the begin of each worker's last work
    found: list[list[Work]] = []
    mine: set[str] = set()
    until = 0.0
    for work in ordered:
        is_free = work.begin >= until  # no earlier work is still running
        is_taken_up = is_free and work.number in log.again
        is_by_others = is_free and work.worker not in mine and all(last[worker] < work.begin for worker in mine)
        if not found or is_taken_up or is_by_others:
            found.append([])
            mine = set()
        found[-1].append(work)
        mine.add(work.worker)
        until = max(until, work.end)
    return found


def _is_cut_off(log: Log, following: float | None) -> bool:
    """Return whether an evaluation was in flight when the next session began or, in the last session, still is."""
    if following is None:
        return bool(log.history.in_flight)
    ended = (log.ended.get(number, following) for number, at in enumerate(log.proposed) if at < following)
    return any(at >= following for at in ended)


def _alive(works: Sequence[Work], is_cut_off: bool) -> Iterator[Presence]:
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for work in works:
        first.setdefault(work.worker, work.begin)
        last[work.worker] = max(work.end, last.get(work.worker, work.end))
    end, free = max(last.values()), sorted(last, key=lambda worker: last[worker])
    # each worker that began late replaces the worker that stopped earliest before that, if there is one
    replaced: set[str] = set()
    for worker, begin in first.items():
        earlier = (each for each in free if last[each] <= begin and each not in replaced and each != worker)
        replaced.update(islice(earlier, 1))
    for worker, begin in first.items():
        yield Presence(worker, begin, last[worker] if is_cut_off or worker in replaced else end)
